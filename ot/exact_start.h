#pragma once  // private: never installed
#include <vector>

#include "monge/ot/shortlists.h"
#include "monge/ot/sinkhorn_start.h"

namespace monge::ot::detail {

// Column potentials near the optimal ones, m values in units of the cost: few of Sinkhorn's iterations. `pairs` are the
// problem's, in `unit`; scores are kept where they take `stored_bytes` at most. Zeros for small problems, and for those
// that Sinkhorn makes nothing of. No modulus of a cost is above `largest`, in `unit`.
template <class T>
std::vector<double> exact_start(const Problem<T>& problem, const PairCosts& pairs, double unit, double largest,
                                double stored_bytes, const Context& context);

// Clouds in double; `owned` keeps what is not there already.
inline const Problem<double>& as_double(const Problem<double>& problem, OwnedProblem<double>&) { return problem; }
inline const Problem<double>& as_double(const Problem<float>& problem, OwnedProblem<double>& owned) {
  owned = in_double(problem);
  return owned.view;
}

// With the roles of rows and columns exchanged; clouds only.
template <class T>
Problem<T> turned(const Problem<T>& p) {
  return {.x = p.y,
          .y = p.x,
          .cost = p.cost,
          .a = p.b,
          .b = p.a,
          .x_labels = p.y_labels,
          .y_labels = p.x_labels,
          .label_penalty = p.label_penalty};
}

}  // namespace monge::ot::detail
