#include "monge/ot/sinkhorn.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>

#include "monge/ot/anderson.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/sinkhorn_bounds.h"
#include "monge/ot/sinkhorn_iteration.h"
#include "monge/ot/sinkhorn_start.h"

namespace monge::ot {
namespace {

using detail::Geometry;
using detail::Side;
using detail::SinkhornIteration;
using Clock = std::chrono::steady_clock;

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
  if (o.context.device.type != DeviceType::cpu)
    throw Error(Errc::backend_unavailable, "sinkhorn: runs on the CPU only");
}

std::vector<double> weights_of(VectorView<const double> w, Index size) {
  if (w.empty()) return std::vector<double>(static_cast<std::size_t>(size), 1.0 / static_cast<double>(size));
  return {w.begin(), w.end()};
}

double sum_of(const std::vector<double>& w) {
  double sum = 0;
  for (const double e : w) sum += e;
  return sum;
}

// The weights as they are used: of equal sums where nothing may be created or left.
struct Weights {
  std::vector<double> a, b;
  double all_a = 0, all_b = 0;

  template <class T>
  Weights(const Problem<T>& p, const SinkhornOptions& o) : a(weights_of(p.a, p.rows())), b(weights_of(p.b, p.cols())) {
    all_a = sum_of(a), all_b = sum_of(b);
    const bool balanced = o.mass == 0 && std::isinf(o.tau_a) && std::isinf(o.tau_b);
    if (balanced) {
      require(std::abs(all_a - all_b) <= 1e-6 * std::max(all_a, all_b), "sinkhorn: a sums to ", all_a, " and b to ",
              all_b, ": a balanced problem needs equal sums");
      for (double& w : b) w *= all_a / all_b;
      all_b = all_a;
    }
    require(o.mass <= std::min(all_a, all_b) * (1 + 1e-12), "sinkhorn: mass ", o.mass, " is more than a (", all_a,
            ") or b (", all_b, ") have");
  }
  double mass(const SinkhornOptions& o) const {
    return o.mass > 0 ? o.mass : std::isinf(o.tau_a) ? all_a : std::isinf(o.tau_b) ? all_b : std::sqrt(all_a * all_b);
  }
};

Side make_side(std::vector<double> weights, const std::vector<double>& own, double tau, double mass, double unit) {
  Side side{.weights = std::move(weights), .own = own};
  if (mass > 0) {
    side.law = Side::Law::capped;
    side.mass = mass;
  } else if (std::isfinite(tau)) {
    side.law = Side::Law::kl;
    side.tau = tau / unit;
  }
  return side;
}

// Says when to stop.
class Monitor {
 public:
  explicit Monitor(const SinkhornOptions& options) : options_(options) {}
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  std::optional<Status> stop(const SinkhornProgress& now) const {
    if (options_.progress && !options_.progress(now)) return Status::stopped_by_caller;
    if (options_.max_seconds > 0 && now.seconds >= options_.max_seconds) return Status::time_limit;
    return std::nullopt;
  }

 private:
  const SinkhornOptions& options_;
  Clock::time_point start_ = Clock::now();
};

// Column potentials in units of the cost, as they travel between a problem and samples of it.
using Potentials = std::vector<double>;

template <class T>
class Solver {
 public:
  Solver(const Problem<T>& problem, const Weights& weights, const SinkhornOptions& options, const Monitor& monitor,
         Index level)
      : problem_(problem),
        weights_(weights),
        options_(options),
        monitor_(monitor),
        level_(level),
        geometry_(problem),
        iteration_(geometry_, side(weights.a, geometry_.row_own(), options.tau_a),
                   side(weights.b, geometry_.col_own(), options.tau_b), options.context) {}

  const Geometry<T>& geometry() const { return geometry_; }
  const SinkhornIteration<T>& iteration() const { return iteration_; }
  Status status() const { return status_; }
  double error() const { return error_; }
  Index iterations() const { return iterations_; }

  // From potentials near the solution, or from nothing; epsilon in units of the cost.
  void solve(const Potentials* start, double epsilon, double tolerance) {
    store_if_worthwhile();
    const double target = in_type(epsilon);
    const double spread = spread_of_costs();
    Potentials coarse;
    if (!start && is_large()) {
      coarse = start_from_sample(epsilon);
      start = &coarse;
      if (status_ != Status::converged) return finish(coarse, target);
    }
    potentials_.assign(static_cast<std::size_t>(geometry_.cols()), 0.0);
    if (start) {
      for (std::size_t j = 0; j < potentials_.size(); ++j)
        potentials_[j] = (*start)[j] / geometry_.unit() - geometry_.col_own()[j];
    } else {
      if (iteration_.cols().law != Side::Law::fixed)
        for (std::size_t j = 0; j < potentials_.size(); ++j) potentials_[j] = -geometry_.col_own()[j];
      for (double e = spread; e > 2 * target; e /= 4) {
        if (!iterate(static_cast<double>(static_cast<T>(e)), std::max(tolerance, 0.02), options_.max_iterations))
          return;
      }
    }
    iterate(target, tolerance, options_.max_iterations);
  }

