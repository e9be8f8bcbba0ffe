#include "monge/ot/sinkhorn_solver.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/anderson.h"
#include "monge/ot/core/error.h"
#include "monge/ot/sinkhorn_start.h"
#include "monge/ot/weights.h"

namespace monge::ot::detail {

template <class T>
SinkhornWeights::SinkhornWeights(const Problem<T>& p, const SinkhornOptions& o)
    : a(weights_of(p.a, p.rows())), b(weights_of(p.b, p.cols())) {
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

double SinkhornWeights::mass(const SinkhornOptions& o) const {
  return o.mass > 0 ? o.mass : std::isinf(o.tau_a) ? all_a : std::isinf(o.tau_b) ? all_b : std::sqrt(all_a * all_b);
}

Side sinkhorn_side(std::vector<double> weights, const std::vector<double>& own, double tau, double mass, double unit) {
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

template <class T>
void store_if_worthwhile(Geometry<T>& geometry, Index dims, const SinkhornOptions& options) {
  const Context& context = options.context;
  const bool away = context.device.type != DeviceType::cpu, products = geometry.is_made_of_products();
  if (away) geometry.keep_on(context.device);
  // Dimensions in which scores are made about as fast as they are read; on a GPU products of floats are the fastest.
  const Index cheap = !away ? 8 : products && std::is_same_v<T, float> ? 300 : 32;
  const double bytes = static_cast<double>(geometry.rows()) * static_cast<double>(geometry.cols()) * sizeof(T);
  const bool dear =
      dims > cheap || (away && geometry.is_dense());  // a matrix of the host's is else copied at each pass
  const bool wanted = options.storage == Storage::automatic && dear && bytes <= options.storage_bytes;
  if (options.storage == Storage::store && (away || !geometry.is_stored())) return geometry.store(context);
  if (!wanted || (geometry.is_dense() && !away)) return;
  try {
    geometry.store(context);
  } catch (const Error& error) {  // a device's memory is not known before it is asked for
    if (!away || error.code() != Errc::out_of_memory) throw;
  }
}

SinkhornMonitor::SinkhornMonitor(const SinkhornOptions& options)
    : options_(options),
      stop_([this] { return refused_ || ask(); },
            Stop::after(start_, options.max_seconds > 0 ? options.max_seconds : HUGE_VAL)) {
  last_.marginal_error = HUGE_VAL;
}

bool SinkhornMonitor::ask() {
  last_.seconds = seconds();
  refused_ =
      (options_.context.stop && options_.context.stop->requested()) || (options_.progress && !options_.progress(last_));
  return !refused_;
}

std::optional<Status> SinkhornMonitor::stop(const SinkhornProgress& now, double ahead) {
  last_ = now;
  if (!ask()) {
    stop_.request();
    return Status::stopped_by_caller;
  }
  if (options_.max_seconds > 0 && last_.seconds + ahead >= options_.max_seconds) return Status::time_limit;
  return std::nullopt;
}

void SinkhornMonitor::begin_certificate() {
  constexpr double grace = 0.5;
  const double limit = refused_ ? seconds() : options_.max_seconds > 0 ? 1.1 * options_.max_seconds : HUGE_VAL;
  stop_.rearm(Stop::after(start_, limit + grace));
}

template <class T>
SinkhornSolver<T>::SinkhornSolver(const Problem<T>& problem, const SinkhornWeights& weights,
                                  const SinkhornOptions& options, SinkhornMonitor& monitor, Index level)
    : problem_(problem),
      weights_(weights),
      options_(options),
      monitor_(monitor),
      level_(level),
      geometry_(problem),
      iteration_(geometry_, side(weights.a, geometry_.row_own(), options.tau_a),
                 side(weights.b, geometry_.col_own(), options.tau_b), options.context) {}

template <class T>
void SinkhornSolver<T>::solve(const Potentials* start, double epsilon, double tolerance) {
  store_if_worthwhile(geometry_, problem_.dims(), options_);
  const double target = in_type(epsilon);
  const double spread = spread_of_costs();
  Potentials coarse;
  if (!start && is_large()) {
    coarse = start_from_sample(epsilon);
    if (!coarse.empty()) start = &coarse;
  }
  potentials_.assign(static_cast<std::size_t>(geometry_.cols()), 0.0);
  if (start) {
    for (std::size_t j = 0; j < potentials_.size(); ++j)
      potentials_[j] = (*start)[j] / geometry_.unit() - geometry_.col_own()[j];
  } else {
    if (iteration_.cols().law != Side::Law::fixed)
      for (std::size_t j = 0; j < potentials_.size(); ++j) potentials_[j] = -geometry_.col_own()[j];
    for (double e = spread; e > 2 * target && left() > 1; e /= 4) {
      const double loose = std::max(tolerance, 0.02);
      if (!iterate(static_cast<double>(static_cast<T>(e)), loose, left() / 2)) return;
    }
  }
  iterate(target, tolerance, left());
}

// a + b, and what rounding takes from it.
struct RoundedSum {
  double sum, rest;
  RoundedSum(double a, double b) : sum(a + b) {
    const double back = sum - a;
    rest = (a - (sum - back)) + (b - back);
  }
};

template <class T>
Potentials SinkhornSolver<T>::row_potentials(Potentials* rest) const {
  const auto& rows = iteration_.row_state();
  Potentials f(rows.potentials);
  if (rest) rest->assign(f.size(), 0.0);
  for (std::size_t i = 0; i < f.size(); ++i) {
    const RoundedSum whole(geometry_.row_own()[i], f[i] + rows.level);
    const bool known = std::isfinite(f[i]);
    f[i] = known ? whole.sum * geometry_.unit() : 0;
    if (rest && known) (*rest)[i] = whole.rest * geometry_.unit();
  }
  return f;
}

template <class T>
Potentials SinkhornSolver<T>::col_potentials(Potentials* rest) const {
  Potentials g(potentials_.size());
  if (rest) rest->assign(g.size(), 0.0);
  std::vector<std::int32_t> weightless;
  for (std::size_t j = 0; j < g.size(); ++j) {
    if (weights_.b[j] > 0) {
      const RoundedSum whole(geometry_.col_own()[j], iteration_.col_potential(static_cast<Index>(j)));
      g[j] = whole.sum * geometry_.unit();
      if (rest) (*rest)[j] = whole.rest * geometry_.unit();
    } else {
      weightless.push_back(static_cast<std::int32_t>(j));
    }
  }
  if (!weightless.empty() && std::isfinite(error_)) finishes([&] { extend_to(weightless, g); });  // or they stay 0
  return g;
}

template <class T>
Side SinkhornSolver<T>::side(const std::vector<double>& weights, const std::vector<double>& own, double tau) const {
  return sinkhorn_side(weights, own, tau, options_.mass, geometry_.unit());
}

template <class T>
double SinkhornSolver<T>::in_type(double epsilon) const {
  const T scaled = static_cast<T>(epsilon / geometry_.unit());
  require(scaled > 0 && std::isfinite(scaled), "sinkhorn: epsilon ", epsilon, " is out of range for these costs");
  return static_cast<double>(scaled);
}

template <class T>
std::vector<double> SinkhornSolver<T>::some_costs() const {
  constexpr std::uint64_t pairs = 1024;
  std::vector<double> costs;
  for (std::uint64_t k = 0; k < pairs; ++k) {
    const Rng::Block w = Rng{7}.bits(k);
    costs.push_back(geometry_.cost(static_cast<Index>(w.w[0] % static_cast<std::uint64_t>(geometry_.rows())),
                                   static_cast<Index>(w.w[1] % static_cast<std::uint64_t>(geometry_.cols()))));
  }
  return costs;
}

template <class T>
double SinkhornSolver<T>::typical_cost() const {
  const std::vector<double> costs = some_costs();
  double mean = 0;
  for (const double c : costs) mean += std::abs(c) / static_cast<double>(costs.size());
  return mean * geometry_.unit();
}

template <class T>
double SinkhornSolver<T>::price_of_gap() const {
  const double tau = std::min(options_.tau_a, options_.tau_b),
               gap = std::abs(std::log(weights_.all_a / weights_.all_b));
  return std::isfinite(tau) && gap > 1e-9 ? tau * gap : 0;
}

// Potentials are of the size of scores, and where masses may stray of what is the points' own, too.
template <class T>
double SinkhornSolver<T>::least_epsilon() const {
  double size = geometry_.score_scale();
  const bool strays = options_.mass > 0 || std::isfinite(options_.tau_a) || std::isfinite(options_.tau_b);
  for (const auto* own : {&geometry_.row_own(), &geometry_.col_own()})
    for (const double e : *own) size = std::max(size, strays ? std::abs(e) : 0.0);
  return 0x1p-34 * std::max(size * geometry_.unit(), price_of_gap());
}

template <class T>
double SinkhornSolver<T>::spread_of_costs() const {
  const std::vector<double> costs = some_costs();
  const double count = static_cast<double>(costs.size()), mean = sum_of(costs) / count;
  double spread = 0;
  for (const double c : costs) spread += std::abs(c - mean) / count;
  return spread;
}

template <class T>
Potentials SinkhornSolver<T>::start_from_sample(double epsilon) {
  const auto fewer = [](Index count) { return std::max<Index>(std::min<Index>(count, 512), count / ratio); };
  const Rng rng{0x6d6f6e6765, static_cast<std::uint64_t>(level_)};
  const auto i = draw_by_weight(weights_.a, fewer(geometry_.rows()), rng.substream(0));
  const auto j = draw_by_weight(weights_.b, fewer(geometry_.cols()), rng.substream(1));
  const auto sample = sample_of(problem_, i, j, weights_.all_a, weights_.all_b);
  SinkhornOptions options = options_;
  options.storage = options.storage == Storage::store ? Storage::automatic : options.storage;
  SinkhornSolver coarse(sample.view, SinkhornWeights(sample.view, options), options, monitor_, level_ + 1);
  coarse.solve(nullptr, epsilon, std::max(2e-3, options_.tolerance));
  return coarse.status_ == Status::numerical_failure ? Potentials() : extend(coarse, i, epsilon);
}

template <class T>
void SinkhornSolver<T>::extend_to(const std::vector<std::int32_t>& columns, Potentials& g) const {
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
      .softmin(transposed.scores_of(some, VectorView<const T>(u)), static_cast<T>(epsilon), softmins, options_.context);
  for (std::size_t k = 0; k < columns.size(); ++k) {
    const double fitted = static_cast<double>(softmins[k]) + geometry_.col_own()[columns[k]];
    g[columns[k]] = iteration_.cols().settled(fitted, rows.level, epsilon) * geometry_.unit();
  }
}

template <class T>
Potentials SinkhornSolver<T>::extend(const SinkhornSolver& coarse, const std::vector<std::int32_t>& rows,
                                     double epsilon) const {
  const double unit = geometry_.unit(), scaled = in_type(epsilon);
  const double level = coarse.iteration_.row_state().level * coarse.geometry_.unit();
  const Potentials f = coarse.row_potentials();
  std::vector<T> u(f.size());
  for (std::size_t r = 0; r < u.size(); ++r) {
    const double reduced = (f[r] - level) / unit - geometry_.row_own()[rows[r]];
    u[r] = static_cast<T>(reduced + scaled * std::log(coarse.weights_.a[r]));
  }
  const std::vector<T> softmins =
      geometry_.softmin_across(rows, VectorView<const T>(u), static_cast<T>(scaled), options_.context);
  Potentials g = iteration_.cols().settle({softmins.begin(), softmins.end()}, scaled).potentials;
  for (std::size_t k = 0; k < g.size(); ++k) g[k] = (g[k] + geometry_.col_own()[k]) * unit;
  return g;
}

template <class T>
bool SinkhornSolver<T>::iterate(double epsilon, double tolerance, Index most) {
  Anderson anderson(weights_.b, options_.memory);
  const double mass = weights_.mass(options_);
  std::vector<double> best_potentials;
  typename SinkhornIteration<T>::Look best_look;
  double least_error = HUGE_VAL;
  const auto end_at_best = [&](Status status) {
    if (!(error_ <= least_error)) {
      potentials_ = best_potentials, error_ = least_error;
      iteration_.go_back_to(best_look);
    }
    return fail(status);
  };
  for (Index k = 1; k <= most; ++k) {
    const double begin = monitor_.seconds();
    if (!finishes([&] { error_ = iteration_.look(potentials_, epsilon); })) return end_at_best(monitor_.why());
    ++iterations_;
    if (std::isnan(error_) && !anderson.may_retreat()) return fail(Status::numerical_failure);
    const double now = monitor_.seconds();
    const auto stop = monitor_.stop({.iterations = iterations_,
                                     .level = level_,
                                     .epsilon = epsilon * geometry_.unit(),
                                     .marginal_error = error_,
                                     .seconds = now},
                                    ahead(now - begin));
    if (error_ <= tolerance * mass) {
      status_ = Status::converged;
      return true;
    }
    if (stop || k == most) return end_at_best(stop.value_or(Status::iteration_limit));
    if (error_ < least_error) best_potentials = potentials_, best_look = iteration_.last(), least_error = error_;
    anderson.advance(potentials_, iteration_.residual(), error_);
  }
  return fail(Status::iteration_limit);
}

template <class T>
double SinkhornSolver<T>::ahead(double seconds) const {
  const double looks = options_.certify ? 3 : 1;
  return looks * seconds * std::pow(ratio, 2 * level_);
}

template <class T>
bool SinkhornSolver<T>::fail(Status status) {
  status_ = status;
  return status == Status::iteration_limit;
}

template SinkhornWeights::SinkhornWeights(const Problem<float>&, const SinkhornOptions&);
template SinkhornWeights::SinkhornWeights(const Problem<double>&, const SinkhornOptions&);
template void store_if_worthwhile(Geometry<float>&, Index, const SinkhornOptions&);
template void store_if_worthwhile(Geometry<double>&, Index, const SinkhornOptions&);
template class SinkhornSolver<float>;
template class SinkhornSolver<double>;

}  // namespace monge::ot::detail
