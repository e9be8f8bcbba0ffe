#include <algorithm>
#include <cmath>

#include "monge/apps/ot_solve/solvers.h"

namespace monge::apps {
namespace {

template <class T>
bool forbids_pairs(const Matrix<T>& cost) {
  return std::any_of(cost.data(), cost.data() + cost.rows() * cost.cols(), [](T c) { return std::isinf(c); });
}

}  // namespace

template <class T>
Choice choose_solver(const Input<T>& input, const Request& r, double left) {
  constexpr Index small = 4000;  // points on each side: seconds, unless tails are as heavy as Cauchy's
  if (r.solver != "auto") return {r.solver, ""};
  if (r.from_law()) return {"semidiscrete", "X is a law"};
  if (r.epsilon || r.relative) return {"sinkhorn", "an epsilon is given"};
  if (r.tau_a || r.tau_b || r.mass) return {"sinkhorn", "masses may differ"};
  if (r.max_iterations) return {"sinkhorn", "--max-iterations is given"};
  if (forbids_pairs(input.cost_matrix) || std::isinf(input.label_penalty)) return {"exact", "some pairs are forbidden"};
  const ot::Problem<T> problem = input.problem();
  if (std::max(problem.rows(), problem.cols()) > small) return {"sinkhorn", "more than 4000 points on a side"};
  if (memory_of_exact(problem, "exact").needed(left) > left) return {"sinkhorn", "exact would take too much memory"};
  return {"exact", "at most 4000 points on each side"};
}

template Choice choose_solver(const Input<float>&, const Request&, double);
template Choice choose_solver(const Input<double>&, const Request&, double);

}  // namespace monge::apps
