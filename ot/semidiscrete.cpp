#include "monge/ot/semidiscrete.h"

#include <chrono>
#include <cmath>
#include <limits>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/finite.h"
#include "monge/ot/semidiscrete_fit.h"

namespace monge::ot {
namespace {

void check_options(MatrixView<const float> y, const SemidiscreteOptions& o, const SourceLaw& source) {
  require(o.cost == Cost::negative_dot || o.cost == Cost::squared_euclidean, "semidiscrete: cost is ",
          to_string(o.cost), ", should be negative_dot or squared_euclidean");
  require(std::isfinite(o.epsilon) && o.epsilon >= 0, "semidiscrete: epsilon is ", o.epsilon, ", expected 0 or more");
  require(o.tolerance > 0 && o.tolerance <= 1, "semidiscrete: tolerance is ", o.tolerance, ", expected (0, 1]");
  require(o.pca >= 0 && o.pca <= y.cols, "semidiscrete: pca is ", o.pca, ", expected 0 to ", y.cols);
  for (const auto& [limit, name] : {std::pair{o.max_samples_per_atom, "max_samples_per_atom"},
                                    {o.max_seconds, "max_seconds"},
                                    {o.check_samples, "check_samples"},
                                    {o.label_penalty, "label_penalty"}})
    require(limit >= 0, "semidiscrete: ", name, " is ", limit, ", expected 0 or more");
  require(o.tau > 0, "semidiscrete: tau is ", o.tau, ", expected more than 0");
  require(!o.labels.empty() || o.noise_labels.empty(), "semidiscrete: noise_labels without labels of the atoms");
  require(o.labels.empty() || o.labels.size == y.rows, "semidiscrete: ", o.labels.size, " labels for ", y.rows,
          " atoms");
  require(!source.is_by_label() || !o.labels.empty(),
          "semidiscrete: a source law by label, but no labels of the atoms");
  require(y.device.type == DeviceType::cpu, "semidiscrete: y is of cuda:", y.device.index,
          ", expected the CPU's memory");
  backend_for(o.context.device);  // refuses what is not there
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); }

// Scores are floats, and the fit squares them: beyond this nothing would be left of them.
void require_moderate(const detail::SemidualProblem& problem, const Context& context) {
  constexpr double least = 1e-15, most = 1e13;
  constexpr Index some = 64;
  if (!problem.source) return;
  const Index d = problem.atoms.dimensions();
  const Rng rng = Rng{}.substream(11);
  Matrix<float> x(some, d);
  draw(problem.source, rng, 0, problem.draw_labels(detail::label_stream(rng), 0, some), x.view(), context);
  double size = 0;
  for (Index i = 0; i < some; ++i) size = std::max(size, std::sqrt(dot(x.view().row(i), x.view().row(i), d)));
  require(size <= most && (size == 0 || size >= least), "semidiscrete: points of the source are of size ", size,
          ", beyond what floats can score; scale them and the atoms to between ", least, " and ", most);
}

// Potentials of a cloud before, and which of its atoms each atom was.
struct Before {
  const SemidiscretePotentials& potentials;
  VectorView<const std::int32_t> origin;
};

// v of the distinct atoms, as the mean of those members whose potential is known, NaN if none is.
std::vector<double> known_biases(const AtomSet& atoms, const Before& before, Cost cost) {
  std::vector<double> known(static_cast<std::size_t>(atoms.size()));
  for (std::size_t j = 0; j < known.size(); ++j) {
    double sum = 0, count = 0;
    for (Index i = atoms.first_member[j]; i < atoms.first_member[j + 1]; ++i) {
      const std::int32_t old = before.origin[atoms.members[static_cast<std::size_t>(i)]];
      const double g = old < 0 ? -HUGE_VAL : before.potentials.g[static_cast<std::size_t>(old)];
      if (std::isfinite(g)) sum += g, ++count;
    }
    const double level = cost == Cost::squared_euclidean ? atoms.squared_norm(static_cast<Index>(j)) : 0.0;
    known[j] = (sum / count - level) / (cost == Cost::squared_euclidean ? 2 : 1);  // 0 / 0: not known
  }
  return known;
}

// None if the caller stopped it.
std::optional<Pca> principal_directions(MatrixView<const float> y, VectorView<const double> b,
                                        const SemidiscreteOptions& options, Clock::time_point start) {
  require(!y.empty(), "semidiscrete: y is empty (", y.rows, " x ", y.cols, ")");
  require_finite(y, "semidiscrete: y");
  normalised_weights("semidiscrete", b, y.rows);  // complains in this name
  const auto go_on = [&] {
    if (options.context.stop && options.context.stop->requested()) return false;
    return !options.on_step || options.on_step({.seconds = seconds_since(start)});
  };
  const Stop stop(go_on);
  if (!go_on()) stop.request();
  Context context = options.context;
  context.stop = &stop;
  std::optional<Pca> pca;
  finishes([&] { pca = fit_pca(y, options.pca, b, context); });
  return pca;
}

SemidiscreteResult solve(MatrixView<const float> y, VectorView<const double> b, const SemidiscreteOptions& options,
                         const SourceLaw& source, const Before* before) {
  const auto start = Clock::now();
  SemidiscreteResult result;
  SemidiscretePotentials& potentials = result.potentials;
  bool stopped = false;  // before there was anything to fit
  if (before && before->potentials.pca) {
    potentials.pca = before->potentials.pca->clone();
  } else if (options.pca > 0) {
    potentials.pca = principal_directions(y, b, options, start);
    stopped = !potentials.pca;
  }
  // Labels that cost nothing tell no duplicates apart.
  AtomSet atoms = make_atoms("semidiscrete", y, b, potentials.pca, options.context,
                             options.label_penalty > 0 ? options.labels : VectorView<const std::int32_t>());
  atoms.keep_ready(y, options.context);
  const SourceLaw law = detail::source_for(source, options, b);
  const detail::SemidualProblem problem =
      detail::make_semidual(atoms, options, detail::projected_source(law, potentials.pca));
  require_moderate(problem, options.context);

  // The fit is over when fresh noise says so, unless the caller wants too little of that for it to say much.
  detail::check_rows(atoms.size(), options);
  std::optional<detail::Check> check;
  int attempts = 0;
  SemidiscreteOptions fitting = options;  // the check has the rest of the time
  fitting.max_seconds *= 0.75;
  const auto look = [&](const std::vector<double>& v) {
    const auto from = Clock::now();
    const double left = options.max_seconds - seconds_since(start);
    check = detail::check_semidual(problem, v, options, attempts++, options.max_seconds > 0 ? left : HUGE_VAL);
    result.check_seconds += seconds_since(from);
  };
  const auto accept = [&](const std::vector<double>& v) {
    look(v);
    return check->stopped || options.check_samples > 0 || check->marginal.upper <= options.tolerance;
  };
  detail::Fit fit;
  if (stopped) {
    fit.v.assign(static_cast<std::size_t>(atoms.size()), 0.0);
    fit.status = Status::stopped_by_caller;
  } else {
    fit = detail::fit_semidual(problem, fitting, accept,
                               before ? known_biases(atoms, *before, options.cost) : std::vector<double>());
  }
  result.status = fit.status;
  const double distinct = static_cast<double>(atoms.size()) / static_cast<double>(y.rows);
  result.samples_per_atom = distinct * fit.samples;
  result.gemm_rows_per_atom = distinct * fit.gemm_rows;
  result.seconds = seconds_since(start) - result.check_seconds;
  result.merged = atoms.merged();
  result.dropped = atoms.dropped();
  potentials.cost = options.cost;
  potentials.epsilon = options.epsilon;
  potentials.b.assign(b.begin(), b.end());
  potentials.labels.assign(options.labels.begin(), options.labels.end());
  potentials.label_penalty = options.label_penalty;
  potentials.noise_labels = problem.labels.shares();
  potentials.tau = options.tau;
  std::vector<double> v(fit.v);
  if (problem.is_unbalanced()) {
    const double constant = detail::target(problem, v).constant;
    for (double& value : v) value += constant;
  }
  potentials.g = to_potentials(atoms, v, options.cost);
  if (fit.status == Status::stopped_by_caller || fit.status == Status::numerical_failure) return result;

  if (fit.status != Status::converged) look(fit.v);
  if (check->stopped) {
    result.status = Status::stopped_by_caller;
    return result;
  }
  if (check->marginal.upper <= options.tolerance)
    result.status = Status::converged;  // whatever ended the fit
  else if (result.status == Status::converged)
    result.status = check->cut_short ? Status::time_limit : Status::iteration_limit;
  result.marginal = check->marginal;
  result.cost = check->cost;
  result.cost_error = check->cost_error;
  result.certificate = {Certificate::Kind::confidence, check->lower, check->upper};
  return result;
}

}  // namespace

