#include <benchmark/benchmark.h>

#include <vector>

#include "../normal.h"
#include "monge/ot/assignment.h"

// Exact assignment from clouds to certificate.
namespace {

using namespace monge;

void exact_gaussians(benchmark::State& state) {
  const Index n = state.range(0), d = state.range(1);
  const auto x = gaussian<float>(n * d, 1), y = gaussian<float>(n * d, 2);
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
    ->Args({5000, 2, 2})
    ->Args({5000, 3, 2})
    ->Args({5000, 64, 1})
    ->Args({5000, 64, 2})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// A dense matrix of doubles: squared distances of Gaussian points.
void exact_matrix(benchmark::State& state) {
  const Index n = state.range(0), d = state.range(1);
  const auto x = gaussian<float>(n * d, 1), y = gaussian<float>(n * d, 2);
  std::vector<double> cost(n * n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) {
      double sum = 0;
      for (Index k = 0; k < d; ++k) sum += (x[i * d + k] - y[j * d + k]) * (x[i * d + k] - y[j * d + k]);
      cost[i * n + j] = sum;
    }
  for (auto _ : state) benchmark::DoNotOptimize(ot::assign(MatrixView<const double>(cost.data(), n, n)).cost);
}
BENCHMARK(exact_matrix)
    ->ArgNames({"n", "d"})
    ->Args({1000, 64})
    ->Args({5000, 2})
    ->Args({5000, 64})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// Minibatches: many problems of n points, one per thread.
void exact_batch(benchmark::State& state) {
  const Index n = state.range(0), d = 64, problems = 16;
  const auto x = gaussian<float>(problems * n * d, 1), y = gaussian<float>(problems * n * d, 2);
  const MatrixView<const float> xs(x.data(), problems * n, d), ys(y.data(), problems * n, d);
  for (auto _ : state) benchmark::DoNotOptimize(ot::assign_batch(xs, ys, n).back().cost);
  state.counters["problems/s"] =
      benchmark::Counter(static_cast<double>(problems * state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(exact_batch)->ArgName("n")->Arg(64)->Arg(256)->Arg(1024)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
