#include "monge/apps/ot_solve/solvers.h"

namespace monge::apps {

Choice choose_solver(const Request& r, Index rows, Index cols, double left) {
  constexpr Index small = 4000;  // points on each side: an assignment takes a second or two, and 130 MB
  if (r.solver != "auto") return {r.solver, ""};
  if (r.from_law()) return {"semidiscrete", "X is a law"};
  const auto sinkhorn = [](const char* why) { return Choice{"sinkhorn", why}; };
  if (!r.a.empty() || !r.b.empty()) return sinkhorn("weights are given");
  if (r.epsilon || r.relative) return sinkhorn("an epsilon is given");
  if (r.tau_a || r.tau_b || r.mass) return sinkhorn("masses may differ");
  if (!r.x_labels.empty()) return sinkhorn("labels are given");
  if (r.max_iterations) return sinkhorn("--max-iterations is given");
  if (r.cost.empty() && r.metric_name() != "squared_euclidean") return sinkhorn("the metric is not squared_euclidean");
  if (rows != cols) return sinkhorn("X and Y differ in their number of points");
  if (rows > small) return sinkhorn("more than 4000 points");
  if (memory_of_exact(rows, cols, !r.cost.empty()) > left) return sinkhorn("exact would take too much memory");
  return {"exact", "a small one-to-one problem"};
}

}  // namespace monge::apps
