// What pairing by potentials adds to a training step: two trainers that differ only in their coupling, timed in turns
// over blocks of as many steps as a pool of noise lasts, so that each holds one matching of a pool.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "monge/flow/semidiscrete_coupling.h"
#include "monge/flow/train.h"
#include "monge/ot/core/random.h"

namespace {

using namespace monge;
using namespace monge::flow;

constexpr Index atoms = 60000, dimensions = 784;

double milliseconds_a_step(Trainer& trainer, Index block) {
  const auto start = std::chrono::steady_clock::now();
  for (Index i = 0; i < block; ++i) trainer.step();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count() /
         static_cast<double>(block);
}

double median(std::vector<double> v) {
  const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  return *middle;
}

// Arguments: principal directions of the potentials (0 = all dimensions), whose values do not change the cost; rounds
// of recombination.
void semidiscrete_step(benchmark::State& state) {
  Matrix<float> data(atoms, dimensions);
  fill_normal({1, 1}, 0, {data.data(), data.rows() * data.cols()});
  ot::SemidiscretePotentials potentials;
  potentials.g.assign(atoms, 0.0);
  if (state.range(0) > 0) potentials.pca = ot::fit_pca(data.view(), state.range(0));

  const auto alone = independent_coupling(atoms, 1);
  const auto paired = semidiscrete_coupling(data.view(), potentials, {.seed = 1, .rounds = state.range(1)});
  Trainer independent({}, MatrixView<const float>(data.view()), *alone);
  Trainer semidiscrete({}, MatrixView<const float>(data.view()), *paired);
  independent.step(), semidiscrete.step();

  const Index pool = 64 * SemidiscreteCouplingOptions{}.groups * state.range(1);
  const Index block = pool / independent.options().batch;
  std::vector<double> without, with, ratio;
  for (auto _ : state) {
    without.push_back(milliseconds_a_step(independent, block));
    with.push_back(milliseconds_a_step(semidiscrete, block));
    ratio.push_back(with.back() / without.back());
  }
  state.counters["independent_ms"] = median(without);
  state.counters["semidiscrete_ms"] = median(with);
  state.counters["ratio"] = median(ratio);
}
BENCHMARK(semidiscrete_step)->Args({64, 32})->Iterations(7)->Unit(benchmark::kMillisecond);
BENCHMARK(semidiscrete_step)->Args({0, 128})->Iterations(2)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
