#include "monge/apps/ot_solve/long_work.h"
#include "monge/apps/ot_solve/solvers.h"
#include "monge/ot/core/error.h"
#include "monge/ot/exact.h"

namespace monge::apps {

template <class T>
Solution solve_exact(const Input<T>& input, const Request& r, const MemoryBudget& budget) {
  const ot::Problem<T> problem = input.problem();
  const double n = static_cast<double>(problem.rows()), m = static_cast<double>(problem.cols());
  require(n == m, "--solver exact assigns one to one: X has ", n, " points, Y has ", m,
          "; --solver sinkhorn takes any numbers");
  budget.require(n * m * (problem.is_dense() && sizeof(T) == sizeof(float) ? 0 : sizeof(double)) + 100 * n + 1e7,
                 "exact, which keeps all costs,");

  LongWork work("exact", r.max_seconds);
  ot::ExactOptions options;
  options.context.threads = r.threads;
  if (r.max_seconds > 0) options.max_seconds = r.max_seconds;
  options.progress = [&](const ot::ExactProgress& now) {
    return work.update(static_cast<double>(now.assigned) / static_cast<double>(now.rows));
  };
  ot::ExactResult result =
      problem.is_dense() ? ot::exact_cost(problem.cost_matrix, options) : ot::exact(problem.x, problem.y, options);
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
