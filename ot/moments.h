#pragma once
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::ot {

// First and second moments of a weighted cloud, in double: no scale of floats makes their squares overflow or vanish.
struct Moments {
  std::vector<double> mean;        // d
  std::vector<double> covariance;  // d x d, row-major, symmetric
};

// Weights b (y.rows) sum to one; empty = uniform. Moments, which take N d^2 operations, may end with Error(stopped).
std::vector<double> cloud_mean(MatrixView<const float> y, VectorView<const double> b, const Context& context);
Moments cloud_moments(MatrixView<const float> y, VectorView<const double> b, const Context& context);

}  // namespace monge::ot
