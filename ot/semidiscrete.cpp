#include "monge/ot/semidiscrete.h"

#include <chrono>
#include <cmath>
#include <limits>

#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"
#include "monge/ot/semidiscrete_fit.h"

namespace monge::ot {
namespace {

void check_options(MatrixView<const float> y, const SemidiscreteOptions& o) {
  require(o.cost == Cost::negative_dot || o.cost == Cost::squared_euclidean, "semidiscrete: cost is ",
          to_string(o.cost), ", should be negative_dot or squared_euclidean");
  require(std::isfinite(o.epsilon) && o.epsilon >= 0, "semidiscrete: epsilon is ", o.epsilon, ", expected 0 or more");
  require(o.tolerance > 0 && o.tolerance <= 1, "semidiscrete: tolerance is ", o.tolerance, ", expected (0, 1]");
  require(o.pca >= 0 && o.pca <= y.cols, "semidiscrete: pca is ", o.pca, ", expected 0 to ", y.cols);
  for (const auto& [limit, name] : {std::pair{o.max_samples_per_atom, "max_samples_per_atom"},
                                    {o.max_seconds, "max_seconds"},
                                    {o.check_samples, "check_samples"}})
    require(limit >= 0, "semidiscrete: ", name, " is ", limit, ", expected 0 or more");
  require(y.device.type == DeviceType::cpu && o.context.device.type == DeviceType::cpu,
          "semidiscrete: only the CPU room has this solver");
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); }

// A source in d dimensions as the projected problem sees it. The standard normal stays itself.
SourceLaw projected_source(const SourceLaw& source, const std::optional<Pca>& pca) {
  if (!source || !pca) return source;
  return [&source, &pca](const Rng& rng, std::uint64_t first, MatrixView<float> out) {
    Matrix<float> x(out.rows, pca->basis.cols());
    source(rng, first, x.view());
    project(*pca, x.view(), out, {.threads = 1});
  };
}

SemidiscreteResult solve(MatrixView<const float> y, VectorView<const double> b, const SemidiscreteOptions& options,
                         const SourceLaw& source) {
  const auto start = Clock::now();
  SemidiscreteResult result;
  SemidiscretePotentials& potentials = result.potentials;
  if (options.pca > 0) {
    require(!y.empty(), "semidiscrete: y is empty (", y.rows, " x ", y.cols, ")");
    require_finite(y, "semidiscrete: y");
    normalised_weights("semidiscrete", b, y.rows);  // complains in this name
    potentials.pca = fit_pca(y, options.pca, b, options.context);
  }
  AtomSet atoms = make_atoms("semidiscrete", y, b, potentials.pca, options.context);
  atoms.keep_digits(options.context);
  // |x - y|^2 = |x|^2 + |y|^2 - 2 <x, y>: the same problem with half the temperature and potentials.
  const bool squared = options.cost == Cost::squared_euclidean;
  const detail::SemidualProblem problem{atoms, squared ? options.epsilon / 2 : options.epsilon,
                                        projected_source(source, potentials.pca)};

  // The fit is over when fresh noise says so, unless the caller wants too little of that for it to say much.
  detail::check_rows(atoms.size(), options);
  std::optional<detail::Check> check;
  int attempts = 0;
  const auto look = [&](const std::vector<double>& v) {
    const auto from = Clock::now();
    check = detail::check_semidual(problem, v, options, attempts++);
    result.check_seconds += seconds_since(from);
  };
  const detail::Fit fit = detail::fit_semidual(problem, options, [&](const std::vector<double>& v) {
    look(v);
    return check->stopped || options.check_samples > 0 || check->marginal.upper <= options.tolerance;
  });
  result.status = fit.status;
  result.samples_per_atom = fit.samples;
  result.gemm_rows_per_atom = fit.gemm_rows;
  result.seconds = seconds_since(start) - result.check_seconds;
  result.merged = atoms.merged();
  result.dropped = atoms.dropped();
  potentials.cost = options.cost;
  potentials.epsilon = options.epsilon;
  potentials.b.assign(b.begin(), b.end());
  potentials.g = to_potentials(atoms, fit.v, options.cost);
  if (fit.status == Status::stopped_by_caller || fit.status == Status::numerical_failure) return result;

  if (fit.status != Status::converged) look(fit.v);
  if (check->stopped) {
    result.status = Status::stopped_by_caller;
    return result;
  }
  if (result.status == Status::converged && !(check->marginal.upper <= options.tolerance))
    result.status = Status::iteration_limit;
  result.marginal = check->marginal;
  result.cost = check->cost;
  result.certificate = {Certificate::Kind::confidence, check->lower, check->upper};
  return result;
}

}  // namespace

SemidiscreteResult semidiscrete(MatrixView<const float> y, VectorView<const double> b,
                                const SemidiscreteOptions& options, const SourceLaw& source) {
  check_options(y, options);
  SemidiscreteResult result;
  with_team(resolve_threads(options.context.threads), [&] { result = solve(y, b, options, source); });
  return result;
}

}  // namespace monge::ot
