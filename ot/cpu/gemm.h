#pragma once
#include <cblas.h>

#include "monge/ot/core/array.h"

namespace monge::ot::cpu {

// out = alpha x y^T, rows of out `stride` apart.
inline void gemm(float alpha, MatrixView<const float> x, MatrixView<const float> y, float* out, Index stride) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<blasint>(x.rows), static_cast<blasint>(y.rows),
              static_cast<blasint>(x.cols), alpha, x.data, static_cast<blasint>(x.stride), y.data,
              static_cast<blasint>(y.stride), 0.0f, out, static_cast<blasint>(stride));
}
inline void gemm(double alpha, MatrixView<const double> x, MatrixView<const double> y, double* out, Index stride) {
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<blasint>(x.rows), static_cast<blasint>(y.rows),
              static_cast<blasint>(x.cols), alpha, x.data, static_cast<blasint>(x.stride), y.data,
              static_cast<blasint>(y.stride), 0.0, out, static_cast<blasint>(stride));
}

}  // namespace monge::ot::cpu
