// What a semidiscrete fit costs: recombined evaluations against plain GEMM rows in the same run, and a whole fit.
#include <benchmark/benchmark.h>
#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <vector>

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

// Atoms, and their weights where these are not equal.
struct Cloud {
  Matrix<float> y;
  std::vector<double> b = {};
};

Cloud normal(Index n, Index d, std::uint64_t seed) { return {normal_cloud(n, d, seed)}; }

Cloud clusters(Index n, Index d, std::uint64_t seed) {
  Cloud c{normal_cloud(n, d, seed)};
  const Matrix<float> centres = normal_cloud(32, d, seed + 1);
  for (Index i = 0; i < n; ++i)
    for (Index k = 0; k < d; ++k) c.y(i, k) = centres(i % 32, k) + 0.3f * c.y(i, k);
  return c;
}

Cloud steep(Index n, Index d, std::uint64_t seed) {  // deviations 1, 1/2, 1/3, ...
  Cloud c{normal_cloud(n, d, seed)};
  for (Index i = 0; i < n; ++i)
    for (Index k = 0; k < d; ++k) c.y(i, k) /= static_cast<float>(k + 1);
  return c;
}

Cloud duplicates(Index n, Index d, std::uint64_t seed) {  // the latter half are copies of 100 atoms
  Cloud c{normal_cloud(n, d, seed)};
  for (Index i = n / 2; i < n; ++i) std::copy_n(c.y.view().row(i % 100), d, c.y.view().row(i));
  return c;
}

Cloud decades(Index n, Index d, std::uint64_t seed) {  // weights over three of them
  Cloud c{normal_cloud(n, d, seed)};
  for (Index j = 0; j < n; ++j) c.b.push_back(std::pow(10.0, 3.0 * static_cast<double>(j) / static_cast<double>(n)));
  return c;
}

// To a chi-square of 0.05 with the defaults, three clouds each. Arguments: atoms, dimensions.
void fit(benchmark::State& state, Cloud (*make)(Index, Index, std::uint64_t)) {
  double fit_seconds = 0, check_seconds = 0, chi2 = 0, samples = 0;
  std::uint64_t seed = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const Cloud c = make(state.range(0), state.range(1), 10 * ++seed);
    state.ResumeTiming();
    const ot::SemidiscreteResult result = ot::semidiscrete(c.y.view(), c.b);
    fit_seconds += result.seconds, check_seconds += result.check_seconds;
    chi2 = std::max(chi2, result.marginal.upper), samples = std::max(samples, result.samples_per_atom);
  }
  state.counters["fit_seconds"] = fit_seconds / static_cast<double>(state.iterations());
  state.counters["check_seconds"] = check_seconds / static_cast<double>(state.iterations());
  state.counters["most_chi2_upper"] = chi2;
  state.counters["most_noise/atom"] = samples;
}
#define MONGE_FIT(cloud, n, d) \
  BENCHMARK_CAPTURE(fit, cloud, cloud)->Args({n, d})->Unit(benchmark::kMillisecond)->Iterations(3)->UseRealTime()
MONGE_FIT(normal, 10000, 64);
MONGE_FIT(normal, 2000, 784);
MONGE_FIT(normal, 4096, 8);
MONGE_FIT(clusters, 4096, 128);
MONGE_FIT(steep, 8192, 768);
MONGE_FIT(duplicates, 4096, 64);
MONGE_FIT(decades, 4096, 64);
MONGE_FIT(decades, 4096, 8);
MONGE_FIT(decades, 4096, 2);
MONGE_FIT(decades, 4096, 3);
MONGE_FIT(decades, 4096, 4);

}  // namespace

BENCHMARK_MAIN();
