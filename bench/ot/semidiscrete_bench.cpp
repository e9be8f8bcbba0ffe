// What a semidiscrete fit costs: recombined evaluations against plain GEMM rows in the same run, and a whole fit.
#include <benchmark/benchmark.h>
#include <cblas.h>

#include "monge/ot/core/parallel.h"
#include "monge/ot/recombine.h"
#include "monge/ot/semidiscrete.h"

namespace {

using namespace monge;

Matrix<float> normal_cloud(Index n, Index d, std::uint64_t seed) {
  Matrix<float> y(n, d);
  fill_normal(Rng{seed}, 0, {y.data(), n * d});
  return y;
}

// The limit of plain noise: the GEMM alone, in the tiles of the scan. Arguments: atoms, dimensions.
void plain_scores(benchmark::State& state) {
  const Index n = state.range(0), d = state.range(1), rows = 1024, tile = 512;
  const Matrix<float> x = normal_cloud(rows, d, 1), y = normal_cloud(n, d, 2);
  for (auto _ : state) {
    parallel_for(0, rows / 128, [&](Index task, int) {
      Buffer<float> scores(128 * tile);
      for (Index c = 0; c + tile <= n; c += tile) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, 128, tile, static_cast<int>(d), 1,
                    x.view().row(task * 128), static_cast<int>(d), y.view().row(c), static_cast<int>(d), 0,
                    scores.data(), tile);
        benchmark::DoNotOptimize(scores.data());
      }
    });
  }
  state.counters["scores/s"] = benchmark::Counter(static_cast<double>(rows / 128 * 128 * (n / tile * tile)),
                                                  benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(plain_scores)->Args({60000, 64})->Args({60000, 784})->Unit(benchmark::kMillisecond)->UseRealTime();

// Best atom of every recombined row, GEMM included. Arguments: atoms, dimensions, rounds.
void recombined_scores(benchmark::State& state) {
  const Index n = state.range(0), d = state.range(1);
  const Matrix<float> x = normal_cloud(8 * ot::group_rows, d, 1), y = normal_cloud(n, d, 2);
  Buffer<float> v(n);
  fill_normal(Rng{3}, 0, v.view());
  const ot::Recombination r{.x = x.view(), .y = y.view(), .v = v.view(), .rounds = state.range(2), .signs = {4}};
  Matrix<float> scores(r.rows(), 1);
  Matrix<std::int32_t> columns(r.rows(), 1);
  for (auto _ : state) ot::recombined_candidates(r, scores.view(), columns.view(), {});
  state.counters["scores/s"] =
      benchmark::Counter(static_cast<double>(r.rows() * n), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(recombined_scores)
    ->Args({60000, 64, 16})
    ->Args({60000, 784, 32})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// To a chi-square of 0.05. Arguments: atoms, dimensions.
void fit(benchmark::State& state) {
  const Matrix<float> y = normal_cloud(state.range(0), state.range(1), 5);
  ot::SemidiscreteResult result;
  double seconds = 0;
  for (auto _ : state) {
    result = ot::semidiscrete(y.view());
    seconds += result.seconds;
  }
  state.counters["fit_seconds"] = seconds / static_cast<double>(state.iterations());
  state.counters["chi2_upper"] = result.marginal.upper;
  state.counters["noise/atom"] = result.samples_per_atom;
}
BENCHMARK(fit)->Args({10000, 64})->Args({2000, 784})->Unit(benchmark::kMillisecond)->Iterations(3)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
