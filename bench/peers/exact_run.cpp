#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "monge/ot/assignment.h"

// Times assign() on raw arrays, for bench/peers/exact.py:
//   ot_exact_run clouds X.f32 Y.f32 N D REPEAT      ot_exact_run cost C.f64 N N REPEAT
// Prints one JSON line. The first call, which wakes threads and memory, is not counted.
namespace {

using namespace monge;

template <class T>
std::vector<T> read(const char* path, Index count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  if (!in) throw std::runtime_error(std::string(path) + " is too short");
  return values;
}

template <class Solve>
void run(int repeat, const Solve& solve) {
  std::string times;
  ot::AssignmentResult r;
  for (int k = 0; k <= repeat; ++k) {
    const auto start = std::chrono::steady_clock::now();
    r = solve();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (k > 0) times += (k > 1 ? ", " : "") + std::to_string(seconds.count());
  }
  std::printf("{\"times\": [%s], \"cost\": %.17g, \"lower\": %.17g, \"upper\": %.17g, \"status\": \"%s\"}\n",
              times.c_str(), r.cost, r.certificate.lower, r.certificate.upper, to_string(r.status));
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 7 && std::strcmp(argv[1], "clouds") == 0) {
    const Index n = std::stol(argv[4]), d = std::stol(argv[5]);
    const auto x = read<float>(argv[2], n * d), y = read<float>(argv[3], n * d);
    run(std::stoi(argv[6]),
        [&] { return ot::assign(MatrixView<const float>(x.data(), n, d), MatrixView<const float>(y.data(), n, d)); });
  } else if (argc == 6 && std::strcmp(argv[1], "cost") == 0) {
    const Index n = std::stol(argv[3]), m = std::stol(argv[4]);
    const auto cost = read<double>(argv[2], n * m);
    run(std::stoi(argv[5]), [&] { return ot::assign(MatrixView<const double>(cost.data(), n, m)); });
  } else {
    std::fprintf(stderr, "ot_exact_run clouds X.f32 Y.f32 N D REPEAT | cost C.f64 N M REPEAT\n");
    return 2;
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
