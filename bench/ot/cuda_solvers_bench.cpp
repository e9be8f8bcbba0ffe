// Solvers on the first GPU, and what they are made of, by the clock of the host: normals, recombined candidates (pairs
// a second, all sets counted), a semidiscrete fit with its check, batches of small assignments, large ones. What is
// called large_... takes minutes: `scripts/gpu_check BIN OUT large`.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <vector>

#include "monge/ot/assignment.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/doctor.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/recombine.h"
#include "monge/ot/semidiscrete.h"
#include "monge/ot/sinkhorn.h"
#include "monge/ot/source.h"

namespace {

using namespace monge;

constexpr Device device{DeviceType::cuda, 0};
const Context context{.device = device};

Matrix<float> normal_cloud(Index n, Index d, std::uint64_t seed) {
  Matrix<float> y(n, d);
  fill_normal(Rng{seed}, 0, {y.data(), n * d});
  return y;
}

benchmark::Counter rate(Index count) {
  return {static_cast<double>(count), benchmark::Counter::kIsIterationInvariantRate};
}

// Waits for what is in the room's stream: a copy of one number does.
void wait(const Matrix<float>& there) {
  float one;
  copy(VectorView<const float>{there.data(), 1, device}, VectorView<float>{&one, 1});
}

void normals(benchmark::State& state) {
  Matrix<float> x(1 << 16, 1024, device);
  for (auto _ : state) {
    ot::draw({}, Rng{1}, 0, x.view(), context);
    wait(x);
  }
  state.counters["numbers/s"] = rate(x.rows() * x.cols());
}
BENCHMARK(normals)->Unit(benchmark::kMillisecond)->UseRealTime();

void time_candidates(benchmark::State& state, const Matrix<float>& y, Index rounds, const ot::PreparedPoints* ready) {
  const Index atoms = y.rows(), d = y.cols(), keep = 16;
  Matrix<float> x((rounds > 0 ? 64 : 1024) * ot::group_rows, d, device), scores, v(1, atoms, device);
  ot::draw({}, Rng{1}, 0, x.view(), context);
  ot::draw({}, Rng{3}, 0, v.view(), context);
  const ot::Recombination r{.x = x.view(),
                            .y = y.view(),
                            .v = {v.data(), atoms, device},
                            .y_ready = ready,
                            .rounds = rounds,
                            .signs = {4},
                            .window = 1};
  scores = Matrix<float>(r.rows(), keep, device);
  Matrix<std::int32_t> columns(r.rows(), keep, device);
  for (auto _ : state) {
    ot::recombined_candidates(r, scores.view(), columns.view(), context);
    wait(scores);
  }
  state.counters["pairs/s"] = rate(r.rows() * atoms);
}

// Arguments: atoms, dimensions, rounds (0: plain noise, for comparison).
void recombined(benchmark::State& state) {
  const Matrix<float> y = normal_cloud(state.range(0), state.range(1), 2);
  const auto ready = ot::backend_for(device).prepare(y.view(), context);
  time_candidates(state, y, state.range(2), ready.get());
}
BENCHMARK(recombined)
    ->Args({60000, 64, 0})
    ->Args({60000, 64, 16})
    ->Args({60000, 784, 0})
    ->Args({60000, 784, 32})
    ->Args({60000, 3072, 0})
    ->Args({60000, 3072, 64})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// From slabs, for comparison with 60000 x 3072 above: atoms of 256 values on the device (argument 1) or the host (2),
// or floats on the host (3).
void recombined_in_slabs(benchmark::State& state) {
  Matrix<float> y = normal_cloud(60000, 3072, 2);
  std::vector<std::int32_t> rows(static_cast<std::size_t>(y.rows()));
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<double> centre(static_cast<std::size_t>(y.cols()), 0.0);
  for (Index k = 0; state.range(0) < 3 && k < y.rows() * y.cols(); ++k)
    y.data()[k] = std::round(std::clamp(32 * y.data()[k], -127.0f, 127.0f)) / 32;
  const auto ready = ot::backend_for(device).prepare(y.view(), context, {y.view(), rows, centre},
                                                     {state.range(0) == 1 ? std::size_t{400'000'000} : 300'000'000});
  time_candidates(state, y, 64, ready.get());
}
BENCHMARK(recombined_in_slabs)->DenseRange(1, 3)->Unit(benchmark::kMillisecond)->UseRealTime();

// To a chi-square of 0.05.
void time_fit(benchmark::State& state, const Matrix<float>& y, const ot::SemidiscreteOptions& options) {
  ot::SemidiscreteResult result;
  for (auto _ : state) result = ot::semidiscrete(y.view(), {}, options);
  state.counters["fit_s"] = result.seconds;
  state.counters["check_s"] = result.check_seconds;
  state.counters["samples_per_atom"] = result.samples_per_atom;
  state.counters["gemm_rows_per_atom"] = result.gemm_rows_per_atom;
  state.counters["chi2"] = result.marginal.chi2;
  state.counters["chi2_upper"] = result.marginal.upper;
}

// Arguments: atoms, dimensions.
void fit(benchmark::State& state) {
  time_fit(state, normal_cloud(state.range(0), state.range(1), 5), {.context = context});
}
BENCHMARK(fit)
    ->Args({4096, 128})
    ->Args({60000, 64})
    ->Args({60000, 784})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// To a marginal error of 1e-3, from the host's points. Arguments: points, dimensions, thousandths of the mean cost as
// epsilon. Beyond 300 dimensions scores are kept.
void sinkhorn(benchmark::State& state) {
  const Index n = state.range(0), d = state.range(1);
  const Matrix<float> x = normal_cloud(n, d, 3), y = normal_cloud(n, d, 4);
  ot::SinkhornResult result;
  for (auto _ : state)
    result =
        ot::sinkhorn(x.view(), y.view(), {.epsilon = 1e-3 * static_cast<double>(state.range(2)), .context = context});
  state.counters["iterations"] = static_cast<double>(result.iterations);
  state.counters["marginal_error"] = result.marginal_error;
  state.counters["gap"] = (result.certificate.upper - result.certificate.lower) / result.certificate.upper;
}
BENCHMARK(sinkhorn)
    ->Args({10000, 3, 50})
    ->Args({10000, 64, 50})
    ->Args({50000, 64, 50})
    ->Args({16384, 3072, 50})
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// Arguments: points of a problem, problems, dimensions.
void sinkhorn_batch(benchmark::State& state) {
  const Index n = state.range(0), count = state.range(1), d = state.range(2);
  const Matrix<float> x = normal_cloud(n * count, d, 3), y = normal_cloud(n * count, d, 4);
  std::vector<ot::Problem<float>> problems;
  for (Index k = 0; k < count; ++k)
    problems.push_back({.x = x.view().rows_from(k * n, n), .y = y.view().rows_from(k * n, n)});
  for (auto _ : state) benchmark::DoNotOptimize(ot::sinkhorn(problems, {.context = context}).back().cost);
  state.counters["problems/s"] = rate(count);
}
BENCHMARK(sinkhorn_batch)->Args({256, 256, 64})->Args({1024, 64, 64})->Unit(benchmark::kMillisecond)->UseRealTime();

// Arguments: points of a problem, problems, dimensions.
void assign_batch(benchmark::State& state) {
  const Index n = state.range(0), problems = state.range(1), d = state.range(2);
  const Matrix<float> x = normal_cloud(n * problems, d, 6), y = normal_cloud(n * problems, d, 7);
  for (auto _ : state)
    benchmark::DoNotOptimize(ot::assign_batch(x.view(), y.view(), n, {.context = context}).back().cost);
  state.counters["problems/s"] = rate(problems);
}
BENCHMARK(assign_batch)
    ->Args({64, 2048, 64})
    ->Args({128, 1024, 64})
    ->Args({256, 1024, 64})
    ->Args({512, 256, 64})
    ->Args({1024, 256, 64})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// Arguments: points, dimensions.
void assign(benchmark::State& state) {
  const Matrix<float> x = normal_cloud(state.range(0), state.range(1), 8),
                      y = normal_cloud(state.range(0), state.range(1), 9);
  for (auto _ : state) benchmark::DoNotOptimize(ot::assign(x.view(), y.view(), {.context = context}).cost);
}
BENCHMARK(assign)->Args({10000, 64})->Args({20000, 784})->Iterations(1)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(assign)
    ->Name("large_assign")
    ->Args({100000, 3})
    ->Args({100000, 64})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// Atoms with a spectrum like images': variances that fall as k^-1.3, a quarter for each dimension in the mean.
// Arguments: atoms, dimensions, thousandths of the cost's deviation as epsilon, seconds that the fit may take.
void large_fit(benchmark::State& state) {
  const Index n = state.range(0), d = state.range(1);
  double all = 0;
  for (Index k = 1; k <= d; ++k) all += std::pow(static_cast<double>(k), -1.3);
  std::vector<float> deviation;
  for (Index k = 1; k <= d; ++k) {
    deviation.push_back(
        static_cast<float>(std::sqrt(0.25 * static_cast<double>(d) / all * std::pow(static_cast<double>(k), -1.3))));
  }
  Matrix<float> y(n, d);
  parallel_for(0, n, [&](Index i, int) {
    float* const row = y.view().row(i);
    fill_normal(Rng{10}, static_cast<std::uint64_t>(i * d), {row, d});
    for (Index k = 0; k < d; ++k) row[k] *= deviation[static_cast<std::size_t>(k)];
  });
  time_fit(state, y,
           {.epsilon = 1e-3 * static_cast<double>(state.range(2)) * std::sqrt(0.25 * static_cast<double>(d)),
            .max_seconds = static_cast<double>(state.range(3)),
            .context = context});
}
BENCHMARK(large_fit)
    ->Args({2560000, 500, 0, 320})
    ->Args({2560000, 500, 10, 320})
    ->Args({2560000, 3072, 0, 400})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (!ot::cuda_available()) {
    std::fprintf(stderr, "cuda_solvers_bench: %s\n", ot::cuda_report().why_not.c_str());
    return 0;
  }
  benchmark::RunSpecifiedBenchmarks();
}
