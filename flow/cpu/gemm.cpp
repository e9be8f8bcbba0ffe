#include "monge/flow/cpu/gemm.h"

#include <cblas.h>

namespace monge::flow::cpu {
namespace {

CBLAS_TRANSPOSE op(bool transpose) { return transpose ? CblasTrans : CblasNoTrans; }
blasint size(Index n) { return static_cast<blasint>(n); }

}  // namespace

void gemm(bool transpose_a, bool transpose_b, Index inner, MatrixView<const float> a, MatrixView<const float> b,
          bool accumulate, MatrixView<float> c) {
  cblas_sgemm(CblasRowMajor, op(transpose_a), op(transpose_b), size(c.rows), size(c.cols), size(inner), 1.0f, a.data,
              size(a.stride), b.data, size(b.stride), accumulate ? 1.0f : 0.0f, c.data, size(c.stride));
}

void gemm(bool transpose_a, bool transpose_b, Index inner, MatrixView<const double> a, MatrixView<const double> b,
          bool accumulate, MatrixView<double> c) {
  cblas_dgemm(CblasRowMajor, op(transpose_a), op(transpose_b), size(c.rows), size(c.cols), size(inner), 1.0, a.data,
              size(a.stride), b.data, size(b.stride), accumulate ? 1.0 : 0.0, c.data, size(c.stride));
}

}  // namespace monge::flow::cpu
