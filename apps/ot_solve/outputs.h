#pragma once
#include <string>
#include <vector>

#include "monge/apps/ot_solve/input.h"
#include "monge/apps/ot_solve/solution.h"

namespace monge::apps {

// Refuses outputs that cannot be, as far as that can be known before the plan is: pairs of weights that do not go in
// pairs, and what would take more memory than there is.
template <class T>
void check_outputs(const Input<T>& input, const Request& request, const std::string& solver,
                   const MemoryBudget& budget);

// Writes the files that were asked for, each whole or not at all; returns a line about each. Throws Interrupted, at the
// latest a second after Ctrl-C, for what still takes passes over all pairs.
//   potentials   .npy: f, then g
//   map          .npy: n x d, where each x goes: the mean of its partners; .h5: /map
//   pairs        .h5: each x with its partner (data/pairs.h), where no x has two: else Error(invalid_argument)
//   plan         .npy: n x m; .h5: CSR in /offsets, /columns, /values, potentials in /f and /g
template <class T>
std::vector<std::string> write_outputs(const Input<T>& input, const Request& request, const Solution& solution,
                                       const MemoryBudget& budget);

}  // namespace monge::apps
