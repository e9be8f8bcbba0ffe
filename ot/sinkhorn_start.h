#pragma once  // private: never installed
#include <vector>

#include "monge/ot/core/random.h"
#include "monge/ot/problem.h"

namespace monge::ot::detail {

// A problem that owns what it is about.
template <class T>
struct OwnedProblem {
  Matrix<T> x, y, cost_matrix;
  std::vector<double> a, b;
  std::vector<std::int32_t> x_labels, y_labels;
  Problem<T> view;  // of all the others
};

// `count` points drawn by weight, one from each of `count` equal shares of the mass; a point of more than a share is
// drawn more than once.
std::vector<std::int32_t> draw_by_weight(const std::vector<double>& weights, Index count, const Rng& rng);

// The problem between the points `i` and `j` of it, with equal weights of the same totals.
template <class T>
OwnedProblem<T> sample_of(const Problem<T>& problem, const std::vector<std::int32_t>& i,
                          const std::vector<std::int32_t>& j, double total_a, double total_b);

// All of it in double.
OwnedProblem<double> in_double(const Problem<float>& problem);

}  // namespace monge::ot::detail
