#pragma once  // private: never installed
#include <cstdint>

#include "monge/ot/core/array.h"
#include "monge/ot/core/prepared.h"

namespace monge::ot::cuda {

// How split points (half.h) lie in device memory: chunks of so many coordinates, their high parts, then their low ones,
// 128 bytes in all; rows padded with zeros to whole chunks, and rows of zeros up to a whole tile.
inline constexpr int chunk_dims = 32, chunk_halves = 2 * chunk_dims;
MONGE_HOST_DEVICE constexpr Index high_place(Index k) { return k / chunk_dims * chunk_halves + k % chunk_dims; }
MONGE_HOST_DEVICE constexpr Index low_place(Index k) { return high_place(k) + chunk_dims; }

// What cuda keeps of points that many passes go over: the points, and where tensor cores multiply them their halves.
struct SplitPoints final : PreparedPoints {
  Matrix<float> points;
  Buffer<std::uint16_t> halves;
  Buffer<float> unit;
};

}  // namespace monge::ot::cuda
