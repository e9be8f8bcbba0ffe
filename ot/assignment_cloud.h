#pragma once  // private: never installed
#include <vector>

#include "monge/ot/bounded_sum.h"
#include "monge/ot/core/array.h"

namespace monge::ot::detail {

// Two clouds in a form that loses nothing to their common offset or their scale: with s = 2^-exponent and each cloud's
// own centre taken off (one centre for both if n < m, whose potentials are not free),
//   s^2 |x_i - y_j|^2 = |x'_i - y'_j|^2 + row_shift_i + column_shift_j.
struct CentredClouds {
  Matrix<double> x, y;                          // x', n x d, and y', m x d
  std::vector<double> x_squares, y_squares;     // |x'_i|^2, |y'_j|^2
  std::vector<double> row_shift, column_shift;  // n, m
  double x_size = 0, y_size = 0;                // root mean squares of |x'_i|, |y'_j|
  double error = 0;                             // bounds what rounding in all of the above can take from sum f + sum g
  int exponent = 0;
};

template <class T>
CentredClouds centred_clouds(MatrixView<const T> x, MatrixView<const T> y, const Context& context);

// Column potentials that fit an isotropic Gaussian pair, m values.
std::vector<double> isotropic_start(const CentredClouds& clouds);

// |x'_i - y'_j|^2, n x m, rounding within `error`.
Matrix<double> cost_matrix(const CentredClouds& clouds, const Context& context);

// 4^-exponent |x - y|^2 in double from the points as given; relative error below (d + 8) u. d values each.
template <class T>
double squared_distance(const T* x, const T* y, Index d, int exponent);

}  // namespace monge::ot::detail
