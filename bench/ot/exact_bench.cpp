#include <benchmark/benchmark.h>

#include <cmath>
#include <random>
#include <vector>

#include "../normal.h"
#include "monge/ot/exact.h"

// Exact solvers other than assign(), from clouds or a matrix to certificate.
namespace {

using namespace monge;

// Between 0.5 and 1.5, in all 1.
std::vector<double> weights(Index count, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> law(0.5, 1.5);
  std::vector<double> w(count);
  double sum = 0;
  for (double& e : w) e = law(random), sum += e;
  for (double& e : w) e /= sum;
  return w;
}

// Normal points: n of dimension d to m.
struct Clouds {
  std::vector<double> x, y;
  Index n, m, d;

  Clouds(Index rows, Index cols, Index dims)
      : x(gaussian<double>(rows * dims, 1)), y(gaussian<double>(cols * dims, 2)), n(rows), m(cols), d(dims) {}
  MatrixView<const double> rows() const { return {x.data(), n, d}; }
  MatrixView<const double> cols() const { return {y.data(), m, d}; }
};

template <class Result>
void report(benchmark::State& state, const Result& r, Index pairs) {
  const ot::Certificate& c = r.certificate;
  state.counters["cost"] = r.cost;
  state.counters["gap"] = (c.upper - c.lower) / c.upper;
  state.counters["pairs/s"] = benchmark::Counter(static_cast<double>(pairs) * static_cast<double>(state.iterations()),
                                                 benchmark::Counter::kIsRate);
}

// Random weights on either side: the network simplex.
void exact_weighted(benchmark::State& state, ot::Cost cost) {
  const Clouds clouds(state.range(0), state.range(1), state.range(2));
  const auto a = weights(clouds.n, 3), b = weights(clouds.m, 4);
  const ot::Problem<double> problem{.x = clouds.rows(), .y = clouds.cols(), .cost = cost, .a = a, .b = b};
  ot::ExactOptions options;
  options.context.threads = static_cast<int>(state.range(3));
  ot::ExactResult result;
  for (auto _ : state) result = ot::exact(problem, options);
  report(state, result, clouds.n * clouds.m);
  state.counters["pivots"] = static_cast<double>(result.iterations);
}
BENCHMARK_CAPTURE(exact_weighted, squared_euclidean, ot::Cost::squared_euclidean)
    ->ArgNames({"n", "m", "d", "threads"})
    ->Args({1000, 1000, 2, 1})
    ->Args({1000, 1400, 64, 1})
    ->Args({2000, 2800, 2, 1})
    ->Args({2000, 2800, 2, 2})
    ->Args({2000, 2800, 64, 2})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(exact_weighted, l1, ot::Cost::l1)
    ->ArgNames({"n", "m", "d", "threads"})
    ->Args({1000, 1400, 3, 2})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// Equal weights, which exact() would assign.
void network_simplex_uniform(benchmark::State& state) {
  const Clouds clouds(state.range(0), state.range(0), state.range(1));
  const ot::Problem<double> problem{.x = clouds.rows(), .y = clouds.cols()};
  ot::ExactResult result;
  for (auto _ : state) result = ot::network_simplex(problem);
  report(state, result, clouds.n * clouds.m);
  state.counters["pivots"] = static_cast<double>(result.iterations);
}
BENCHMARK(network_simplex_uniform)
    ->ArgNames({"n", "d"})
    ->Args({1000, 2})
    ->Args({1000, 64})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// Given a matrix of whole numbers, a tenth of whose pairs are allowed.
void network_simplex_forbidden(benchmark::State& state) {
  const Index n = state.range(0);
  std::mt19937_64 random(5);
  std::vector<double> cost(n * n);
  for (Index k = 0; k < n * n; ++k)
    cost[k] = k % (n + 1) == 0 || random() % 10 == 0 ? static_cast<double>(random() % 1000) : HUGE_VAL;
  const auto a = weights(n, 3);  // the diagonal is a plan
  const ot::Problem<double> problem{.cost_matrix = {cost.data(), n, n}, .a = a, .b = a};
  ot::ExactResult result;
  for (auto _ : state) result = ot::network_simplex(problem);
  report(state, result, n * n);
}
BENCHMARK(network_simplex_forbidden)->ArgName("n")->Arg(1000)->Unit(benchmark::kMillisecond)->UseRealTime();

// Assignments by name.
template <class Solve>
void assign_by(benchmark::State& state, const Solve& solve) {
  const Clouds clouds(state.range(0), state.range(0), state.range(1));
  ot::AssignmentResult result;
  for (auto _ : state) result = solve(clouds.rows(), clouds.cols());
  report(state, result, clouds.n * clouds.m);
}
void hungarian(benchmark::State& state) {
  assign_by(state, [](auto x, auto y) { return ot::hungarian(x, y); });
}
void auction(benchmark::State& state) {
  assign_by(state, [](auto x, auto y) { return ot::auction(x, y); });
}
BENCHMARK(hungarian)
    ->ArgNames({"n", "d"})
    ->Args({500, 2})
    ->Args({1000, 64})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK(auction)
    ->ArgNames({"n", "d"})
    ->Args({500, 2})
    ->Args({1000, 64})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
