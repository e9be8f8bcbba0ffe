#pragma once
#include <vector>

#include "monge/ot/sinkhorn.h"

namespace monge::ot {

// Of a value with respect to all that a problem is made of.
template <class T>
struct Gradients {
  Matrix<T> x;            // n x d; empty for a dense cost
  Matrix<T> y;            // m x d
  std::vector<double> a;  // n; balanced: known up to a constant, as weights can only move
  std::vector<double> b;  // m
};

// Of `regularised`, at fixed epsilon, by the envelope theorem: sum_j P_ij grad c(x_i, y_j), and the potentials. They
// are exact at the optimum and as far off as the marginals are before it. `options`: those of the solve (tau_a, tau_b,
// mass and context are read). Costs: those of a pass or two; Euclidean and l1 take n m d steps that are not products.
// Where x_i = y_j the Euclidean and l1 costs have no gradient; that pair then adds nothing.
template <class T>
Gradients<T> gradients(const Problem<T>& problem, const SinkhornResult& result, const SinkhornOptions& options = {});

}  // namespace monge::ot
