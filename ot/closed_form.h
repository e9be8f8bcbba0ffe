#pragma once
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::ot {

// Optimal transport that needs no solver: on a line, and between Gaussians. docs/closed_form.md has the formulas.

struct Wasserstein1dOptions {
  double p = 2;           // of the cost |x - y|^p; finite, at least 1
  bool coupling = false;  // also list the pairs
};

struct CoupledPair {
  Index i = 0, j = 0;
  double mass = 0;  // positive
};

struct Wasserstein1dResult {
  double cost = 0;                    // W_p^p, the sum of mass |x_i - y_j|^p; infinity if beyond double's range
  double distance = 0;                // W_p, also where the cost over- or underflows
  std::vector<CoupledPair> coupling;  // at most n + m - 1 pairs, ascending in both samples; optimal for every p
};

// W_p between samples x (n) and y (m) of masses a and b, in n log n + m log m. Weights are taken as they are: doubled,
// they double the cost. They may be zero; empty = uniform, with the total of the other side (1 if both are empty).
// Totals must agree to 1e-9, then b is scaled to a's. Throws Error: invalid_argument (empty, p, sizes, a negative
// weight and its index, totals), not_finite (index of the first bad value), backend_unavailable (not CPU memory).
Wasserstein1dResult wasserstein_1d(VectorView<const double> x, VectorView<const double> y,
                                   const Wasserstein1dOptions& options = {}, VectorView<const double> a = {},
                                   VectorView<const double> b = {});

// N(mean, covariance), borrowed. All below throw Error: invalid_argument (shapes; a covariance that is not symmetric,
// to 1e-7 of its largest entry, or has an eigenvalue below -1e-7 of its largest), not_finite (index, or row and
// column), backend_unavailable (not CPU memory). Eigenvalues below d 1e-15 of the largest count as zero, so singular
// covariances, points among them, are welcome.
struct Gaussian {
  VectorView<const double> mean;        // d
  MatrixView<const double> covariance;  // d x d, symmetric, positive semidefinite
};

struct BuresResult {
  double squared = 0;   // W2^2 for the cost |x - y|^2: |m_a - m_b|^2 + tr A + tr B - 2 tr (A^1/2 B A^1/2)^1/2
  double distance = 0;  // W2; no digits are lost when a and b are close
};
BuresResult bures_w2(const Gaussian& a, const Gaussian& b);

// x -> to + linear (x - from), the gradient of a convex function.
struct AffineMap {
  std::vector<double> from;  // d, the mean of a
  std::vector<double> to;    // d, the mean of b
  Matrix<double> linear;     // d x d, symmetric positive semidefinite
};

// The optimal map of a onto b. Where a is singular it is the one that vanishes off what b spans (the limit, as t -> 0,
// of the maps of N(m_a, A + t I)). Throws as above, and infeasible when the kernel of A meets the
// range of B: no symmetric map carries a onto b then.
AffineMap gaussian_map(const Gaussian& a, const Gaussian& b);

// out_i = map(x_i), both n x d; they may be the same memory.
void apply(const AffineMap& map, MatrixView<const double> x, MatrixView<double> out, const Context& context = {});

// The entropic plan P between a and b, a Gaussian itself, for the cost |x - y|^2 (not halved):
//   minimise  <P, C> + epsilon KL(P | a x b).
struct EntropicGaussian {
  double value = 0;                 // of that minimum
  double cost = 0;                  // <P, C>
  double kl = 0;                    // KL(P | a x b)
  double divergence = 0;            // debiased: value(a, b) - value(a, a) / 2 - value(b, b) / 2, at least 0
  Matrix<double> cross_covariance;  // d x d, E_P (x - m_a)(y - m_b)^T
};

// epsilon > 0, finite, in units of the cost. Throws as above.
EntropicGaussian entropic_gaussians(const Gaussian& a, const Gaussian& b, double epsilon);

}  // namespace monge::ot