  // Column potentials f + ..., units of the cost.
  Potentials row_potentials() const {
    const auto& rows = iteration_.row_state();
    Potentials f(rows.potentials);
    for (std::size_t i = 0; i < f.size(); ++i) {
      f[i] = std::isfinite(f[i]) ? (f[i] + rows.level + geometry_.row_own()[i]) * geometry_.unit() : 0;
    }
    return f;
  }
  Potentials col_potentials() const {
    Potentials g(potentials_.size());
    std::vector<std::int32_t> weightless;
    for (std::size_t j = 0; j < g.size(); ++j) {
      if (weights_.b[j] > 0)
        g[j] = (iteration_.col_potential(static_cast<Index>(j)) + geometry_.col_own()[j]) * geometry_.unit();
      else
        weightless.push_back(static_cast<std::int32_t>(j));
    }
    if (!weightless.empty() && std::isfinite(error_)) extend_to(weightless, g);
    return g;
  }

 private:
  static constexpr Index large = 2048 * 2048;  // pairs; below that larger epsilons are as good a start as samples
  static constexpr Index ratio = 8;            // of the points of a problem to those of its sample

  Side side(const std::vector<double>& weights, const std::vector<double>& own, double tau) const {
    return make_side(weights, own, tau, options_.mass, geometry_.unit());
  }
  double in_type(double epsilon) const {
    const T scaled = static_cast<T>(epsilon / geometry_.unit());
    require(scaled > 0 && std::isfinite(scaled), "sinkhorn: epsilon ", epsilon, " is out of range for these costs");
    return static_cast<double>(scaled);
  }
  bool is_large() const { return options_.coarse_start && geometry_.rows() * geometry_.cols() > large; }

  void store_if_worthwhile() {
    constexpr Index cheap = 8;  // dimensions in which scores are made as fast as they are read
    const double bytes = static_cast<double>(geometry_.rows()) * static_cast<double>(geometry_.cols()) * sizeof(T);
    const bool wanted =
        options_.storage == Storage::store ||
        (options_.storage == Storage::automatic && problem_.dims() > cheap && bytes <= options_.storage_bytes);
    if (wanted && !geometry_.is_stored()) geometry_.store(options_.context);
  }

  // Mean distance of a few costs from their mean: where epsilon starts to fall from.
  double spread_of_costs() const {
    constexpr Index pairs = 1024;
    std::vector<double> costs;
    for (Index k = 0; k < pairs; ++k) {
      const Rng::Block w = Rng{7}.bits(static_cast<std::uint64_t>(k));
      costs.push_back(geometry_.cost(static_cast<Index>(w.w[0] % static_cast<std::uint64_t>(geometry_.rows())),
                                     static_cast<Index>(w.w[1] % static_cast<std::uint64_t>(geometry_.cols()))));
    }
    const double mean = sum_of(costs) / pairs;
    double spread = 0;
    for (const double c : costs) spread += std::abs(c - mean) / pairs;
    return spread;
  }

  Potentials start_from_sample(double epsilon) {
    const auto fewer = [](Index count) { return std::max<Index>(std::min<Index>(count, 512), count / ratio); };
    const Rng rng{0x6d6f6e6765, static_cast<std::uint64_t>(level_)};
    const auto i = detail::draw_by_weight(weights_.a, fewer(geometry_.rows()), rng.substream(0));
    const auto j = detail::draw_by_weight(weights_.b, fewer(geometry_.cols()), rng.substream(1));
    const auto sample = detail::sample_of(problem_, i, j, weights_.all_a, weights_.all_b);
    SinkhornOptions options = options_;
    options.storage = options.storage == Storage::store ? Storage::automatic : options.storage;
    Solver coarse(sample.view, Weights(sample.view, options), options, monitor_, level_ + 1);
    coarse.solve(nullptr, epsilon, std::max(2e-3, options_.tolerance));
    if (coarse.status_ != Status::iteration_limit) status_ = coarse.status_;
    return extend(coarse, i, epsilon);
  }

