#pragma once
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::ot {

// First and second moments of a weighted cloud of any scale. Means are sums in double. Covariances are made of centred
// points, scaled by a power of two: products and sums of 2048 of them in float, these added in double.
struct Moments {
  std::vector<double> mean;        // d
  std::vector<double> covariance;  // d x d, row-major, symmetric
};

// Weights b (y.rows) sum to one; empty = uniform.
std::vector<double> cloud_mean(MatrixView<const float> y, VectorView<const double> b, const Context& context);
Moments cloud_moments(MatrixView<const float> y, VectorView<const double> b, const Context& context);

}  // namespace monge::ot
