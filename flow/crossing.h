#pragma once
#include <cstdint>
#include <vector>

#include "monge/flow/coupling.h"

namespace monge::flow {

// How much the straight paths from x0_i to x1_i get into each other's way. Two of them approach each other and part
// again within [0, 1] exactly where exchanging their ends would be cheaper, <x0_i - x0_j, x1_i - x1_j> < 0; a velocity
// that is a function of place and time cannot follow both. Optimal couplings have no such pairs.
struct Crossing {
  double share = 0;  // of all pairs of paths, those that approach and part
  double gain = 0;   // what exchanging ends would save, over the mean cost of a path: the mean, over all pairs i != j,
                     // of max(0, -2 <x0_i - x0_j, x1_i - x1_j>), over that of |x1_i - x0_i|^2
  // The share of all pairs that are nearest to each other in each of equal parts of [0, 1], those at its ends not
  // counted: when paths get into each other's way. Sums to `share`.
  std::vector<double> by_time;
};

// x0 and x1: n x d, row by row the ends of a path, n >= 2; all n (n - 1) / 2 pairs are looked at, in double.
// Throws Error: invalid_argument (shapes, bins), not_finite (row and column).
Crossing crossing(MatrixView<const float> x0, MatrixView<const float> x1, Index bins = 20, const Context& context = {});

struct CouplingCost {
  double mean = 0;            // of |x1 - x0|^2
  double standard_error = 0;  // of that mean, over the batches; NaN for one batch
};

// What the pairs that a coupling draws in `steps` steps from `first_step` on, `batch` a step, cost. y: N x d, its
// atoms.
CouplingCost coupling_cost(Coupling& coupling, MatrixView<const float> y, Index batch, std::uint64_t steps,
                           std::uint64_t first_step = 0);

}  // namespace monge::flow
