#include "monge/apps/ot_solve/long_work.h"
#include "monge/apps/ot_solve/solvers.h"
#include "monge/ot/assignment.h"
#include "monge/ot/core/error.h"

namespace monge::apps {

// A float for each pair and lists of some pairs of each row; between many points longer lists instead of the floats.
double memory_of_exact(Index rows, Index cols, bool dense) {
  const double n = static_cast<double>(rows), m = static_cast<double>(cols), floats = n * m * sizeof(float);
  const bool stored = dense || floats <= ot::AssignmentOptions{}.stored_bytes;
  return (stored ? floats : 1e8 + 1e4 * n) + 2e3 * (n + m) + 1e7;
}

template <class T>
Solution solve_exact(const Input<T>& input, const Request& r, const MemoryBudget& budget) {
  const ot::Problem<T> problem = input.problem();
  const Index n = problem.rows(), m = problem.cols();
  require(n == m, "--solver exact assigns one to one: X has ", n, " points, Y has ", m,
          "; --solver sinkhorn takes any numbers");
  budget.require(memory_of_exact(n, m, problem.is_dense()), "exact");

  LongWork work("exact", r.max_seconds);
  ot::AssignmentOptions options;
  options.context.threads = r.threads;
  if (r.max_seconds > 0) options.max_seconds = r.max_seconds;
  options.progress = [&](const ot::AssignmentProgress& now) {
    return work.update(static_cast<double>(now.assigned) / static_cast<double>(now.rows));
  };
  ot::AssignmentResult result =
      problem.is_dense() ? ot::assign(problem.cost_matrix, options) : ot::assign(problem.x, problem.y, options);
  Solution s{.solver = "exact", .dtype = dtype_name<T>(), .status = result.status, .cost = result.cost};
  s.seconds = work.seconds();
  if (result.status == ot::Status::converged) work.finish();
  s.value = result.cost;
  s.certificate = result.certificate;
  s.marginal_error = 0;
  s.mass = 1;
  s.columns = std::move(result.columns);
  // The solver's sums are means over the rows: so are ours, of weights 1/n, and potentials are those of unit costs.
  s.f = std::move(result.f);
  s.g = std::move(result.g);
  return s;
}

template Solution solve_exact(const Input<float>&, const Request&, const MemoryBudget&);
template Solution solve_exact(const Input<double>&, const Request&, const MemoryBudget&);

}  // namespace monge::apps
