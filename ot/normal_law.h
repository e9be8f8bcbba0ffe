#pragma once  // private: never installed
#include <cmath>

// The standard normal law far out in its tail.
namespace monge::ot::detail {

// z with P(N(0,1) > z) = p: Abramowitz and Stegun 26.2.23, then Newton on the logarithm.
inline double upper_quantile(double p) {
  if (p > 0.5) return -upper_quantile(1 - p);
  const double t = std::sqrt(-2 * std::log(p));
  double z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (int i = 0; i < 2; ++i) {
    const double tail = 0.5 * std::erfc(z * M_SQRT1_2);
    const double density = std::exp(-0.5 * z * z) * 0.3989422804014327;
    z += tail / density * std::log(tail / p);
  }
  return z;
}

// exp(a^2 / 2) P(N(0,1) > a), up to a = 1e150; beyond 25 by the first terms of its asymptotic series.
inline double scaled_tail(double a) {
  if (a < 25) return 0.5 * std::exp(0.5 * a * a) * std::erfc(a * M_SQRT1_2);
  const double s = 1 / (a * a);
  return 0.3989422804014327 / a * (1 - s * (1 - 3 * s * (1 - 5 * s)));
}

// A draw from N(0,1) given that it exceeds a; u uniform in [0, 1). Far out the excess is exponential.
inline double draw_above(double a, double u) {
  const double share = 1 - u;  // never 0
  if (a > 30) return a - std::log(share) / a;
  return std::fmax(a, upper_quantile(share * 0.5 * std::erfc(a * M_SQRT1_2)));
}

}  // namespace monge::ot::detail