  // Columns without weight take no part; their potentials are what the rows make of them.
  void extend_to(const std::vector<std::int32_t>& columns, Potentials& g) const {
    const auto& rows = iteration_.row_state();
    const double epsilon = iteration_.epsilon();
    std::vector<T> u(rows.potentials.size()), softmins(columns.size());
    for (std::size_t i = 0; i < u.size(); ++i) {
      u[i] = weights_.a[i] > 0 ? static_cast<T>(rows.potentials[i] + epsilon * std::log(weights_.a[i]))
                               : -std::numeric_limits<T>::infinity();
    }
    const Geometry<T> transposed = geometry_.transposed();
    const auto some = transposed.gather(columns);
    passes_for<T>(options_.context.device)
        .softmin(transposed.scores_of(some, VectorView<const T>(u)), static_cast<T>(epsilon), softmins,
                 options_.context);
    for (std::size_t k = 0; k < columns.size(); ++k) {
      const double fitted = static_cast<double>(softmins[k]) + geometry_.col_own()[columns[k]];
      g[columns[k]] = iteration_.cols().settled(fitted, rows.level, epsilon) * geometry_.unit();
    }
  }

  // What the rows of the sample make of all columns.
  Potentials extend(const Solver& coarse, const std::vector<Index>& i, double epsilon) const {
    const auto against = detail::columns_against(problem_, i);
    const Geometry<T> geometry(against.view);
    const double unit = geometry.unit(), scaled = static_cast<double>(static_cast<T>(epsilon / unit));
    const Potentials f = coarse.row_potentials();
    std::vector<T> v(f.size()), softmins(static_cast<std::size_t>(geometry.rows()));
    for (std::size_t r = 0; r < v.size(); ++r) {
      const double fitted = f[r] / unit - coarse.iteration_.row_state().level * coarse.geometry_.unit() / unit;
      v[r] = static_cast<T>(fitted - geometry.col_own()[r] + scaled * std::log(coarse.weights_.a[r]));
    }
    passes_for<T>(options_.context.device)
        .softmin(geometry.scores(VectorView<const T>(v)), static_cast<T>(scaled), softmins, options_.context);
    const Side all = make_side(weights_.b, geometry.row_own(), options_.tau_b, options_.mass, unit);
    Potentials g = all.settle({softmins.begin(), softmins.end()}, scaled).potentials;
    for (std::size_t k = 0; k < g.size(); ++k) g[k] = (g[k] + geometry.row_own()[k]) * unit;
    return g;
  }

  // False if it has to stop altogether.
  bool iterate(double epsilon, double tolerance, Index most) {
    detail::Anderson anderson(weights_.b, options_.memory);
    const double mass = weights_.mass(options_);
    for (Index k = 1; k <= most; ++k) {
      error_ = iteration_.look(potentials_, epsilon);
      ++iterations_;
      if (!std::isfinite(error_)) return fail(Status::numerical_failure);
      const auto stop = monitor_.stop({.iterations = iterations_,
                                       .level = level_,
                                       .epsilon = epsilon * geometry_.unit(),
                                       .marginal_error = error_,
                                       .seconds = monitor_.seconds()});
      if (error_ <= tolerance * mass) return true;
      if (stop) return fail(*stop);
      if (k < most) anderson.advance(potentials_, iteration_.residual(), error_);
    }
    return fail(Status::iteration_limit);
  }
  bool fail(Status status) {
    status_ = status;
    return status == Status::iteration_limit;
  }
  // Leaves a look at what there is.
  void finish(const Potentials& g, double epsilon) {
    potentials_.resize(g.size());
    for (std::size_t j = 0; j < g.size(); ++j) potentials_[j] = g[j] / geometry_.unit() - geometry_.col_own()[j];
    error_ = iteration_.look(potentials_, epsilon);
  }

