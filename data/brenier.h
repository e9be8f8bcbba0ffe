#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::data {

// Maps of N(0, I) that are gradients of convex functions, and so optimal for the cost |x - y|^2 whatever their image
// (Brenier's theorem): solvers and flows can be held against them point by point. All share H = I - 2 u u^T, a
// reflection that depends on the seed, so that no map acts along the coordinates:
//   affine   y = 1 + H D H x, D log-spaced from 1/2 to 2: a Gaussian
//   mixture  y = H T(H x), T carrying the first coordinate's N(0, 1) onto (N(-2, 1/4) + N(2, 1/4)) / 2 by its quantiles
//            and leaving the others: two Gaussians of covariances H diag(1/4, 1, ..., 1) H
//   convex   y = x / 2 + 2 sum_k p_k c_k, p = softmax_k(4 <c_k, x>), c_k 8 random unit vectors: the gradient of
//            |x|^2 / 4 + log sum_k exp(4 <c_k, x>) / 2
enum class KnownMap { affine, mixture, convex };

class BrenierMap {
 public:
  // Throws Error(invalid_argument) unless dimensions > 0.
  BrenierMap(KnownMap kind, Index dimensions, std::uint64_t seed);

  // y = the image of x; `dimensions` values each, in double.
  void operator()(const double* x, double* y) const;

  // E |y - x|^2 = W2^2 between N(0, I) and its image; NaN for `convex`, which has no closed form.
  double squared_w2() const;
  // mixture: 0 or 1, the mode that the image of x belongs to; else 0.
  std::int32_t label(const double* x) const;

  KnownMap kind() const { return kind_; }
  Index dimensions() const { return static_cast<Index>(u_.size()); }

 private:
  void reflect(double* x) const;  // x <- H x

  KnownMap kind_;
  std::vector<double> u_;        // d, a unit vector
  std::vector<double> scales_;   // affine: d, the diagonal of D
  std::vector<double> centres_;  // convex: 8 x d
};

}  // namespace monge::data
