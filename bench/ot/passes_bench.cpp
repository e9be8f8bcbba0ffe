// Passes over n x m scores, in nanoseconds per pair of one thread's time, beside what the machine allows, measured in
// the same run:
//   product    sgemm on tiles of this shape (d > 8); reading the matrix (stored); the direct product is not counted;
//              of distances as many instructions as they need, a difference and a fused multiply-add per coordinate
//              (l1: a modulus and an addition), at the rate of sgemm's multiply-adds; the square root is not counted
//   reduction  the same verb on a stored matrix small enough for the cache, so nothing but the reduction
//   share      (product + reduction) / measured, of a stored matrix max(product, reduction) / measured
#include <benchmark/benchmark.h>
#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/parallel.h"

namespace {

using namespace monge;
using namespace monge::ot;

using Verb = std::function<void(const Scores<float>&, const Context&)>;

Matrix<float> normal_matrix(Index rows, Index cols, std::uint64_t seed) {
  Matrix<float> x(rows, cols);
  fill_normal(Rng{seed}, 0, {x.data(), rows * cols});
  for (Index i = 0; i < rows * cols; ++i) x.data()[i] /= std::sqrt(static_cast<float>(cols));
  return x;
}

double seconds(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double best_of(int times, const std::function<void()>& f) {
  double best = 1e30;
  for (int i = 0; i < times; ++i) best = std::min(best, seconds(f));
  return best;
}

// All threads at work, each `times` times; seconds of one.
double on_each_thread(int threads, int times, const std::function<void()>& f) {
  return best_of(3,
                 [&] {
                   parallel_for(threads, threads, [&](Index, int) {
                     for (int i = 0; i < times; ++i) f();
                   });
                 }) /
         times;
}

double gemm_per_pair(Index d, int threads) {
  const Index tile = 256, m = 16 * tile;
  const Matrix<float> x = normal_matrix(tile, d, 1), y = normal_matrix(m, d, 2);
  const double time = on_each_thread(threads, 1 + static_cast<int>(2000 / d), [&] {
    std::vector<float> out(static_cast<std::size_t>(tile * (tile + 16)));
    for (Index j = 0; j < m; j += tile) {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, tile, tile, static_cast<int>(d), 1, x.data(),
                  static_cast<int>(d), y.data() + j * d, static_cast<int>(d), 0, out.data(), tile + 16);
    }
    benchmark::DoNotOptimize(out.data());
  });
  return time / static_cast<double>(tile * m);
}

double read_per_float(int threads) {
  const Index size = Index{1} << 26;  // 256 MB, beyond most caches
  const Matrix<float> data = normal_matrix(1, size, 3);
  return static_cast<double>(threads) / static_cast<double>(size) * best_of(3, [&] {
           parallel_for(threads, 64, [&](Index part, int) {
             const float* p = data.data() + part * (size / 64);
             float sum[64] = {};
             for (Index i = 0; i < size / 64; i += 64) {
               for (int l = 0; l < 64; ++l) sum[l] += p[i + l];
             }
             benchmark::DoNotOptimize(sum);
           });
         });
}

double reduction_per_pair(const Verb& verb) {
  const Index n = 32, m = 8192;
  const Matrix<float> stored = normal_matrix(n, m, 4);
  return best_of(50, [&] { verb({.stored = stored.view()}, {.threads = 1}); }) / static_cast<double>(n * m);
}

double product_per_pair(Metric metric, Index d, int threads) {
  if (d == 0) return read_per_float(threads);
  if (metric == Metric::dot) return d > 8 ? gemm_per_pair(d, threads) : 0.0;
  const Index usual = 784;
  const double instructions = metric == Metric::euclidean ? 2 : 3;
  return instructions * static_cast<double>(d) * gemm_per_pair(usual, threads) / static_cast<double>(usual);
}

void pass(benchmark::State& state, const Verb& verb, Metric metric) {
  const Index n = state.range(0), m = state.range(1), d = state.range(2);
  const int threads = static_cast<int>(state.range(3));
  const bool stored = d == 0;
  Matrix<float> x = normal_matrix(stored ? 0 : n, d, 5), y = normal_matrix(stored ? 0 : m, d, 6);
  Matrix<float> matrix = normal_matrix(stored ? n : 0, m, 7);
  Scores<float> s;
  if (stored) {
    s.stored = matrix.view();
  } else {
    s.x = x.view();
    s.y = y.view();
    s.metric = metric;
    s.scale = metric == Metric::dot ? std::sqrt(static_cast<float>(d)) : -1.0f;
  }
  double best = 1e30;
  for (auto _ : state) {
    const double time = seconds([&] { verb(s, {.threads = threads}); });
    state.SetIterationTime(time);
    best = std::min(best, time);
  }
  const double per_pair = best * threads / static_cast<double>(n * m);
  const double product = product_per_pair(metric, d, threads);
  const double reduction = reduction_per_pair(verb);
  const double limit = stored ? std::max(product, reduction) : product + reduction;
  state.counters["ns/pair"] = 1e9 * per_pair;
  state.counters["product"] = 1e9 * product;
  state.counters["reduction"] = 1e9 * reduction;
  state.counters["share"] = limit / per_pair;
}

void normals(benchmark::State& state) {
  std::vector<float> z(1 << 16);
  std::uint64_t first = 0;
  for (auto _ : state) {
    fill_normal(Rng{1}, first, VectorView<float>(z));
    first += z.size();
    benchmark::DoNotOptimize(z.data());
  }
  state.counters["ns/normal"] =
      benchmark::Counter(static_cast<double>(z.size()) * 1e-9,
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

constexpr float epsilon = 0.5f;

void softmin(const Scores<float>& s, const Context& context) {
  Buffer<float> f(s.rows());
  passes_for<float>({}).softmin(s, epsilon, f.view(), context);
}

void hardmin(Index k, const Scores<float>& s, const Context& context) {
  Matrix<float> values(s.rows(), k);
  Matrix<std::int32_t> columns(s.rows(), k);
  passes_for<float>({}).hardmin(s, values.view(), columns.view(), context);
}

void sample(const Scores<float>& s, const Context& context) {
  Buffer<std::int32_t> columns(s.rows());
  passes_for<float>({}).sample(s, epsilon, Rng{1}, 0, columns.view(), context);
}

void histogram(const Scores<float>& s, const Context& context) {
  const std::vector<float> f(static_cast<std::size_t>(s.rows()), -10.0f);
  std::vector<double> mass(static_cast<std::size_t>(s.cols()));
  passes_for<float>({}).histogram(s, epsilon, f, {}, mass, context);
}

void apply(const Scores<float>& s, const Context& context) {
  const Matrix<float> values = normal_matrix(s.cols(), 3, 8);
  Matrix<float> out(s.rows(), 3);
  passes_for<float>({}).apply(s, epsilon, values.view(), out.view(), context);
}

// The softmins of one call are the guesses of the next, as in an iteration.
Verb balance() {
  return [f = std::vector<double>()](const Scores<float>& s, const Context& context) mutable {
    f.resize(static_cast<std::size_t>(s.rows()), std::nan(""));
    const std::vector<double> weights(f.size(), 1.0);
    std::vector<double> mass(static_cast<std::size_t>(s.cols()));
    passes_for<float>({}).balance(s, epsilon, weights, f, mass, context);
  };
}

void energy(const Scores<float>& s, const Context& context) {
  const std::vector<double> f(static_cast<std::size_t>(s.rows()), -10.0);
  Matrix<double> out(s.rows(), 3);
  passes_for<float>({}).energy(s, epsilon, f, {}, {}, out.view(), context);
}

}  // namespace

int main(int argc, char** argv) {
  const int all = omp_get_num_procs();
  const std::pair<const char*, Verb> verbs[] = {
      {"softmin", softmin},
      {"hardmin", [](auto& s, auto& c) { hardmin(1, s, c); }},
      {"hardmin_top8", [](auto& s, auto& c) { hardmin(8, s, c); }},
      {"sample", sample},
      {"histogram", histogram},
      {"apply", apply},
      {"balance", balance()},
      {"energy", energy},
  };
  for (const auto& [name, verb] : verbs) {
    auto* b =
        benchmark::RegisterBenchmark(name, pass, verb, Metric::dot)->UseManualTime()->Unit(benchmark::kMillisecond);
    b->ArgNames({"n", "m", "d", "threads"});
    b->Args({16384, 16384, 3, 1})->Args({4096, 16384, 0, 1});           // d = 0: stored
    if (std::string(name) != "balance") b->Args({4096, 60000, 64, 1});  // which is softmin and histogram then
    if (name == verbs[0].first || name == verbs[1].first) b->Args({1024, 60000, 784, 1})->Args({4096, 60000, 64, all});
  }
  const std::pair<const char*, Metric> metrics[] = {{"euclidean", Metric::euclidean}, {"l1", Metric::l1}};
  for (const auto& [metric_name, metric] : metrics) {
    for (const auto& [name, verb] : {verbs[0], verbs[1]}) {
      benchmark::RegisterBenchmark((std::string(name) + "_" + metric_name).c_str(), pass, verb, metric)
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond)
          ->ArgNames({"n", "m", "d", "threads"})
          ->Args({16384, 16384, 3, 1})
          ->Args({4096, 60000, 64, 1});
    }
  }
  benchmark::RegisterBenchmark("fill_normal", normals);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
