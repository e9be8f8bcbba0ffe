#pragma once  // private: never installed
#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/radix_sort.h"

namespace monge::ot::detail {

inline constexpr Index kDirections = 64;  // of one tile: enough to pay for packing the points
inline constexpr Index kRows = 512;       // points of one GEMM

// Directions of a tile whose projections of so many points are kept at a time: some 4 million values.
inline Index directions_at_once(Index rows) {
  return std::clamp<Index>((Index{1} << 22) / std::max<Index>(rows, 1), 4, kDirections);
}

inline void gemm(int m, int n, int k, const float* a, int lda, const float* b, int ldb, float* c, int ldc) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0f, a, lda, b, ldb, 0.0f, c, ldc);
}
inline void gemm(int m, int n, int k, const double* a, int lda, const double* b, int ldb, double* c, int ldc) {
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0, a, lda, b, ldb, 0.0, c, ldc);
}

inline constexpr Index kRadixPays = 200;  // values; it clears tables of 6,144 counts

// What one worker needs to project and sort one cloud, whatever the number of directions.
template <class T>
struct Workspace {
  Buffer<T> points;                            // kRows x dimensions, centred
  Buffer<T> projections;                       // directions_at_once x rows; empty if they go elsewhere
  Buffer<std::uint32_t> scratch;               // for sorting
  std::vector<std::pair<T, std::int32_t>> by;  // for sorting with the order
  Buffer<std::int32_t> order;                  // rows, with weights

  void prepare(Index rows, Index dimensions, bool keep_projections, bool weighted) {
    points = Buffer<T>(kRows * dimensions);
    if (keep_projections) projections = Buffer<T>(directions_at_once(rows) * rows);
    if (weighted) {
      by.resize(rows);
      order = Buffer<std::int32_t>(rows);
    } else if constexpr (std::is_same_v<T, float>) {
      scratch = Buffer<std::uint32_t>(2 * rows);
    }
  }
};

template <class T>
void sort_values(T* values, Index n, Workspace<T>& work) {
  if constexpr (std::is_same_v<T, float>) {
    if (n >= kRadixPays) return radix_sort({values, n}, work.scratch.view());
  }
  std::sort(values, values + n);
}

template <class T>
void sort_with_order(T* values, Index n, Workspace<T>& work, std::int32_t* order) {
  for (Index i = 0; i < n; ++i) work.by[i] = {values[i], static_cast<std::int32_t>(i)};
  std::sort(work.by.begin(), work.by.end());
  for (Index i = 0; i < n; ++i) std::tie(values[i], order[i]) = work.by[i];
}

// out (directions x rows of x) = <theta, x_i / 2^exponent - centre>.
template <class T>
void project(MatrixView<const T> directions, MatrixView<const T> x, int exponent, const T* centre, Workspace<T>& work,
             MatrixView<T> out) {
  const Index d = x.cols;
  const T scale = std::ldexp(T{1}, -exponent);
  for (Index first = 0; first < x.rows; first += kRows) {
    const Index rows = std::min(kRows, x.rows - first);
    T* points = work.points.data();
    for (Index i = 0; i < rows; ++i)
      for (Index k = 0; k < d; ++k) points[i * d + k] = x(first + i, k) * scale - centre[k];
    gemm(static_cast<int>(directions.rows), static_cast<int>(rows), static_cast<int>(d), directions.data,
         static_cast<int>(directions.stride), points, static_cast<int>(d), out.data + first,
         static_cast<int>(out.stride));
  }
}

}  // namespace monge::ot::detail
