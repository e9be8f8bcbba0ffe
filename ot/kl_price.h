#pragma once  // private: never installed
#include <algorithm>
#include <cmath>
#include <limits>

namespace monge::ot::detail {

// tau (r log(r / w) - r + w) for r >= 0, and what rounding may have taken off it.
struct KlPrice {
  double value = 0, error = 0;
  double above() const { return value + error; }
};

inline KlPrice kl_price(double r, double w, double tau) {
  constexpr double few = 0x1p-50;  // eight roundings
  if (r == 0) return {tau * w, few * tau * w};
  if (w == 0) return {HUGE_VAL, 0};
  if (r >= 0.5 * w && r <= 2 * w) {  // w ((1 + x) log(1 + x) - x), r - w being exact
    const double x = (r - w) / w, h = (1 + x) * std::log1p(x) - x;
    return {tau * w * h, 4 * few * tau * w * std::abs(x)};
  }
  const double ratio = r / w;
  if (ratio < std::numeric_limits<double>::min()) return {tau * w, few * tau * w};  // at most
  const double term = r * std::log(ratio);
  return {tau * (term - r + w), 2 * few * tau * (std::abs(term) + r + w)};
}

// Its largest value for r in [low, high]: at an end, being convex.
inline double highest_kl_price(double low, double high, double w, double tau) {
  return std::max(kl_price(low, w, tau).above(), kl_price(high, w, tau).above());
}

// Its conjugate, tau (1 - exp(-f / tau)), which grows with f: the error of the exponent makes it smaller, what is left
// are three roundings of the result.
inline double kl_conjugate_below(double f, double tau) { return -tau * std::expm1(std::nextafter(-f / tau, HUGE_VAL)); }

}  // namespace monge::ot::detail
