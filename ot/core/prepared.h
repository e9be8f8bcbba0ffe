#pragma once
#include <cstddef>
#include <cstdint>

#include "monge/ot/core/array.h"

namespace monge::ot {

// Points made ready for a room to multiply, for many passes over them (Backend::prepare). Other rooms pass over it.
class PreparedPoints {
 public:
  virtual ~PreparedPoints() = default;
};

// How points y (n x d) came about, y_jk = float(double(points(rows_j, k)) - centre_k): the points as they were may take
// fewer bytes, as those of images do.
struct Uncentred {
  MatrixView<const float> points = {};       // empty: not known
  VectorView<const std::int32_t> rows = {};  // n
  VectorView<const double> centre = {};      // d
};

// Bytes of a device's memory that points made ready may take, and what is made of a slab of them where that does not
// do; no more than its own measure of what is free.
struct PreparedBytes {
  std::size_t kept = SIZE_MAX, slab = SIZE_MAX;
};

}  // namespace monge::ot
