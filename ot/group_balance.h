#pragma once  // private: never installed
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/device.h"

namespace monge::ot::detail {

// Biases z of K groups by which each gets its mass b_g where rows i of mass a_i share themselves out among groups by
// the softmax of (seen_ig + z_g) / epsilon: the maximum of the concave dual
//
//   D(z) = sum_i a_i f_i + sum_g b_g z_g,   f_i = -epsilon log sum_g exp((seen_ig + z_g) / epsilon),
//
// by damped Newton's steps from z = 0, as far as some steps lead. seen: n x K; a: n; b: K, positive, of the same total.
std::vector<double> balance_groups(MatrixView<const float> seen, const std::vector<double>& a,
                                   const std::vector<double>& b, double epsilon, const Context& context);

}  // namespace monge::ot::detail
