#include <chrono>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "monge/ot/exact.h"

// Times exact() on raw arrays, for bench/peers/exact.py:
//   ot_exact_run clouds X.f32 Y.f32 N D REPEAT      ot_exact_run cost C.f64 N N REPEAT
//   ot_exact_run transport X.f32 Y.f32 A.f64 B.f64 N M D REPEAT
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
  ot::ExactResult r;
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
  const std::string what = argc > 1 ? argv[1] : "";
  if (argc == 7 && what == "clouds") {
    const Index n = std::stol(argv[4]), d = std::stol(argv[5]);
    const auto x = read<float>(argv[2], n * d), y = read<float>(argv[3], n * d);
    run(std::stoi(argv[6]),
        [&] { return ot::exact(MatrixView<const float>(x.data(), n, d), MatrixView<const float>(y.data(), n, d)); });
  } else if (argc == 6 && what == "cost") {
    const Index n = std::stol(argv[3]), m = std::stol(argv[4]);
    const auto cost = read<double>(argv[2], n * m);
    run(std::stoi(argv[5]), [&] { return ot::exact(MatrixView<const double>(cost.data(), n, m)); });
  } else if (argc == 10 && what == "transport") {
    const Index n = std::stol(argv[6]), m = std::stol(argv[7]), d = std::stol(argv[8]);
    const auto x = read<float>(argv[2], n * d), y = read<float>(argv[3], m * d);
    const auto a = read<double>(argv[4], n), b = read<double>(argv[5], m);
    const ot::Problem<float> problem{.x = {x.data(), n, d}, .y = {y.data(), m, d}, .a = a, .b = b};
    run(std::stoi(argv[9]), [&] { return ot::exact(problem); });
  } else {
    std::fprintf(stderr,
                 "ot_exact_run clouds X.f32 Y.f32 N D REPEAT | cost C.f64 N N REPEAT | "
                 "transport X.f32 Y.f32 A.f64 B.f64 N M D REPEAT\n");
    return 2;
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
