#pragma once
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

}  // namespace monge::ot
