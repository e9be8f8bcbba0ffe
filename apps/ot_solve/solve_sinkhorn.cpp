#include <algorithm>
#include <cmath>
#include <cstdio>

#include "monge/apps/ot_solve/epsilon.h"
#include "monge/apps/ot_solve/long_work.h"
#include "monge/apps/ot_solve/solvers.h"

namespace monge::apps {
namespace {

// What the solver holds besides the input, kept scores apart: clouds once more in its own units and, to certify in
// double, twice as doubles; some tens of vectors; tiles.
template <class T>
double working_memory(const ot::Problem<T>& p) {
  const double n = static_cast<double>(p.rows()), m = static_cast<double>(p.cols());
  const double points = (n + m) * static_cast<double>(p.dims()) + (p.is_dense() ? n * m : 0);
  return points * (sizeof(T) + (sizeof(T) == sizeof(float) ? 16 : 0)) + (n + m) * 30 * sizeof(double) + 2e7;
}

// How far the marginal error has come from what it first was to the tolerance; errors fall geometrically.
struct Descent {
  double tolerance, first = 0;
  double share(double error) {
    if (!(error > 0) || !std::isfinite(error)) return 0;
    if (first == 0) first = std::max(error, 2 * tolerance);
    return std::clamp(std::log(first / error) / std::log(first / tolerance), 0.0, 1.0);
  }
};

}  // namespace

template <class T>
Solution solve_sinkhorn(const Input<T>& input, const Request& r, const MemoryBudget& budget) {
  const ot::Problem<T> problem = input.problem();
  const double working = working_memory(problem);
  budget.require(working, "sinkhorn");

  if (!r.tau_a && !r.tau_b && !r.mass) check_balanced(input, "; --tau-a, --tau-b and --mass take others");
  LongWork work("sinkhorn", r.max_seconds);
  ot::SinkhornOptions options;
  Solution s{.solver = "sinkhorn", .epsilon_note = set_epsilon(input, r, options)};
  options.tolerance = r.tolerance.value_or(options.tolerance);
  options.tau_a = r.tau_a.value_or(options.tau_a);
  options.tau_b = r.tau_b.value_or(options.tau_b);
  options.mass = r.mass.value_or(0);
  options.max_iterations = r.max_iterations.value_or(options.max_iterations);
  options.max_seconds = r.max_seconds;
  options.context = r.context;
  // Scores may be kept twice, the second time to certify in double.
  options.storage_bytes = std::min(options.storage_bytes, std::max(0.0, budget.left() - working) / 2);
  Descent descent{options.tolerance};
  options.progress = [&](const ot::SinkhornProgress& now) {
    char note[96];
    std::snprintf(note, sizeof note, "iteration %lld, marginals off by %.2g%s", static_cast<long long>(now.iterations),
                  now.marginal_error, now.level > 0 ? ", on a sample" : "");
    return work.update(now.level == 0 ? descent.share(now.marginal_error) : 0, note);
  };

  ot::SinkhornResult result = ot::sinkhorn(problem, options);
  s.seconds = work.seconds();
  if (result.status == ot::Status::converged) work.finish();
  s.dtype = result.in_double ? "double" : "float";
  s.status = result.status;
  s.iterations = result.iterations;
  s.found = result.iterations > 0;
  if (!s.found) return s;
  if (result.has_cost) s.cost = result.cost, s.value = result.value;
  s.certificate = result.certificate;
  s.marginal_error = result.marginal_error;
  s.mass = result.mass;
  s.epsilon = result.epsilon;
  const double asked = options.epsilon * (options.epsilon_unit == ot::EpsilonUnit::mean_cost ? result.mean_cost : 1);
  if (result.epsilon > 1.5 * asked) s.epsilon_note = "on its way to the one asked for";
  s.f = result.f;
  s.g = result.g;
  s.sinkhorn = std::move(result);
  return s;
}

template Solution solve_sinkhorn(const Input<float>&, const Request&, const MemoryBudget&);
template Solution solve_sinkhorn(const Input<double>&, const Request&, const MemoryBudget&);

}  // namespace monge::apps
