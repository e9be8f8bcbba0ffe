#include "monge/flow/sample.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "monge/flow/runge_kutta.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"

namespace monge::flow {
namespace {

using ot::Status;

// Tells the caller; true if the run is to end before t1.
bool stopped(const SampleOptions& options, const RungeKutta& method, SampleResult& result) {
  if (!options.progress || options.progress({result.t, method.evaluations()}) || result.t == options.t1) return false;
  result.status = Status::stopped_by_caller;
  return true;
}

void equal_steps(RungeKutta& method, const SampleOptions& options, SampleResult& result) {
  for (Index step = 1; step <= options.steps; ++step) {
    const double fraction = static_cast<double>(step) / static_cast<double>(options.steps);
    const double end = step == options.steps ? options.t1 : options.t0 + fraction * (options.t1 - options.t0);
    if (!method.attempt(result.t, end)) {
      result.status = Status::numerical_failure;
      return;
    }
    method.accept();
    ++result.accepted;
    result.t = end;
    if (stopped(options, method, result)) return;
  }
}

// Step control as in Hairer, Norsett and Wanner's DOPRI5: proportional-integral, beta = 0.04.
void adaptive_steps(RungeKutta& method, const SampleOptions& options, SampleResult& result) {
  constexpr double beta = 0.04, exponent = 0.2 - 0.75 * beta, safety = 0.9, shrink = 5, grow = 10;
  const double direction = options.t1 < options.t0 ? -1 : 1;
  double h = method.first_step(options.t0, options.t1, options.rtol, options.atol);
  if (h == 0) {
    result.status = Status::numerical_failure;
    return;
  }
  double last_error = 1e-4;
  bool rejected = false;
  while (result.t != options.t1) {
    if (result.accepted + result.rejected == options.max_steps) {
      result.status = Status::iteration_limit;
      return;
    }
    const double left = std::abs(options.t1 - result.t);
    const double end = 1.01 * h >= left ? options.t1 : result.t + direction * h;
    if (h < left && result.t + 0.1 * direction * h == result.t) {
      result.status = Status::numerical_failure;
      return;
    }
    if (!method.attempt(result.t, end)) {
      result.status = Status::numerical_failure;
      return;
    }
    h = std::abs(end - result.t);
    const double error = method.error_norm(h, options.rtol, options.atol);
    const double factor = std::pow(error, exponent);
    if (!(error <= 1)) {
      ++result.rejected;
      rejected = true;
      h /= std::min(shrink, factor / safety);
      continue;
    }
    method.accept();
    ++result.accepted;
    result.t = end;
    if (stopped(options, method, result)) return;
    const double longest = rejected ? 1 : grow;
    h /= std::clamp(factor / std::pow(last_error, beta) / safety, 1 / longest, shrink);
    last_error = std::max(error, 1e-4);
    rejected = false;
  }
}

}  // namespace

const std::vector<std::string>& solver_names() {
  static const std::vector<std::string> names = {"euler", "midpoint", "heun", "rk4",
                                                 "dopri5"};  // in the order of Solver
  return names;
}

const char* to_string(Solver solver) { return solver_names()[static_cast<std::size_t>(solver)].c_str(); }

Solver parse_solver(std::string_view name) {
  std::string list;
  for (std::size_t i = 0; i < solver_names().size(); ++i) {
    if (name == solver_names()[i]) return static_cast<Solver>(i);
    list += (i == 0 ? "" : ", ") + solver_names()[i];
  }
  throw Error(Errc::invalid_argument, concat("parse_solver: no solver '", name, "'; there are ", list));
}

SampleResult integrate(const Velocity& velocity, MatrixView<float> x, const SampleOptions& options) {
  const Tableau& method = tableau(options.solver);
  require(static_cast<bool>(velocity), "integrate: no velocity");
  require(!x.empty(), "integrate: x is empty (", x.rows, " x ", x.cols, ")");
  require(std::isfinite(options.t0) && std::isfinite(options.t1), "integrate: t0 and t1 must be finite");
  require(method.adaptive() || options.steps > 0, "integrate: steps must be positive, not ", options.steps);
  if (method.adaptive()) {
    require(options.atol > 0 && options.rtol >= 0, "integrate: needs atol > 0 and rtol >= 0, not ", options.atol,
            " and ", options.rtol);
    require(options.max_steps > 0, "integrate: max_steps must be positive, not ", options.max_steps);
  }
  if (x.device.type != DeviceType::cpu) throw Error(Errc::backend_unavailable, "integrate: x must be on the CPU");
  require_finite(MatrixView<const float>(x), "integrate: x");

  SampleResult result;
  result.t = options.t0;
  if (options.t0 == options.t1) return result;
  RungeKutta runge_kutta(method, velocity, x, options.context);
  method.adaptive() ? adaptive_steps(runge_kutta, options, result) : equal_steps(runge_kutta, options, result);
  result.nfe = runge_kutta.evaluations();
  const MatrixView<const float> state = runge_kutta.state();
  for (Index i = 0; i < x.rows; ++i) std::copy_n(state.row(i), x.cols, x.row(i));
  return result;
}

SampleResult invert(const Velocity& velocity, MatrixView<float> x, SampleOptions options) {
  std::swap(options.t0, options.t1);
  return integrate(velocity, x, options);
}

Velocity guided(Velocity conditional, Velocity unconditional, double scale, const Context& context) {
  require(conditional && unconditional, "guided: no velocity");
  require(std::isfinite(scale), "guided: scale must be finite, not ", scale);
  if (scale == 1) return conditional;
  if (scale == 0) return unconditional;
  struct Scratch {
    Matrix<float> v;
  };
  const auto scratch = std::make_shared<Scratch>();  // a Velocity is copied, its scratch need not be
  return [=](double t, MatrixView<const float> x, MatrixView<float> v) {
    if (scratch->v.rows() < x.rows || scratch->v.cols() != x.cols) scratch->v = Matrix<float>(x.rows, x.cols);
    const MatrixView<float> without = scratch->v.view().rows_from(0, x.rows);
    conditional(t, x, v);
    unconditional(t, x, without);
    const auto with = static_cast<float>(scale), rest = static_cast<float>(1 - scale);
    constexpr Index block = 64;
    parallel_for(threads_worth(context.threads, x.rows * x.cols), (x.rows + block - 1) / block, [&](Index task, int) {
      for (Index i = task * block; i < std::min(x.rows, (task + 1) * block); ++i)
        for (Index k = 0; k < x.cols; ++k) v(i, k) = with * v(i, k) + rest * without(i, k);
    });
  };
}

}  // namespace monge::flow
