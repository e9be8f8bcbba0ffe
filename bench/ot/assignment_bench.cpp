#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "monge/ot/assignment.h"

// Exact assignment from clouds to certificate.
namespace {

using namespace monge;

std::vector<float> gaussian(Index count, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> v(count);
  for (float& e : v) e = normal(random);
  return v;
}

void exact_gaussians(benchmark::State& state) {
  const Index n = state.range(0), d = state.range(1);
  const auto x = gaussian(n * d, 1), y = gaussian(n * d, 2);
  ot::AssignmentOptions options;
  options.context.threads = static_cast<int>(state.range(2));
  ot::AssignmentResult result;
  for (auto _ : state)
    result = ot::assign(MatrixView<const float>(x.data(), n, d), MatrixView<const float>(y.data(), n, d), options);
  const ot::Certificate& c = result.certificate;
  state.counters["cost"] = result.cost;
  state.counters["gap"] = (c.upper - c.lower) / c.upper;
  state.counters["pairs/s"] = benchmark::Counter(static_cast<double>(n * n) * static_cast<double>(state.iterations()),
                                                 benchmark::Counter::kIsRate);
}
BENCHMARK(exact_gaussians)
    ->ArgNames({"n", "d", "threads"})
    ->Args({1000, 2, 1})
    ->Args({1000, 64, 1})
    ->Args({2000, 3, 1})
    ->Args({2000, 784, 1})
    ->Args({2000, 784, 2})
    ->Args({5000, 64, 1})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
