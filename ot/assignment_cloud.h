#pragma once  // private: never installed
#include <vector>

#include "monge/ot/bounded_sum.h"
#include "monge/ot/core/array.h"

namespace monge::ot::detail {

// The squared distances between two clouds, in a form that loses nothing to their common offset or their scale: with
// s = 2^-exponent and each cloud's own centre taken off (one centre for both if n < m, whose potentials are not free),
//   s^2 |x_i - y_j|^2 = cost_ij + row_shift_i + column_shift_j.
struct CloudCost {
  Matrix<double> cost;               // n x m
  std::vector<double> row_shift;     // n
  std::vector<double> column_shift;  // m
  std::vector<double> start;         // m: column potentials that fit an isotropic Gaussian pair
  double error = 0;                  // bounds what rounding in all of the above can take from sum f + sum g
  int exponent = 0;
};

template <class T>
CloudCost cloud_cost(MatrixView<const T> x, MatrixView<const T> y, const Context& context);

// 4^-exponent |x - y|^2 in double from the points as given; relative error below (d + 8) u. d values each.
template <class T>
double squared_distance(const T* x, const T* y, Index d, int exponent);

}  // namespace monge::ot::detail
