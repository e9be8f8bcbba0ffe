#pragma once  // private: never installed
#include <cstdint>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/prepared.h"

namespace monge::ot::detail {

// Points as they were before they were centred, in as few bytes as say the same: coordinates of at most 256 values as
// their numbers in a table, of at most 8 bits of mantissa as bfloat16.
struct CompactPoints {
  int bytes = 4;                   // of a coordinate: 1 (table), 2 (bfloat16), 4 (neither will do: nothing is here)
  Buffer<std::uint8_t> data = {};  // rows x cols x bytes
  std::vector<float> table = {};
};

CompactPoints compact(const Uncentred& y, int threads);

}  // namespace monge::ot::detail
