#include <benchmark/benchmark.h>

#include <algorithm>
#include <vector>

#include "../normal.h"
#include "monge/flow/sliced_w2.h"
#include "monge/ot/radix_sort.h"

namespace {

using namespace monge;

// 10,000 points of 784 dimensions against as many, 1,000 directions; without and with the reference made anew.
void sliced(benchmark::State& state) {
  const Index n = 10000, d = 784;
  const bool anew = state.range(0) != 0;
  const auto x = gaussian<float>(n * d, 1), y = gaussian<float>(n * d, 2);
  flow::SlicedOptions options;
  options.context.threads = static_cast<int>(state.range(1));
  const MatrixView<const float> a(x.data(), n, d), b(y.data(), n, d);
  const flow::SlicedReference reference(b, options);
  double distance = 0;
  for (auto _ : state) distance = anew ? flow::sliced_w2(a, b, options) : reference.distance(a);
  state.counters["distance"] = distance;
  state.counters["GFLOP/s"] =
      benchmark::Counter((anew ? 2 : 1) * 2e-9 * n * d * options.directions * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
}
BENCHMARK(sliced)
    ->ArgNames({"anew", "threads"})
    ->Args({0, 1})
    ->Args({0, 2})
    ->Args({1, 2})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void sort_projections(benchmark::State& state) {
  const Index n = state.range(0);
  const bool radix = state.range(1) != 0;
  const auto source = gaussian<float>(n, 3);
  std::vector<float> values(n);
  std::vector<std::uint32_t> scratch(2 * n);
  for (auto _ : state) {
    values = source;
    if (radix)
      ot::detail::radix_sort(VectorView<float>(values), VectorView<std::uint32_t>(scratch));
    else
      std::sort(values.begin(), values.end());
    benchmark::DoNotOptimize(values.data());
  }
  state.SetItemsProcessed(n * state.iterations());
}
BENCHMARK(sort_projections)->ArgNames({"n", "radix"})->ArgsProduct({{300, 2000, 10000, 60000}, {0, 1}});

}  // namespace

BENCHMARK_MAIN();
