#pragma once
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::flow {

// Distances between the laws behind two samples x (n x d) and y (m x d), n, m >= 2, from means over their pairs. All
// are unbiased: about zero, and below it as often as above, when the laws are equal. Tiles of distances are made and
// thrown away; sums are double. Throw Error: invalid_argument (shapes, options), not_finite (row and column).

// 2 E |X - Y| - E |X - X'| - E |Y - Y'|, zero for equal laws only (Szekely and Rizzo, Energy statistics, 2013).
double energy_distance(MatrixView<const float> x, MatrixView<const float> y, const Context& context = {});

struct MmdOptions {
  // h of the kernels exp(-|x - y|^2 / (2 h^2)), whose mean is taken; empty: 1/4, 1/2, 1, 2 and 4 times
  // median_distance(y), so that samples measured against one y share their kernel.
  std::vector<double> bandwidths = {};
  Context context = {};
};

// Squared maximum mean discrepancy, E k(X, X') + E k(Y, Y') - 2 E k(X, Y) (Gretton et al., A kernel two-sample test,
// JMLR 2012).
double mmd_rbf(MatrixView<const float> x, MatrixView<const float> y, const MmdOptions& options = {});

// The median of the distances between row i and row i + n/2 of y, i below n/2.
double median_distance(MatrixView<const float> y);

}  // namespace monge::flow
