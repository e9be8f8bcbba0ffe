// What the programs that bench/peers times have in common.
#pragma once
#include <chrono>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::peers {

// So many numbers of a raw file.
template <class T>
std::vector<T> read(const char* path, Index count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  if (!in) throw std::runtime_error(std::string(path) + " is too short");
  return values;
}

// "cpu", or a GPU's number.
inline Device device_of(const std::string& name) {
  return name == "cpu" ? Device{} : Device{DeviceType::cuda, std::stoi(name)};
}

// What `solve` returned last, and the seconds of `repeat` calls as JSON, "0.1, 0.2". The first call, which wakes
// threads, memory and devices, is not counted.
template <class Solve>
auto timed(int repeat, const Solve& solve, std::string& times) {
  auto result = solve();
  for (int k = 0; k < repeat; ++k) {
    const auto start = std::chrono::steady_clock::now();
    result = solve();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    times += (k > 0 ? ", " : "") + std::to_string(seconds.count());
  }
  return result;
}

}  // namespace monge::peers
