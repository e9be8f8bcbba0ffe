#pragma once
#include "monge/ot/core/array.h"

namespace monge::flow::cpu {

// The tiles a product is cut into, whatever the number of threads: OpenBLAS rounds differently for different shapes and
// thread counts, never for the same call on one thread. Large enough to run near its full rate, small enough to share.
inline constexpr Index tile_rows = 128, tile_cols = 256;

// c = op(a) op(b), or c += op(a) op(b); the shapes are taken from c and the inner size. One thread inside parallel_for.
void gemm(bool transpose_a, bool transpose_b, Index inner, MatrixView<const float> a, MatrixView<const float> b,
          bool accumulate, MatrixView<float> c);
void gemm(bool transpose_a, bool transpose_b, Index inner, MatrixView<const double> a, MatrixView<const double> b,
          bool accumulate, MatrixView<double> c);

}  // namespace monge::flow::cpu
