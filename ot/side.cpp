#include "monge/ot/side.h"

#include <algorithm>
#include <cmath>

namespace monge::ot::detail {
namespace {

// The level at which sum_i w_i min(1, exp((level - f_i) / epsilon)) = mass, the sum growing with the level.
double level_of(const std::vector<double>& f, const std::vector<double>& w, double mass, double epsilon) {
  double lowest = HUGE_VAL, highest = -HUGE_VAL, total = 0;
  for (std::size_t i = 0; i < f.size(); ++i) {
    if (w[i] == 0 || !std::isfinite(f[i])) continue;
    lowest = std::min(lowest, f[i]);
    highest = std::max(highest, f[i]);
    total += w[i];
  }
  if (!(lowest <= highest)) return 0;
  const auto sum = [&](double level) {
    double s = 0;
    for (std::size_t i = 0; i < f.size(); ++i) s += w[i] * std::min(1.0, std::exp((level - f[i]) / epsilon));
    return s;
  };
  if (mass >= total) return highest;
  double low = lowest + epsilon * std::log(mass / total), high = highest;  // sum(low) <= mass <= sum(high)
  for (int k = 0; k < 200 && high - low > 1e-15 * (std::abs(high) + std::abs(low)) + 1e-12 * epsilon; ++k) {
    const double middle = 0.5 * (low + high);
    (sum(middle) < mass ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

}  // namespace

Side::Settled Side::settle(const std::vector<double>& fitted, double epsilon) const {
  Settled s;
  s.potentials = fitted;
  s.masses = weights;
  if (law == Law::fixed) return s;
  std::vector<double> full(fitted.size());
  for (std::size_t i = 0; i < full.size(); ++i) full[i] = fitted[i] + own[i];
  if (law == Law::capped) s.level = level_of(full, weights, mass, epsilon);
  s.logs.assign(full.size(), 0.0);
  for (std::size_t i = 0; i < full.size(); ++i) {
    if (!std::isfinite(full[i])) continue;
    const double f = settled(full[i], s.level, epsilon);
    s.potentials[i] = f - own[i];
    s.logs[i] = (f + s.level - full[i]) / epsilon;
    s.masses[i] = weights[i] > 0 ? weights[i] * std::exp(s.logs[i]) : 0;
    if (law == Law::capped) s.masses[i] = std::min(weights[i], s.masses[i]);
  }
  return s;
}

double Side::settled(double fitted, double level, double epsilon) const {
  switch (law) {
    case Law::kl:
      return tau / (tau + epsilon) * fitted;
    case Law::capped:
      return std::min(0.0, fitted - level);
    default:
      return fitted;
  }
}

}  // namespace monge::ot::detail
