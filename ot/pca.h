#pragma once
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::ot {

// An orthonormal basis of the leading principal directions of a cloud.
struct Pca {
  Matrix<float> basis;           // k x d, orthonormal rows, largest variance first
  std::vector<float> mean;       // d
  std::vector<double> variance;  // k, along each direction
  double total_variance = 0;     // of the cloud, all d directions

  Index dimensions() const { return basis.rows(); }
  Pca clone() const;
  double lost_variance() const;  // share of the total, in [0, 1]
};

// b: weights of any positive scale (empty = uniform); 1 <= k <= d. Signed so that a direction's largest component is
// positive. Throws Error: invalid_argument, not_finite (row and column of the first bad value), stopped. Cost, with r =
// min(N, d): N d r operations, then some 50 r^2 k where r > 1024 and k < r / 16, else 8 r^3, which no Stop interrupts.
Pca fit_pca(MatrixView<const float> y, Index k, VectorView<const double> b = {}, const Context& context = {});

// out = x basis^T (n x k), without removing the mean: how noise is projected.
void project(const Pca& pca, MatrixView<const float> x, MatrixView<float> out, const Context& context = {});

}  // namespace monge::ot
