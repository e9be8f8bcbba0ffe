#pragma once
#include <algorithm>

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
