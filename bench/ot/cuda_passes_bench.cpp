// Passes on the first GPU, everything in its memory, beside the limits of the chip measured in the same run: the
// largest of
//   product    multiply-adds of the scores: 3 d a pair on tensor cores (d > 8), d of fp32 (d <= 8, distances twice
//   that) exp        one ex2 a pair for each pass over the scores that needs it read       the bytes of a stored matrix
// over the time taken is `share`. Counters: pairs a second, ms of each limit. Scores are made once or several times per
// verb (`passes`): apply and balance go through them twice.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>

#include "cuda_ceilings.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/doctor.h"

namespace {

using namespace monge;
using namespace monge::ot;

constexpr Device device{DeviceType::cuda, 0};
constexpr float epsilon = 0.5f;

Matrix<float> normal_matrix(Index rows, Index cols, std::uint64_t seed) {
  Matrix<float> x(rows, cols);
  fill_normal(Rng{seed}, 0, {x.data(), rows * cols});
  for (Index i = 0; i < rows * cols; ++i) x.data()[i] /= std::sqrt(static_cast<float>(cols));
  Matrix<float> there(rows, cols, device);
  copy(x.view(), there.view());
  return there;
}

const bench::Ceilings& ceilings() {
  static const bench::Ceilings measured = bench::measure_ceilings();
  return measured;
}

// A verb on scores and results that stay on the device.
struct Verb {
  const char* name;
  int passes;  // over the scores
  int exps;    // per pair
  std::function<void(const Scores<float>&, const Context&)> run;
};

template <class T>
VectorView<T> room(Index size) {  // kept from call to call, so that no allocation is timed
  static Buffer<T> buffer;
  if (buffer.size() < size) buffer = Buffer<T>(size, device);
  return {buffer.data(), size, device};
}

const Verb verbs[] = {
    {"softmin", 1, 1,
     [](const Scores<float>& s, const Context& c) {
       passes_for<float>(device).softmin(s, epsilon, room<float>(s.rows()), c);
     }},
    {"hardmin", 1, 0,
     [](const Scores<float>& s, const Context& c) {
       passes_for<float>(device).hardmin(s, {room<float>(s.rows()).data, s.rows(), 1, 1, device},
                                         {room<std::int32_t>(s.rows()).data, s.rows(), 1, 1, device}, c);
     }},
    {"hardmin_top8", 1, 0,
     [](const Scores<float>& s, const Context& c) {
       passes_for<float>(device).hardmin(s, {room<float>(8 * s.rows()).data, s.rows(), 8, 8, device},
                                         {room<std::int32_t>(8 * s.rows()).data, s.rows(), 8, 8, device}, c);
     }},
    {"sample", 1, 1,
     [](const Scores<float>& s, const Context& c) {
       passes_for<float>(device).sample(s, epsilon, Rng{1}, 0, room<std::int32_t>(s.rows()), c);
     }},
    {"balance", 2, 2,
     [](const Scores<float>& s, const Context& c) {
       static Buffer<double> weights, f, mass;
       if (weights.size() != s.rows()) {
         const std::vector<double> ones(static_cast<std::size_t>(s.rows()), 1.0);
         weights = Buffer<double>(s.rows(), device), f = Buffer<double>(s.rows(), device);
         copy(VectorView<const double>(ones), weights.view());
       }
       if (mass.size() != s.cols()) mass = Buffer<double>(s.cols(), device);
       passes_for<float>(device).balance(s, epsilon, weights.view(), f.view(), mass.view(), c);
     }},
    {"apply3", 2, 2,
     [](const Scores<float>& s, const Context& c) {
       static Matrix<float> values;
       if (values.rows() != s.cols()) values = normal_matrix(s.cols(), 3, 8);
       passes_for<float>(device).apply(s, epsilon, values.view(),
                                       {room<float>(3 * s.rows()).data, s.rows(), 3, 3, device}, c);
     }},
};

void pass(benchmark::State& state, const Verb& verb, Metric metric, Products products) {
  const Index n = state.range(0), m = state.range(1), d = state.range(2);
  const bool stored = d == 0;
  const Matrix<float> x = normal_matrix(stored ? 1 : n, stored ? 1 : d, 5);
  const Matrix<float> y = normal_matrix(stored ? 1 : m, stored ? 1 : d, 6);
  const Matrix<float> matrix = normal_matrix(stored ? n : 1, stored ? m : 1, 7);
  Scores<float> s;
  if (stored) {
    s.stored = matrix.view();
  } else {
    s.x = x.view(), s.y = y.view();
    s.metric = metric;
    s.scale = metric == Metric::dot ? std::sqrt(static_cast<float>(d)) : -1.0f;
  }
  double time = 0;
  for (auto _ : state) {
    time = bench::device_seconds(
        5, [&](void* stream) { verb.run(s, {.device = device, .stream = stream, .products = products}); });
    state.SetIterationTime(time);
  }
  const bench::Ceilings& c = ceilings();
  const double pairs = static_cast<double>(n) * static_cast<double>(m), dims = static_cast<double>(d);
  const bool halves = metric == Metric::dot && d > 8;
  const double product =
      verb.passes * pairs * dims *
      (halves ? (products == Products::full ? 3 : 1) / bench::products(c) : (metric == Metric::dot ? 1 : 2) / c.fma);
  const double exps = verb.exps * pairs / c.exp2, read = stored ? verb.passes * 4 * pairs / c.copy : 0;
  state.counters["pairs/s"] = pairs / time;
  state.counters["product_ms"] = 1e3 * product;
  state.counters["exp_ms"] = 1e3 * exps;
  state.counters["read_ms"] = 1e3 * read;
  state.counters["share"] = std::max({product, exps, read}) / time;
}

void register_pass(const Verb& verb, const char* suffix, Metric metric, Products products,
                   std::initializer_list<std::array<Index, 3>> shapes) {
  auto* b = benchmark::RegisterBenchmark((std::string(verb.name) + suffix).c_str(), pass, verb, metric, products);
  b->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(1)->ArgNames({"n", "m", "d"});
  for (const auto& shape : shapes) b->Args({shape[0], shape[1], shape[2]});
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (!cuda_available()) {
    std::fprintf(stderr, "cuda_passes_bench: %s\n", cuda_report().why_not.c_str());
    return 0;
  }
  for (const Verb& verb : verbs) {
    register_pass(verb, "", Metric::dot, Products::full,
                  {{65536, 65536, 64},
                   {65536, 65536, 3},
                   {16384, 16384, 784},
                   {16384, 16384, 0},
                   {10000, 10000, 64},
                   {256, 60000, 784}});
  }
  register_pass(verbs[0], "_large", Metric::dot, Products::full, {{262144, 262144, 3}, {16384, 16384, 3072}});
  register_pass(verbs[0], "_single", Metric::dot, Products::single, {{65536, 65536, 64}, {16384, 16384, 3072}});
  register_pass(verbs[1], "_single", Metric::dot, Products::single, {{65536, 65536, 64}, {16384, 16384, 3072}});
  register_pass(verbs[0], "_euclidean", Metric::euclidean, Products::full, {{65536, 65536, 3}, {16384, 16384, 64}});
  const bench::Ceilings& c = ceilings();
  char text[64];
  const auto say = [&](const char* name, double value, const char* unit) {
    std::snprintf(text, sizeof text, "%.4g %s", value, unit);
    benchmark::AddCustomContext(name, text);
  };
  say("copy", 1e-12 * c.copy, "TB/s");
  say("mma_fp16", 2e-12 * c.mma, "TFLOP/s");
  say("wgmma_fp16", 2e-12 * c.wgmma, "TFLOP/s");
  say("exp2", 1e-12 * c.exp2, "T/s");
  say("fma_fp32", 2e-12 * c.fma, "TFLOP/s");
  say("fma_fp64", 2e-12 * c.fma64, "TFLOP/s");
  for (const CudaDevice& d : cuda_report().devices) benchmark::AddCustomContext(concat("cuda:", d.index), d.name);
  benchmark::RunSpecifiedBenchmarks();
}
