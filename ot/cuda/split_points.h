#pragma once  // private: never installed
#include <cstdint>

#include "monge/ot/core/array.h"
#include "monge/ot/core/prepared.h"

namespace monge::ot::cuda {

// How split points (half.h) lie in memory, the device's and a block's: chunks of 32 coordinates of 128 points, a row of
// 128 bytes for each point, its high parts, then its low ones. The eight pieces of a row are exchanged by its number,
// so that those of equal place in eight successive rows lie in different banks: what wgmma calls a swizzle of 128
// bytes.
inline constexpr int chunk_points = 128, chunk_dims = 32, chunk_halves = 2 * chunk_dims;
struct alignas(16) Chunk {
  std::uint16_t halves[chunk_points * chunk_halves];
};
// Where half h of a row is, of which the low ones begin at chunk_dims.
MONGE_HOST_DEVICE constexpr int place_of(int row, int h) {
  return row * chunk_halves + ((h / 8) ^ (row % 8)) * 8 + h % 8;
}

// Points come in pairs of chunks' heights, padded with zeros, and each height in chunks of successive coordinates.
MONGE_HOST_DEVICE constexpr Index padded_points(Index n) {
  return (n + 2 * chunk_points - 1) / (2 * chunk_points) * 2 * chunk_points;
}
MONGE_HOST_DEVICE constexpr Index chunks_for(Index dims) { return (dims + chunk_dims - 1) / chunk_dims; }
MONGE_HOST_DEVICE constexpr Index chunks_for(Index n, Index dims) {
  return padded_points(n) / chunk_points * chunks_for(dims);
}

// What cuda keeps of points that many passes go over: the points, and where tensor cores multiply them their halves.
struct SplitPoints final : PreparedPoints {
  Matrix<float> points;
  Buffer<Chunk> chunks;
  Buffer<float> unit;
};

}  // namespace monge::ot::cuda
