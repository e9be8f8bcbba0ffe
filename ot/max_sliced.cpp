#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <numeric>

#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/random.h"
#include "monge/ot/finite.h"
#include "monge/ot/quantiles.h"
#include "monge/ot/sliced.h"

namespace monge::ot {
namespace {

using detail::Masses;

// Both clouds in double, less the same centre, divided by the same power of two.
struct Clouds {
  Matrix<double> x, y;
  std::vector<double> difference;  // of their weighted means
  int exponent = 0;
};

template <class T>
Clouds prepare(MatrixView<const T> x, MatrixView<const T> y, const Masses& masses) {
  double largest = 0;
  for (const auto& c : {x, y})
    for (Index i = 0; i < c.rows; ++i)
      for (Index k = 0; k < c.cols; ++k) largest = std::max(largest, std::abs(static_cast<double>(c(i, k))));
  const Index d = x.cols;
  Clouds clouds{Matrix<double>(x.rows, d), Matrix<double>(y.rows, d), std::vector<double>(d), 0};
  if (largest > 0) clouds.exponent = std::clamp(std::ilogb(largest), -1000, 1000);
  const double scale = std::ldexp(1.0, -clouds.exponent);
  for (Index k = 0; k < d; ++k) {
    double of_x = 0, of_y = 0, mass_x = 0, mass_y = 0;
    for (Index i = 0; i < x.rows; ++i) of_x += masses.of_a(i) * (x(i, k) * scale), mass_x += masses.of_a(i);
    for (Index j = 0; j < y.rows; ++j) of_y += masses.of_b(j) * (y(j, k) * scale), mass_y += masses.of_b(j);
    const double centre = of_y / mass_y;
    clouds.difference[k] = of_x / mass_x - centre;
    for (Index i = 0; i < x.rows; ++i) clouds.x(i, k) = x(i, k) * scale - centre;
    for (Index j = 0; j < y.rows; ++j) clouds.y(j, k) = y(j, k) * scale - centre;
  }
  return clouds;
}

double dot(const std::vector<double>& u, const std::vector<double>& v) {
  return std::inner_product(u.begin(), u.end(), v.begin(), 0.0);
}

bool normalise(std::vector<double>& v) {
  const double length = std::sqrt(dot(v, v));
  if (!(length > 0)) return false;
  for (double& e : v) e /= length;
  return true;
}

// One restart's view of theta -> W_p of the projections on theta. Where the order of the projections does not change
// the coupling is fixed, and its gradient is that of (sum of mass |<theta, x_i - y_j>|^p)^(1/p).
class Objective {
 public:
  Objective(const Clouds& clouds, const Masses& masses, double p)
      : clouds_(clouds),
        masses_(masses),
        p_(p),
        u_(clouds.x.rows()),
        v_(clouds.y.rows()),
        x_order_(u_.size()),
        y_order_(v_.size()) {}

  double value(const std::vector<double>& theta) {
    project(clouds_.x, theta, u_, x_order_);
    project(clouds_.y, theta, v_, y_order_);
    largest_ = 0;
    each_pair([&](Index i, Index j, double) { largest_ = std::max(largest_, std::abs(u_[i] - v_[j])); });
    if (largest_ == 0) return 0;
    double sum = 0;
    each_pair([&](Index i, Index j, double mass) { sum += mass * power(std::abs(u_[i] - v_[j]) / largest_, p_); });
    mean_ = sum;
    return largest_ * std::pow(sum, 1 / p_);
  }

  // At the direction `value` was last asked for.
  std::vector<double> gradient() {
    std::vector<double> slope_x(u_.size(), 0.0), slope_y(v_.size(), 0.0), out(clouds_.difference.size(), 0.0);
    if (largest_ == 0) return out;
    const double outer = std::pow(mean_, 1 / p_ - 1);
    each_pair([&](Index i, Index j, double mass) {
      const double step = u_[i] - v_[j];
      const double slope = outer * mass * std::copysign(power(std::abs(step) / largest_, p_ - 1), step);
      if (step == 0) return;
      slope_x[i] += slope;
      slope_y[j] -= slope;
    });
    add_product(clouds_.x, slope_x, out);
    add_product(clouds_.y, slope_y, out);
    return out;
  }

 private:
  static double power(double v, double p) { return p == 2 ? v * v : p == 1 ? v : std::pow(v, p); }

  static void project(const Matrix<double>& points, const std::vector<double>& theta, std::vector<double>& out,
                      std::vector<Index>& order) {
    const int n = static_cast<int>(points.rows()), d = static_cast<int>(points.cols());
    cblas_dgemv(CblasRowMajor, CblasNoTrans, n, d, 1.0, points.data(), d, theta.data(), 1, 0.0, out.data(), 1);
    std::iota(order.begin(), order.end(), Index{0});
    std::sort(order.begin(), order.end(), [&](Index i, Index j) { return out[i] != out[j] ? out[i] < out[j] : i < j; });
  }

  static void add_product(const Matrix<double>& points, const std::vector<double>& weights, std::vector<double>& out) {
    const int n = static_cast<int>(points.rows()), d = static_cast<int>(points.cols());
    cblas_dgemv(CblasRowMajor, CblasTrans, n, d, 1.0, points.data(), d, weights.data(), 1, 1.0, out.data(), 1);
  }

