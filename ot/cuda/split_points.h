#pragma once  // private: never installed
#include <cstdint>
#include <memory>

#include "monge/ot/core/array.h"
#include "monge/ot/core/prepared.h"
#include "monge/ot/cuda/half.h"

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

// Coordinate k of point i, to 2^-22, of points in so many chunks each.
MONGE_HOST_DEVICE inline float coordinate(const Chunk* all, Index chunks, const float* unit, Index i, Index k) {
  const Chunk& chunk = all[i / chunk_points * chunks + k / chunk_dims];
  const int row = static_cast<int>(i % chunk_points), place = static_cast<int>(k % chunk_dims);
  const float high = half_value(chunk.halves[place_of(row, place)]),
              low = half_value(chunk.halves[place_of(row, chunk_dims + place)]);
  return unit[i] * (high + low);
}

// What cuda keeps of points that many passes go over: their halves, or where no tensor cores multiply them the points.
struct SplitPoints final : PreparedPoints {
  Device device = {};
  Matrix<float> points;
  Buffer<Chunk> chunks;
  Buffer<float> unit;
};

// Points whose halves a device has no memory for. It keeps them in fewer bytes (ot/compact_points.h), or the host does,
// or they are the floats that prepare was given; passes go over a slab of them at a time (slabs.h).
struct StreamedPoints final : PreparedPoints {
  Device device = {};
  MatrixView<const float> floats = {};      // borrowed; looked at where a coordinate takes four bytes
  int bytes = 4;                            // of a coordinate
  Buffer<std::uint8_t> data = {};           // of the device's memory or the host's
  Buffer<float> table = {};                 // the device's
  Buffer<double> centre = {};               // the device's
  Index slab = 0;                           // points of one, whole pairs of chunks' heights
  std::shared_ptr<const void> pinned = {};  // while this lives, the host's memory is, if that could be done

  bool is_here() const { return bytes < 4 && data.device() == device; }
  Index rows() const { return floats.rows; }
  Index dims() const { return floats.cols; }
};

}  // namespace monge::ot::cuda
