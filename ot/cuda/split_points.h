#pragma once  // private: never installed
#include <cstdint>

#include "monge/ot/core/array.h"
#include "monge/ot/core/prepared.h"

namespace monge::ot::cuda {

// What cuda keeps of points that many passes go over: the points, and where tensor cores multiply them their halves
// (half.h), in whole tiles of rows and chunks of coordinates.
struct SplitPoints final : PreparedPoints {
  Matrix<float> points;
  Buffer<std::uint16_t> high, low;
  Buffer<float> unit;
};

}  // namespace monge::ot::cuda
