#pragma once
#include "monge/ot/core/scores.h"
#include "monge/ot/cpu/tile_source.h"

namespace monge::ot::cpu {

// What fills tiles without BLAS, compiled for every instruction set and chosen at run time.

// Rows of transposed points lie so far apart: off the power of two, or all rows fall into one cache set.
inline constexpr Index transposed_stride = tile_cols + 16;

// A tile to be filled: one number for each row of x and each of `cols` columns, a multiple of any vector's length. y
// has one row for every coordinate of the points of the columns, aligned.
template <class T>
struct Draft {
  MatrixView<const T> x;
  const T* y;
  Index cols;
  T* out;  // rows of `stride`
  Index stride;
};

// out_ij = <x_i, y_j> for 1 to direct_dims coordinates, where a GEMM would mostly pack.
inline constexpr Index direct_dims = 8;
void products(const Draft<float>& draft);
void products(const Draft<double>& draft);

// out_ij = |x_i - y_j| in the Euclidean or the l1 metric, from differences of coordinates. These may come in several
// calls: the `first` starts the sums, the `last` makes distances of them. A sum too large for T counts as its largest
// finite number.
void distances(Metric metric, const Draft<float>& draft, bool first, bool last);
void distances(Metric metric, const Draft<double>& draft, bool first, bool last);

// What labels take off the scores of a tile.
template <class T>
struct Penalty {
  const std::int32_t* row_labels;
  const Label<T>* col_labels;  // aligned, one for each of `cols` columns, padding included
  Index rows, cols;
  T scale, penalty;
};

// out_ij = scale out_ij, less the penalty where the labels of row and column differ.
void penalise(const Penalty<float>& p, float* out, Index stride);
void penalise(const Penalty<double>& p, double* out, Index stride);

}  // namespace monge::ot::cpu
