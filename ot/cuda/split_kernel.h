#pragma once  // private: never installed
#include "monge/ot/cuda/call.h"
#include "monge/ot/cuda/split_points.h"

namespace monge::ot::cuda {

struct FloatReader {
  const float* x;
  Index stride;

  MONGE_HOST_DEVICE float operator()(Index i, Index k) const { return x[i * stride + k]; }
};

// One warp for each row: its exponent, then its halves, zeros up to the end of its last chunk. Rows from `rows` on are
// padding, all zeros.
template <class Reader>
MONGE_KERNEL(4)
split_kernel(Reader read, Index rows, Index cols, Index padded_rows, Chunk* chunks, float* unit) {
  const Index i = block_x() * block_warps + thread() / warp_threads;
  const int lane = thread() % warp_threads, row_of_chunk = static_cast<int>(i % chunk_points);
  if (i >= padded_rows) return;
  float largest = 0;
  for (Index k = lane; k < cols && i < rows; k += warp_threads) largest = fmaxf(largest, fabsf(read(i, k)));
  for (int mask = 1; mask < warp_threads; mask *= 2) largest = fmaxf(largest, shuffle_xor(largest, mask));
  const int exponent = split_exponent(largest);
  const Index all = chunks_for(cols);
  Chunk* const own = chunks + i / chunk_points * all;
  static_assert(chunk_dims == warp_threads);
  for (Index c = 0; c < all; ++c) {
    const Index k = c * chunk_dims + lane;
    const Halves both = split(k < cols && i < rows ? read(i, k) : 0.0f, exponent);
    own[c].halves[place_of(row_of_chunk, lane)] = both.high;
    own[c].halves[place_of(row_of_chunk, chunk_dims + lane)] = both.low;
  }
  // Below 2^-126 the unit is subnormal, below 2^-149 it is 0.
  if (lane == 0) unit[i] = exponent < -126 ? power_of_two(-126) * power_of_two(exponent + 126) : power_of_two(exponent);
}

// Room for chunks_for(rows, cols) and padded_points(rows).
template <class Reader>
void split_with(Call& call, const Reader& read, Index rows, Index cols, Chunk* chunks, float* unit) {
  const Index padded = padded_points(rows);
  call.run(split_kernel<Reader>, blocks_for(padded, block_warps), 1, 0, read, rows, cols, padded, chunks, unit);
}

}  // namespace monge::ot::cuda