  template <class F>
  void each_pair(F f) const {
    const auto segment = [&](Index i, Index j, double mass) { f(x_order_[i], y_order_[j], mass * masses_.unit); };
    const Index n = clouds_.x.rows(), m = clouds_.y.rows();
    if (masses_.uniform()) return detail::merge_uniform(n, m, segment);
    detail::merge_weighted(
        n, [&](Index i) { return masses_.of_a(x_order_[i]); }, m, [&](Index j) { return masses_.of_b(y_order_[j]); },
        segment);
  }

  const Clouds& clouds_;
  const Masses& masses_;
  double p_;
  std::vector<double> u_, v_;  // projections
  std::vector<Index> x_order_, y_order_;
  double largest_ = 0, mean_ = 0;  // W_p = largest mean^(1/p)
};

// Along great circles in the direction of the gradient, by an angle that doubles after a step that went well and
// halves until one does.
MaxSlicedResult ascend(Objective& objective, std::vector<double> theta, Index iterations) {
  MaxSlicedResult r;
  r.status = Status::iteration_limit;
  double value = objective.value(theta), angle = 0.5;
  for (; r.iterations < iterations && r.status != Status::converged; ++r.iterations) {
    std::vector<double> tangent = objective.gradient();
    const double size = std::sqrt(dot(tangent, tangent)), along = dot(tangent, theta);
    for (std::size_t k = 0; k < theta.size(); ++k) tangent[k] -= along * theta[k];
    const double slope = std::sqrt(dot(tangent, tangent));
    if (!(slope > 1e-9 * size)) {
      r.status = Status::converged;
      break;
    }
    for (double& v : tangent) v /= slope;
    bool found = false;
    for (; angle > 1e-10 && !found; angle /= 2) {
      std::vector<double> next(theta.size());
      for (std::size_t k = 0; k < theta.size(); ++k)
        next[k] = std::cos(angle) * theta[k] + std::sin(angle) * tangent[k];
      normalise(next);
      const double there = objective.value(next);
      if (there <= value + 1e-4 * angle * slope) continue;
      found = true;
      if (!(there - value > 1e-13 * value)) r.status = Status::converged;
      theta = std::move(next);
      value = there;
      angle = std::min(4 * angle, std::numbers::pi);  // halved once more by the loop
    }
    if (!found) break;  // no direction near is better, though the slope says so: at a kink, or rounding's end
  }
  r.distance = value;
  r.direction = std::move(theta);
  return r;
}

template <class T>
void check(MatrixView<const T> x, const char* who) {
  require(!x.empty(), who, " is empty (", x.rows, " x ", x.cols, ")");
  constexpr Index most = std::numeric_limits<std::int32_t>::max();
  require(x.rows <= most && x.cols <= most, who, " is too large (", x.rows, " x ", x.cols, ")");
  if (x.device.type != DeviceType::cpu) throw Error(Errc::backend_unavailable, concat(who, " is not CPU memory"));
  require_finite(x, who);
}

template <class T>
MaxSlicedResult search(MatrixView<const T> x, MatrixView<const T> y, const MaxSlicedOptions& options,
                       VectorView<const double> a, VectorView<const double> b) {
  require(options.p >= 1 && std::isfinite(options.p), "max_sliced: p must be finite and at least 1, not ", options.p);
  require(options.iterations >= 0, "max_sliced: iterations must not be negative, is ", options.iterations);
  require(options.restarts > 0, "max_sliced: restarts must be positive, not ", options.restarts);
  if (options.context.device.type != DeviceType::cpu)
    throw Error(Errc::backend_unavailable, "max_sliced: runs on the CPU only");
  check(x, "max_sliced: x");
  check(y, "max_sliced: y");
  require(x.cols == y.cols, "max_sliced: x has ", x.cols, " columns, y ", y.cols);
  const Masses masses(a, x.rows, b, y.rows, "max_sliced");
  const Clouds clouds = prepare(x, y, masses);

  std::vector<MaxSlicedResult> results(options.restarts);
  parallel_for(options.context.threads, options.restarts, [&](Index restart, int) {
    std::vector<double> theta = clouds.difference;
    if (restart > 0 || !normalise(theta)) {
      fill_normal(Rng{options.seed}, static_cast<std::uint64_t>(restart * x.cols), VectorView<double>(theta));
      if (!normalise(theta)) theta[0] = 1;
    }
    Objective objective(clouds, masses, options.p);
    results[restart] = ascend(objective, std::move(theta), options.iterations);
  });
  MaxSlicedResult best = *std::max_element(results.begin(), results.end(),
                                           [](const auto& l, const auto& r) { return l.distance < r.distance; });
  best.distance = std::ldexp(best.distance, clouds.exponent);
  return best;
}

}  // namespace

MaxSlicedResult max_sliced(MatrixView<const float> x, MatrixView<const float> y, const MaxSlicedOptions& options,
                           VectorView<const double> a, VectorView<const double> b) {
  return search(x, y, options, a, b);
}
MaxSlicedResult max_sliced(MatrixView<const double> x, MatrixView<const double> y, const MaxSlicedOptions& options,
                           VectorView<const double> a, VectorView<const double> b) {
  return search(x, y, options, a, b);
}

}  // namespace monge::ot
