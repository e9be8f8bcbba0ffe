#pragma once
#include "monge/ot/gradients.h"
#include "monge/ot/sinkhorn.h"

namespace monge::ot {

// The debiased value of entropic transport, which is zero where the measures are equal and positive elsewhere:
//   S(a, b) = OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2 + epsilon (sum a - sum b)^2 / 2,
// OT being the regularised value of sinkhorn(), balanced or unbalanced. Feydy, Sejourne, Vialard, Amari, Trouve and
// Peyre, Interpolating between optimal transport and MMD using Sinkhorn divergences, AISTATS 2019; Sejourne, Feydy,
// Vialard, Trouve and Peyre, Sinkhorn divergences for unbalanced optimal transport, 2019.

struct DivergenceResult {
  Status status = Status::iteration_limit;  // the first of the three that did not converge
  double divergence = 0;                    // units of the cost; rounding below zero is cut off
  double epsilon = 0;                       // of all three, units of the cost
  double seconds = 0;
  SinkhornResult between, of_x, of_y;
};

// Throws Error like sinkhorn(), and for dense costs and partial problems, which have no divergence. A relative epsilon
// is relative to the mean cost between x and y. Options' `start` and `certify` are for the first of the three.
DivergenceResult divergence(const Problem<float>& problem, const SinkhornOptions& options = {});
DivergenceResult divergence(const Problem<double>& problem, const SinkhornOptions& options = {});

template <class T>
Gradients<T> gradients(const Problem<T>& problem, const DivergenceResult& result, const SinkhornOptions& options = {});

}  // namespace monge::ot
