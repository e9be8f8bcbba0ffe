#include <cmath>

#include "monge/apps/ot_solve/long_work.h"
#include "monge/apps/ot_solve/solvers.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/sliced.h"

namespace monge::apps {

template <class T>
Solution solve_sliced(const Input<T>& input, const Request& r, const MemoryBudget& budget) {
  const ot::Problem<T> problem = input.problem();
  // Each thread sorts 64 projections of both clouds at a time.
  const double points = static_cast<double>(problem.rows() + problem.cols());
  const double threads = resolve_threads(r.context.threads);
  budget.require(threads * points * (64 * sizeof(T) + 24) + 1e7, "sliced");

  LongWork work("sliced", r.max_seconds);
  check_balanced(input);
  ot::SlicedOptions options;
  options.p = input.cost == ot::Cost::euclidean ? 1 : 2;
  options.directions = r.max_iterations.value_or(options.directions);
  options.seed = r.seed;
  options.context = r.context;
  options.progress = [&](Index done) {
    return work.update(static_cast<double>(done) / static_cast<double>(options.directions)) && !work.out_of_time();
  };
  const ot::SlicedResult result = ot::sliced(problem.x, problem.y, options, problem.a, problem.b);
  Solution s{.solver = "sliced", .dtype = dtype_name<T>(), .status = result.status};
  s.seconds = work.seconds();
  if (s.status == ot::Status::converged) work.finish();
  if (s.status == ot::Status::stopped_by_caller && !interrupted()) s.status = ot::Status::time_limit;
  if (result.directions == 0) return s;
  // In units of the metric, as the costs of the other solvers are.
  s.cost = s.value = std::pow(result.distance, options.p);
  require(std::isfinite(*s.cost), "sliced: the cost overflows: rescale the points");
  s.standard_error = options.p * std::pow(result.distance, options.p - 1) * result.standard_error;
  s.iterations = result.directions;
  return s;
}

template Solution solve_sliced(const Input<float>&, const Request&, const MemoryBudget&);
template Solution solve_sliced(const Input<double>&, const Request&, const MemoryBudget&);

}  // namespace monge::apps
