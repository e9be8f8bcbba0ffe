#pragma once       // private: never installed
#include <math.h>  // not cmath: fma and others of either type, on host and device

#include <cstdint>
#include <limits>

#include "monge/ot/core/random.h"
#include "monge/ot/core/scores.h"
#include "monge/ot/cuda/split_points.h"

namespace monge::ot::cuda {

// How a tile of scores is made: read from a matrix, or from points by multiply-adds, sums of differences, or tensor
// cores.
enum class Maker : std::int32_t { stored, dot, euclidean, l1, halves };

// Scores<T> as kernels see them, all pointers the device's. Reductions are always along rows; those along columns take
// the transposed problem (transposed below).
template <class T>
struct Problem {
  Index rows = 0, cols = 0, dims = 0;
  Maker maker = Maker::dot;
  const T* x = nullptr;
  const T* y = nullptr;
  Index x_stride = 0, y_stride = 0;
  const T* stored = nullptr;
  Index stored_row = 1, stored_col = 1;  // steps from row to row and from column to column
  T scale = 1;
  const T* row_bias = nullptr;               // added by whoever finishes a row; null: zero
  const T* col_bias = nullptr;               // part of the score; null: zero
  const std::int32_t* row_labels = nullptr;  // null: no labels
  const std::int32_t* col_labels = nullptr;
  T label_penalty = 0;

  // Maker::halves: split points, so many chunks in a row, and what they are in units of.
  const Chunk* x_chunks = nullptr;
  const Chunk* y_chunks = nullptr;
  const float* x_unit = nullptr;
  const float* y_unit = nullptr;
  std::int32_t chunks = 0;
  bool by_warpgroups = false;   // who multiplies
  bool single_product = false;  // high parts only

  // Points of which there are halves for some columns (rows, where transposed) at a time: kernels are told of one slab,
  // by its first tile and its end, `cols` (or `rows`); pointers go on from the beginning of all.
  const StreamedPoints* streamed = nullptr;
  bool streams_rows = false;
  Index first_tile = 0, first_block = 0;  // tiles of columns and of rows before it

  // Columns are shared among blocks: so many tiles for each. Blocks are begun in the order of rows, or of parts.
  std::int32_t tiles_per_part = 1;
  bool parts_first = false;
};

template <class V>
MONGE_HOST_DEVICE inline void exchange_values(V& a, V& b) {
  const V c = a;
  a = b;
  b = c;
}

// Rows and columns exchanged.
template <class T>
Problem<T> transposed(Problem<T> p) {
  exchange_values(p.rows, p.cols);
  exchange_values(p.x, p.y);
  exchange_values(p.x_stride, p.y_stride);
  exchange_values(p.stored_row, p.stored_col);
  exchange_values(p.row_bias, p.col_bias);
  exchange_values(p.row_labels, p.col_labels);
  exchange_values(p.x_chunks, p.y_chunks);
  exchange_values(p.x_unit, p.y_unit);
  p.streams_rows = !p.streams_rows;
  return p;
}

// From k(x_i, y_j) or stored_ij to the score: scaled, less the penalty, and v_j.
template <class T>
MONGE_HOST_DEVICE inline T score_from(const Problem<T>& p, T k, Index i, Index j) {
  const T bias = p.col_bias ? p.col_bias[j] : T(0);
  const T score = fma(p.scale, k, bias);
  return p.row_labels && p.row_labels[i] != p.col_labels[j] ? score - p.label_penalty : score;
}

// One score without a tile, nor tensor cores.
template <class T>
MONGE_HOST_DEVICE inline T score_of(const Problem<T>& p, Index i, Index j) {
  if (p.maker == Maker::stored) return score_from(p, p.stored[i * p.stored_row + j * p.stored_col], i, j);
  T k = 0;
  const T* x = p.x + i * p.x_stride;
  const T* y = p.y + j * p.y_stride;
  const T most = std::numeric_limits<T>::max();
  for (Index e = 0; e < p.dims; ++e) {
    const T difference = y[e] - x[e];
    if (p.maker == Maker::euclidean) {
      k = fma(difference, difference, k);
    } else if (p.maker == Maker::l1) {
      k += fabs(difference);
    } else {
      k = fma(x[e], y[e], k);
    }
  }
  if (p.maker == Maker::euclidean) k = sqrt(k < most ? k : most);
  if (p.maker == Maker::l1) k = k < most ? k : most;
  return score_from(p, k, i, j);
}

}  // namespace monge::ot::cuda