SemidiscreteResult semidiscrete(MatrixView<const float> y, VectorView<const double> b,
                                const SemidiscreteOptions& options, const SourceLaw& source) {
  check_options(y, options, source);
  SemidiscreteResult result;
  with_team(resolve_threads(options.context.threads), [&] { result = solve(y, b, options, source, nullptr); });
  return result;
}

SemidiscreteResult refit(MatrixView<const float> y, const SemidiscretePotentials& before,
                         VectorView<const std::int32_t> origin, VectorView<const double> b,
                         const SemidiscreteOptions& given, const SourceLaw& source) {
  require(origin.size == y.rows, "refit: ", origin.size, " origins for ", y.rows, " atoms");
  for (Index j = 0; j < origin.size; ++j) {
    require(origin[j] >= -1 && origin[j] < static_cast<Index>(before.g.size()), "refit: atom ", j, " was atom ",
            origin[j], " of ", before.g.size());
  }
  require(!before.pca || before.pca->basis.cols() == y.cols, "refit: the atoms have ", y.cols,
          " dimensions, those before had ", before.pca ? before.pca->basis.cols() : 0);
  SemidiscreteOptions options = given;
  options.cost = before.cost;
  options.epsilon = before.epsilon;
  options.pca = 0;
  options.label_penalty = before.label_penalty;
  options.tau = before.tau;
  check_options(y, options, source);
  const Before known{before, origin};
  SemidiscreteResult result;
  with_team(resolve_threads(options.context.threads), [&] { result = solve(y, b, options, source, &known); });
  return result;
}

std::vector<double> SemidiscretePotentials::masses() const {
  std::vector<double> mass = normalised_weights("masses", b, static_cast<Index>(g.size()));
  if (std::isinf(tau)) return mass;
  double total = 0;
  for (std::size_t j = 0; j < mass.size(); ++j) total += mass[j] *= mass[j] > 0 ? std::exp(-g[j] / tau) : 0.0;
  for (double& m : mass) m /= total;
  return mass;
}

}  // namespace monge::ot
