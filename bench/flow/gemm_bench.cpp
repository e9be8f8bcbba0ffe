// The products of a training step (batch 256, 784-512, residual blocks of 512, 512-784): our tiles against the
// machine's own rate, which is the better of plain OpenBLAS on one and on all threads. Both are timed in turns;
// counters are medians in GFLOP/s, `share` their ratio.
#include <benchmark/benchmark.h>
#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "monge/flow/nn/kernels.h"
#include "monge/ot/core/random.h"

namespace {

using monge::Index;
using monge::Matrix;

struct Shape {
  const char* name;
  Index rows, cols, inner;
  bool transpose_a, transpose_b;
};

constexpr Shape shapes[] = {
    {"forward_in", 256, 512, 784, false, true},
    {"forward_block", 256, 512, 512, false, true},
    {"forward_out", 256, 784, 512, false, true},
    {"input_gradient_block", 256, 512, 512, false, false},
    {"input_gradient_out", 256, 512, 784, false, false},
    {"weight_gradient_in", 512, 784, 256, true, false},
    {"weight_gradient_block", 512, 512, 256, true, false},
    {"weight_gradient_out", 784, 512, 256, true, false},
};

template <class F>
double seconds(const F& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

void gemm(benchmark::State& state, const Shape& s) {
  Matrix<float> a(s.transpose_a ? s.inner : s.rows, s.transpose_a ? s.rows : s.inner);
  Matrix<float> b(s.transpose_b ? s.cols : s.inner, s.transpose_b ? s.inner : s.cols);
  Matrix<float> c(s.rows, s.cols);
  monge::fill_normal({1, 1}, 0, {a.data(), a.rows() * a.cols()});
  monge::fill_normal({1, 2}, 0, {b.data(), b.rows() * b.cols()});
  const auto plain = [&](int threads) {
    omp_set_num_threads(threads);
    cblas_sgemm(CblasRowMajor, s.transpose_a ? CblasTrans : CblasNoTrans, s.transpose_b ? CblasTrans : CblasNoTrans,
                static_cast<int>(s.rows), static_cast<int>(s.cols), static_cast<int>(s.inner), 1, a.data(),
                static_cast<int>(a.cols()), b.data(), static_cast<int>(b.cols()), 0, c.data(),
                static_cast<int>(s.cols));
  };
  const int threads = omp_get_num_procs();
  std::vector<double> ours, one, all;
  for (auto _ : state) {
    one.push_back(seconds([&] { plain(1); }));
    all.push_back(seconds([&] { plain(threads); }));
    ours.push_back(seconds([&] {
      monge::flow::nn::kernels_for<float>({}).matmul({a.view(), b.view(), s.transpose_a, s.transpose_b, {}, {}, 0, {}},
                                                     c.view(), {.threads = threads});
    }));
    state.SetIterationTime(ours.back());
  }
  const double flop = 2e-9 * static_cast<double>(s.rows * s.cols * s.inner);
  const double rate = flop / median(ours), best = flop / std::min(median(one), median(all));
  state.counters["GFLOP/s"] = rate;
  state.counters["machine"] = best;
  state.counters["share"] = rate / best;
}

}  // namespace

int main(int argc, char** argv) {
  for (const Shape& s : shapes) {
    benchmark::RegisterBenchmark(s.name, gemm, s)->UseManualTime()->Iterations(101)->Unit(benchmark::kMillisecond);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