  const Problem<T>& problem_;
  const Weights weights_;
  const SinkhornOptions& options_;
  const Monitor& monitor_;
  Index level_;
  Geometry<T> geometry_;
  SinkhornIteration<T> iteration_;
  std::vector<double> potentials_;
  Status status_ = Status::converged;
  double error_ = 0;
  Index iterations_ = 0;
};

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

void report(const detail::SinkhornBounds& bounds, double unit, SinkhornResult& result) {
  result.cost = bounds.cost * unit;
  result.value = bounds.value * unit;
  if (bounds.proven) result.certificate = {Certificate::Kind::proven, bounds.lower * unit, bounds.upper * unit};
}

// Where rounding makes up much of the interval, the same plan is looked at once more in double.
template <class T>
void certify(const Problem<T>& problem, const Weights& weights, const SinkhornOptions& options,
             const SinkhornIteration<T>& iteration, SinkhornResult& result) {
  const detail::SinkhornBounds bounds = detail::sinkhorn_bounds(iteration);
  report(bounds, iteration.geometry().unit(), result);
  if constexpr (std::is_same_v<T, float>) {
    if (bounds.proven && bounds.slack <= 0.25 * (bounds.upper - bounds.lower)) return;
    const detail::OwnedProblem<double> exact = detail::in_double(problem);
    const Geometry<double> geometry(exact.view);
    const double unit = geometry.unit();
    SinkhornIteration<double> again(
        geometry, make_side(weights.a, geometry.row_own(), options.tau_a, options.mass, unit),
        make_side(weights.b, geometry.col_own(), options.tau_b, options.mass, unit), options.context);
    std::vector<double> potentials(result.g);
    for (std::size_t j = 0; j < potentials.size(); ++j) potentials[j] = potentials[j] / unit - geometry.col_own()[j];
    again.look(potentials, result.epsilon / unit);
    report(detail::sinkhorn_bounds(again), unit, result);
  }
}

template <class T>
SinkhornResult solve(const Problem<T>& problem, const SinkhornOptions& options, const Monitor& monitor) {
  const Weights weights(problem, options);
  SinkhornResult result;
  Solver<T> solver(problem, weights, options, monitor, 0);
  result.epsilon = options.epsilon;
  result.in_double = std::is_same_v<T, double>;
  if (options.epsilon_unit == EpsilonUnit::mean_cost) {
    const Geometry<T>& geometry = solver.geometry();
    result.mean_cost = geometry.mean_cost(weights.a, weights.b, options.context) * geometry.unit();
    // Points in one place have costs that are nothing but rounding.
    const double measure = geometry.has_signs()
                               ? result.mean_cost
                               : std::max(result.mean_cost, 100 * geometry.rounding() * geometry.unit());
    require(measure > 0 || !geometry.has_signs(), "sinkhorn: the mean cost is ", result.mean_cost,
            ", no measure for epsilon: give it in units of the cost");
    if (measure > 0) result.epsilon *= measure;
  }
  std::vector<double> start(options.start.begin(), options.start.end());
  require(start.empty() || static_cast<Index>(start.size()) == problem.cols(), "sinkhorn: start has ", start.size(),
          " potentials for ", problem.cols(), " columns");
  for (std::size_t j = 0; j < start.size(); ++j)
    if (!std::isfinite(start[j])) throw Error(Errc::not_finite, concat("sinkhorn: start is ", start[j], " at ", j));

  solver.solve(start.empty() ? nullptr : &start, result.epsilon, options.tolerance);
  result.status = solver.status();
  result.f = solver.row_potentials();
  result.g = solver.col_potentials();
  result.level = solver.iteration().row_state().level * solver.geometry().unit();
  result.regularised = regularised_value(weights, options, result, sum_of(solver.iteration().row_state().masses));
  result.marginal_error = solver.error();
  result.iterations = solver.iterations();
  result.mass = sum_of(solver.iteration().row_state().masses);
  if (options.certify && result.status != Status::numerical_failure) {
    certify(problem, weights, options, solver.iteration(), result);
  }
  result.seconds = monitor.seconds();
  return result;
}

// Whether float can tell a converged plan: scores are off by some 2^-24 of the costs, in units of epsilon.
bool needs_double(const Problem<float>& problem, const SinkhornOptions& o, double mean_cost) {
  const double relative = o.epsilon_unit == EpsilonUnit::mean_cost ? o.epsilon : o.epsilon / mean_cost;
  return 0x1p-22 / relative > 0.1 * o.tolerance && problem.rows() * problem.cols() > 0;
}

template <class T>
std::vector<SinkhornResult> solve_all(std::span<const Problem<T>> problems, const SinkhornOptions& options) {
  std::vector<SinkhornResult> results(problems.size());
  SinkhornOptions each = options;
  each.context.threads = 1;
  each.progress = {};
  parallel_for(options.context.threads, static_cast<Index>(problems.size()),
               [&](Index k, int) { results[static_cast<std::size_t>(k)] = sinkhorn(problems[k], each); });
  return results;
}

}  // namespace

SinkhornResult sinkhorn(const Problem<double>& problem, const SinkhornOptions& options) {
  check_options(options);
  check(problem, "sinkhorn");
  return solve(problem, options, Monitor(options));
}

SinkhornResult sinkhorn(const Problem<float>& problem, const SinkhornOptions& options) {
  check_options(options);
  check(problem, "sinkhorn");
  const Monitor monitor(options);
  if (needs_double(problem, options, 1)) return solve(detail::in_double(problem).view, options, monitor);
  return solve(problem, options, monitor);
}

std::vector<SinkhornResult> sinkhorn(std::span<const Problem<float>> problems, const SinkhornOptions& options) {
  return solve_all(problems, options);
}
std::vector<SinkhornResult> sinkhorn(std::span<const Problem<double>> problems, const SinkhornOptions& options) {
  return solve_all(problems, options);
}

}  // namespace monge::ot
