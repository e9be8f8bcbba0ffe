// Matching noise with data: our own pass and FAISS's indices, with what they find. Clusters stand for data.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>

#include "monge/ot/core/backend.h"
#include "monge/ot/index_fit.h"
#include "monge/ot/matcher.h"
#include "monge/ot/score_tree.h"

namespace {

using namespace monge;
using ot::FaissIndex;

constexpr Index atoms = 20000, dims = 64, rows = 8192;

struct Problem {
  Matrix<float> y{atoms, dims}, x{rows, dims};
  ot::SemidiscreteResult fit;
  std::unique_ptr<ot::Matcher> exact;

  Problem() {
    Matrix<float> centres(50, dims);
    fill_normal(Rng{1}, 0, {y.data(), atoms * dims});
    fill_normal(Rng{2}, 0, {centres.data(), 50 * dims});
    fill_normal(Rng{3}, 0, {x.data(), rows * dims});
    for (Index i = 0; i < atoms; ++i)
      for (Index k = 0; k < dims; ++k) y(i, k) = 0.5f * y(i, k) + centres(i % 50, k);
    fit = ot::semidiscrete(y.view());
    exact = ot::pass_matcher(y.view(), fit.potentials);
  }
};

Problem& problem() {
  static Problem p;
  return p;
}

void run(benchmark::State& state, const ot::Matcher& matcher) {
  Problem& p = problem();
  std::vector<std::int32_t> partners(rows);
  for (auto _ : state) matcher.match(p.x.view(), Rng{}, 0, partners);
  state.counters["noise/s"] =
      benchmark::Counter(static_cast<double>(rows), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["recall"] = ot::recall(matcher, *p.exact, dims, rows, 5);
  state.counters["chi2"] = ot::marginal_error(matcher, atoms, dims, 60000, 7).chi2;
}

void pass(benchmark::State& state) { run(state, *problem().exact); }
BENCHMARK(pass)->Unit(benchmark::kMillisecond)->UseRealTime();

ot::FaissOptions options_of(const benchmark::State& state) {
  const auto width = static_cast<int>(state.range(1));
  return {.index = static_cast<FaissIndex>(state.range(0)), .probes = width, .search_width = width};
}

// Arguments: 0 flat, 1 ivf, 2 hnsw; cells or candidates looked at.
void faiss(benchmark::State& state) {
  run(state, *ot::faiss_matcher(problem().y.view(), problem().fit.potentials, options_of(state)));
  state.SetLabel(to_string(options_of(state).index));
}
BENCHMARK(faiss)
    ->Args({0, 1})
    ->Args({1, 16})
    ->Args({1, 64})
    ->Args({2, 64})
    ->Args({2, 256})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// The same with potentials fitted through the index.
void fitted(benchmark::State& state) {
  const ot::SemidiscreteResult fit =
      ot::fit_to_index(problem().y.view(), problem().fit.potentials, options_of(state), {.max_samples_per_atom = 40});
  run(state, *ot::faiss_matcher(problem().y.view(), fit.potentials, options_of(state)));
  state.counters["noise/atom"] = fit.samples_per_atom;
  state.SetLabel(to_string(options_of(state).index));
}
BENCHMARK(fitted)->Args({1, 16})->Args({1, 64})->Args({2, 64})->Unit(benchmark::kMillisecond)->UseRealTime();

// In few dimensions: the search through a tree, and the pass over all scores beside it; a normal cloud under the
// potentials of its limit. Arguments: dimensions, atoms.
void tree(benchmark::State& state) {
  using Clock = std::chrono::steady_clock;
  const Index d = state.range(0), n = state.range(1), some = n > 100000 ? 512 : rows;
  Matrix<float> y(n, d), x(rows, d), pass_best(rows, 1);
  Matrix<double> best(rows, 1);
  Matrix<std::int32_t> columns(rows, 1);
  fill_normal(Rng{1}, 0, {y.data(), n * d});
  fill_normal(Rng{2}, 0, {x.data(), rows * d});
  std::vector<float> v(static_cast<std::size_t>(n));
  for (Index j = 0; j < n; ++j)
    for (Index k = 0; k < d; ++k) v[static_cast<std::size_t>(j)] -= 0.5f * y(j, k) * y(j, k);
  ot::ScoreTree search(y.view(), {}, {});
  search.set_biases(std::vector<double>(v.begin(), v.end()), {});
  const auto start = Clock::now();
  for (auto _ : state) search.find(x.view(), {}, 0, best.view(), columns.view(), {});
  const std::chrono::duration<double> in_tree = Clock::now() - start;
  double in_pass = HUGE_VAL;
  for (int k = 0; k < 3; ++k) {
    const auto begin = Clock::now();
    ot::passes_for<float>({}).hardmin({.x = x.view().rows_from(0, some), .y = y.view(), .v = v},
                                      pass_best.view().rows_from(0, some), columns.view().rows_from(0, some), {});
    in_pass = std::min(in_pass, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  const double row_in_tree = in_tree.count() / static_cast<double>(state.iterations() * rows);
  state.counters["us/row"] = 1e6 * row_in_tree;
  state.counters["pass/tree"] = in_pass / static_cast<double>(some) / row_in_tree;
}
BENCHMARK(tree)
    ->ArgsProduct({{1, 2, 3, 4, 8}, {256, 4096, 65536, 1000000}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
