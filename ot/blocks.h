#pragma once
#include <algorithm>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/parallel.h"

// Plain loops over the rows of a cloud, on all threads and with the same bits on any number of them.
namespace monge {

inline constexpr Index block_rows = 256;

inline Index blocks_of(Index rows) { return (rows + block_rows - 1) / block_rows; }

// Calls body(block, begin, end) for blocks of rows, on the threads of the team.
template <class Body>
void for_blocks(Index rows, Index cols, const Body& body) {
  parallel_for(threads_worth(0, rows * cols), blocks_of(rows),
               [&](Index k, int) { body(k, k * block_rows, std::min(rows, (k + 1) * block_rows)); });
}

// sum_i w_i x_i, a point of x.cols coordinates.
template <class T>
std::vector<double> weighted_sum(MatrixView<const T> x, const std::vector<double>& w) {
  std::vector<double> parts(static_cast<std::size_t>(blocks_of(x.rows) * x.cols), 0.0);
  for_blocks(x.rows, x.cols, [&](Index block, Index begin, Index end) {
    double* sum = parts.data() + block * x.cols;
    for (Index i = begin; i < end; ++i) {
      const T* row = x.row(i);
      for (Index k = 0; k < x.cols; ++k) sum[k] += w[i] * static_cast<double>(row[k]);
    }
  });
  for (Index block = 1; block < blocks_of(x.rows); ++block) {
    for (Index k = 0; k < x.cols; ++k) parts[k] += parts[block * x.cols + k];
  }
  parts.resize(static_cast<std::size_t>(x.cols));
  return parts;
}

// In double, eight sums at a time.
template <class T, class S>
double dot(const T* x, const S* y, Index d) {
  constexpr Index lanes = 8;
  double sum[lanes] = {}, total = 0;
  Index k = 0;
  for (; k + lanes <= d; k += lanes) {
    for (Index l = 0; l < lanes; ++l) sum[l] += static_cast<double>(x[k + l]) * static_cast<double>(y[k + l]);
  }
  for (; k < d; ++k) total += static_cast<double>(x[k]) * static_cast<double>(y[k]);
  for (const double e : sum) total += e;
  return total;
}

}  // namespace monge
