#pragma once
#include <cstdint>

#include "monge/ot/core/array.h"

namespace monge::flow {

struct SlicedOptions {
  Index directions = 1000;
  std::uint64_t seed = 0x736C69636564;  // "sliced": figures made with the same seed and directions may be compared
  Context context = {};
};

// A set of points (rows x dimensions) kept as its sorted projections on fixed random directions (rows x directions
// floats), so that many sets can be measured against it.
class SlicedReference {
 public:
  // Throws Error: invalid_argument (shapes, options), not_finite (row and column).
  explicit SlicedReference(MatrixView<const float> points, const SlicedOptions& options = {});

  // Sliced W2: the square root of the mean over the directions theta of the squared 1-D W2 between the projections
  // <theta, x_i> of both sets, uniform weights. Sets of different sizes are coupled by quantiles. The same bits at any
  // thread count. Throws as the constructor.
  double distance(MatrixView<const float> x) const;

  Index rows() const { return sorted_.cols(); }
  Index dimensions() const { return directions_.cols(); }

 private:
  SlicedOptions options_;
  Matrix<float> directions_;  // directions x dimensions, unit rows
  Buffer<float> centre_;      // dimensions; subtracted from both sets before they are projected
  Matrix<float> sorted_;      // directions x rows, ascending
};

// Sliced W2 between x and y, once.
double sliced_w2(MatrixView<const float> x, MatrixView<const float> y, const SlicedOptions& options = {});

}  // namespace monge::flow
