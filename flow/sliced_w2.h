#pragma once
#include <cstdint>

#include "monge/ot/core/array.h"
#include "monge/ot/sliced.h"

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

  // Sliced W2 as ot::sliced has it, uniform weights: the square root of the mean over the directions theta of the
  // squared 1-D W2 between the projections <theta, x_i> of both sets. Throws as the constructor.
  double distance(MatrixView<const float> x) const { return reference_.distance(x).distance; }

  Index rows() const { return reference_.rows(); }
  Index dimensions() const { return reference_.dimensions(); }

 private:
  ot::SlicedReference<float> reference_;
};

// Sliced W2 between x and y, once.
double sliced_w2(MatrixView<const float> x, MatrixView<const float> y, const SlicedOptions& options = {});

}  // namespace monge::flow
