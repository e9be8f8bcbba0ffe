#include "monge/ot/sinkhorn.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <string>

#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/on_device.h"
#include "monge/ot/sinkhorn_bounds.h"
#include "monge/ot/sinkhorn_solver.h"
#include "monge/ot/sinkhorn_start.h"
#include "monge/ot/weights.h"

namespace monge::ot {
namespace {

using detail::Geometry;
using detail::SinkhornIteration;
using detail::sum_of;
using Monitor = detail::SinkhornMonitor;
using Weights = detail::SinkhornWeights;

void check_options(const SinkhornOptions& o) {
  require(std::isfinite(o.epsilon) && o.epsilon > 0, "sinkhorn: epsilon is ", o.epsilon, ", should be positive");
  require(o.tolerance > 0, "sinkhorn: tolerance is ", o.tolerance, ", should be positive");
  require(o.tau_a > 0, "sinkhorn: tau_a is ", o.tau_a, ", should be positive");
  require(o.tau_b > 0, "sinkhorn: tau_b is ", o.tau_b, ", should be positive");
  require(std::isfinite(o.mass) && o.mass >= 0, "sinkhorn: mass is ", o.mass, ", should not be negative");
  require(o.mass == 0 || (std::isinf(o.tau_a) && std::isinf(o.tau_b)), "sinkhorn: a mass excludes tau_a and tau_b");
  require(o.max_iterations > 0, "sinkhorn: max_iterations is ", o.max_iterations, ", should be positive");
  require(o.max_seconds >= 0, "sinkhorn: max_seconds is ", o.max_seconds, ", should not be negative");
  require(o.memory >= 0, "sinkhorn: memory is ", o.memory, ", should not be negative");
  backend_for(o.context.device);  // refuses what is not there
}

// sum a phi(f) + sum b phi(g) - epsilon (sum P - sum a sum b), and the multiplier of a partial problem times its mass.
double regularised_value(const Weights& w, const SinkhornOptions& o, const SinkhornResult& r, double mass) {
  const auto dual = [](const std::vector<double>& weights, const std::vector<double>& f, double level, double tau) {
    double sum = 0;
    for (std::size_t i = 0; i < f.size(); ++i) {
      const double phi = std::isfinite(tau) ? -tau * std::expm1(-f[i] / tau) : f[i] - level;
      sum += weights[i] > 0 ? weights[i] * phi : 0;
    }
    return sum;
  };
  return dual(w.a, r.f, r.level, o.tau_a) + dual(w.b, r.g, 0, o.tau_b) + r.level * o.mass -
         r.epsilon * (mass - w.all_a * w.all_b);
}

// The bounds of a certificate stay bounds where units take them to subnormal numbers.
void report(const detail::SinkhornBounds& bounds, double unit, SinkhornResult& result) {
  result.cost = bounds.cost * unit;
  result.value = bounds.value * unit;
  result.has_cost = true;
  if (!bounds.proven) return;
  double lower = bounds.lower * unit, upper = bounds.upper * unit;
  if (lower / unit > bounds.lower) lower = std::nextafter(lower, -HUGE_VAL);
  if (upper / unit < bounds.upper) upper = std::nextafter(upper, HUGE_VAL);
  if (std::isinf(lower) || std::isinf(upper)) return;
  Certificate& c = result.certificate;
  const bool known = c.kind == Certificate::Kind::proven;
  c = {Certificate::Kind::proven, known ? std::max(c.lower, lower) : lower, known ? std::min(c.upper, upper) : upper};
}

// Where rounding makes up half of the interval, the same plan is looked at once more in double. False if stopped: then
// there is as much as is known by then.
template <class T>
bool certify(const Problem<T>& problem, const Weights& weights, const SinkhornOptions& options,
             const SinkhornIteration<T>& iteration, SinkhornResult& result) {
  detail::SinkhornBounds bounds;
  if (!finishes([&] { bounds = detail::sinkhorn_bounds(iteration); })) return false;
  report(bounds, iteration.geometry().unit(), result);
  if constexpr (std::is_same_v<T, float>) {
    if (!bounds.whole || (bounds.proven && bounds.slack <= 0.5 * (bounds.upper - bounds.lower))) return bounds.whole;
    const detail::OwnedProblem<double> exact = detail::in_double(problem);
    Geometry<double> geometry(exact.view);
    if (!finishes([&] { detail::store_if_worthwhile(geometry, problem.dims(), options); })) return false;
    const double unit = geometry.unit();
    SinkhornIteration<double> again(
        geometry, detail::sinkhorn_side(weights.a, geometry.row_own(), options.tau_a, options.mass, unit),
        detail::sinkhorn_side(weights.b, geometry.col_own(), options.tau_b, options.mass, unit), options.context);
    std::vector<double> potentials(result.g);
    for (std::size_t j = 0; j < potentials.size(); ++j)
      potentials[j] = potentials[j] / unit - geometry.col_own()[j] + result.g_rest[j] / unit;
    if (!finishes([&] {
          again.look(potentials, result.epsilon / unit);
          bounds = detail::sinkhorn_bounds(again);
        }))
      return false;
    report(bounds, unit, result);
  }
  return bounds.whole;
}

// Whether float knows a converged plan from another: scores and potentials are off by some 2^-24 of the costs, in units
// of epsilon.
bool float_can_tell(double epsilon, double cost, double tolerance) {
  return 0x1p-22 * cost <= 0.1 * tolerance * epsilon;
}

template <class T>
SinkhornResult solve(const Problem<T>& problem, const SinkhornOptions& options, Monitor& monitor) {
  const Weights weights(problem, options);
  SinkhornResult result;
  detail::SinkhornSolver<T> solver(problem, weights, options, monitor, 0);
  result.epsilon = options.epsilon;
  result.in_double = std::is_same_v<T, double>;
  if (options.epsilon_unit == EpsilonUnit::mean_cost) {
    const Geometry<T>& geometry = solver.geometry();
    result.mean_cost = geometry.mean_cost(weights.a, weights.b, options.context) * geometry.unit();
    require(std::isfinite(result.mean_cost), "sinkhorn: the mean cost overflows: rescale the points");
    // Points in one place have costs that are nothing but rounding.
    const double measure = geometry.has_signs()
                               ? result.mean_cost
                               : std::max(result.mean_cost, 100 * geometry.rounding() * geometry.unit());
    require(measure > 0 || !geometry.has_signs(), "sinkhorn: the mean cost is ", result.mean_cost,
            ", no measure for epsilon: give it in units of the cost");
    if (measure > 0) result.epsilon *= measure;
  }
  if constexpr (std::is_same_v<T, float>) {
    if (!float_can_tell(result.epsilon, std::max(solver.typical_cost(), solver.price_of_gap()), options.tolerance)) {
      return solve(detail::in_double(problem).view, options, monitor);
    }
  }
  result.epsilon = std::max(result.epsilon, solver.least_epsilon());
  std::vector<double> start(options.start.begin(), options.start.end());
  require(start.empty() || static_cast<Index>(start.size()) == problem.cols(), "sinkhorn: start has ", start.size(),
          " potentials for ", problem.cols(), " columns");
  for (std::size_t j = 0; j < start.size(); ++j)
    if (!std::isfinite(start[j])) throw Error(Errc::not_finite, concat("sinkhorn: start is ", start[j], " at ", j));

  const bool whole =
      finishes([&] { solver.solve(start.empty() ? nullptr : &start, result.epsilon, options.tolerance); });
  result.status = whole ? solver.status() : monitor.why();
  if (solver.iterations() == 0) return result;  // nothing is known
  monitor.begin_certificate();
  const SinkhornIteration<T>& last = solver.iteration();
  const double unit = solver.geometry().unit();
  if (static_cast<T>(result.epsilon / unit) != last.epsilon()) result.epsilon = last.epsilon() * unit;
  result.f = solver.row_potentials(&result.f_rest);
  result.g = solver.col_potentials(&result.g_rest);
  result.level = last.row_state().level * unit;
  result.mass = sum_of(last.row_state().masses);
  result.regularised = regularised_value(weights, options, result, result.mass);
  result.marginal_error = solver.error();
  result.iterations = solver.iterations();
  if (options.certify && result.status != Status::numerical_failure) {
    if (!certify(problem, weights, options, last, result)) result.status = monitor.why();
  }
  return result;
}

template <class T>
int threads_for(const Problem<T>& p, const SinkhornOptions& o) {
  return threads_worth(o.context.threads, p.rows() * p.cols() * std::max<Index>(1, p.dims() / 8));
}

template <class T>
SinkhornResult solve(const Problem<T>& problem, const SinkhornOptions& options) {
  check_options(options);
  check(problem, "sinkhorn");
  Monitor monitor(options);
  SinkhornOptions watched = options;
  watched.context.stop = &monitor.in_passes();
  SinkhornResult result;
  with_team(threads_for(problem, options), [&] {
    if (!finishes([&] { result = solve(problem, watched, monitor); })) result.status = monitor.why();
  });
  result.seconds = monitor.seconds();
  return result;
}

template <class T>
std::vector<SinkhornResult> solve_all(std::span<const Problem<T>> problems, const SinkhornOptions& options) {
  std::vector<SinkhornResult> results(problems.size());
  SinkhornOptions each = options;
  each.context.threads = 1;
  each.progress = {};
  const auto count = static_cast<Index>(problems.size());
  const Index workers = std::clamp<Index>(resolve_threads(options.context.threads), 1, std::max<Index>(1, count));
  std::deque<detail::OwnStream> streams;
  for (Index w = 0; w < workers; ++w) streams.emplace_back(options.context);
  parallel_for(static_cast<int>(workers), count, [&](Index k, int worker) {
    SinkhornOptions own = each;
    own.context.stream = streams[static_cast<std::size_t>(worker)].get();
    results[static_cast<std::size_t>(k)] = solve(problems[k], own);
  });
  return results;
}

}  // namespace

SinkhornResult sinkhorn(const Problem<double>& problem, const SinkhornOptions& options) {
  return solve(problem, options);
}
SinkhornResult sinkhorn(const Problem<float>& problem, const SinkhornOptions& options) {
  return solve(problem, options);
}

std::vector<SinkhornResult> sinkhorn(std::span<const Problem<float>> problems, const SinkhornOptions& options) {
  return solve_all(problems, options);
}
std::vector<SinkhornResult> sinkhorn(std::span<const Problem<double>> problems, const SinkhornOptions& options) {
  return solve_all(problems, options);
}

}  // namespace monge::ot
