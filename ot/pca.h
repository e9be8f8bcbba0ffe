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

// Weighted by b (of any positive scale; empty = uniform). 1 <= k <= d. Throws Error: invalid_argument (k, an empty
// cloud, weights), not_finite (row and column of the first bad value). Eigenvectors are signed so that their
// largest component is positive. Cost: one d x d eigenproblem and 2 N d^2 operations.
Pca fit_pca(MatrixView<const float> y, Index k, VectorView<const double> b = {}, const Context& context = {});

// out = x basis^T (n x k), without removing the mean: how noise is projected.
void project(const Pca& pca, MatrixView<const float> x, MatrixView<float> out, const Context& context = {});

}  // namespace monge::ot
