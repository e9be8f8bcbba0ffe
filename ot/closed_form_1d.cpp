#include <algorithm>
#include <cmath>
#include <numeric>

#include "monge/ot/closed_form.h"
#include "monge/ot/quantiles.h"

namespace monge::ot {
namespace {

using detail::Masses;
using detail::StableSum;

std::vector<Index> sorted_order(VectorView<const double> x) {
  std::vector<Index> order(x.size);
  std::iota(order.begin(), order.end(), Index{0});
  std::sort(order.begin(), order.end(), [&](Index i, Index j) { return x[i] != x[j] ? x[i] < x[j] : i < j; });
  return order;
}

// The monotone coupling, pair by pair: f(i, j, mass) with indices into x and y.
template <class F>
void each_pair(const std::vector<Index>& x_order, const std::vector<Index>& y_order, const Masses& masses, F f) {
  const Index n = static_cast<Index>(x_order.size()), m = static_cast<Index>(y_order.size());
  const auto segment = [&](Index i, Index j, double mass) { f(x_order[i], y_order[j], mass * masses.unit); };
  if (masses.uniform()) return detail::merge_uniform(n, m, segment);
  detail::merge_weighted(
      n, [&](Index i) { return masses.of_a(x_order[i]); }, m, [&](Index j) { return masses.of_b(y_order[j]); },
      segment);
}

void check_points(VectorView<const double> x, const char* name) {
  require(!x.empty(), "wasserstein_1d: ", name, " is empty");
  if (x.device.type != DeviceType::cpu)
    throw Error(Errc::backend_unavailable, concat("wasserstein_1d: ", name, " is not CPU memory"));
  for (Index i = 0; i < x.size; ++i)
    if (!std::isfinite(x[i]))
      throw Error(Errc::not_finite, concat("wasserstein_1d: ", name, " is ", x[i], " at index ", i));
}

}  // namespace

Wasserstein1dResult wasserstein_1d(VectorView<const double> x, VectorView<const double> y,
                                   const Wasserstein1dOptions& options, VectorView<const double> a,
                                   VectorView<const double> b) {
  const double p = options.p;
  require(p >= 1 && std::isfinite(p), "wasserstein_1d: p must be finite and at least 1, not ", p);
  check_points(x, "x");
  check_points(y, "y");
  const Masses masses(a, x.size, b, y.size, "wasserstein_1d");
  const std::vector<Index> x_order = sorted_order(x), y_order = sorted_order(y);

  // Differences are taken relative to the largest one, so that their powers overflow at no scale; for small p a power
  // of two next to it does, and costs no rounding.
  Wasserstein1dResult r;
  double largest = 0;
  each_pair(x_order, y_order, masses, [&](Index i, Index j, double mass) {
    largest = std::max(largest, std::abs(x[i] / 2 - y[j] / 2));
    if (options.coupling) r.coupling.push_back({i, j, mass});
  });
  if (largest == 0) return r;
  const double unit = p <= 2 ? std::ldexp(1.0, std::ilogb(largest)) : largest;
  StableSum sum;
  each_pair(x_order, y_order, masses, [&](Index i, Index j, double mass) {
    const double step = std::abs(x[i] / 2 - y[j] / 2) / unit;
    sum.add(mass * (p == 2 ? step * step : p == 1 ? step : std::pow(step, p)));
  });
  r.distance = 2 * unit * (p == 2 ? std::sqrt(sum.value()) : std::pow(sum.value(), 1 / p));
  const double power = std::pow(2 * unit, p);
  r.cost = std::isnormal(power) ? sum.value() * power : std::pow(r.distance, p);
  return r;
}

}  // namespace monge::ot
