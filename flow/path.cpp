#include "monge/flow/path.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "monge/ot/core/error.h"

namespace monge::flow {
namespace {

constexpr double gap = 1e-5;  // from an end with infinite velocity

void linear(const Path& path, double t, PathPoint& p) {
  p.alpha = t;
  p.alpha_rate = 1;
  p.sigma_rate = -(1 - path.sigma_min);
  p.sigma = 1 + p.sigma_rate * t;
}

void vp(const Path& path, double t, PathPoint& p) {
  const double s = 1 - t, slope = path.beta_max - path.beta_min;
  const double beta = path.beta_min + slope * s, integral = s * (path.beta_min + 0.5 * slope * s);
  p.alpha = std::exp(-0.5 * integral);
  p.alpha_rate = 0.5 * beta * p.alpha;
  p.alpha_curvature = 0.5 * (beta * p.alpha_rate - slope * p.alpha);
  // From sigma^2 = 1 - alpha^2, differentiated twice.
  p.sigma = std::sqrt(-std::expm1(-integral));
  p.sigma_rate = -p.alpha * p.alpha_rate / p.sigma;
  p.sigma_curvature =
      -(p.alpha_rate * p.alpha_rate + p.alpha * p.alpha_curvature + p.sigma_rate * p.sigma_rate) / p.sigma;
}

void ve(const Path& path, double t, PathPoint& p) {
  const double rate = -std::log(path.sigma_high / path.sigma_low);
  p.alpha = 1;
  p.sigma = path.sigma_low * std::exp(-rate * (1 - t));
  p.sigma_rate = rate * p.sigma;
  p.sigma_curvature = rate * p.sigma_rate;
}

void cosine(double t, PathPoint& p) {
  constexpr double w = std::numbers::pi / 2;
  p.alpha = std::sin(w * t);
  p.sigma = std::cos(w * t);
  p.alpha_rate = w * p.sigma;
  p.sigma_rate = -w * p.alpha;
  p.alpha_curvature = -w * w * p.alpha;
  p.sigma_curvature = -w * w * p.sigma;
}

void noise(const Path& path, double t, PathPoint& p) {
  const double square = path.bridge * path.bridge;
  p.noise = std::sqrt(path.noise * path.noise + square * t * (1 - t));
  if (p.noise == 0) return;
  p.noise_rate = 0.5 * square * (1 - 2 * t) / p.noise;
  p.noise_curvature = -(square + p.noise_rate * p.noise_rate) / p.noise;
}

}  // namespace

void check(const Path& path) {
  require(path.sigma_min >= 0 && path.sigma_min < 1, "Path: sigma_min must be in [0, 1), not ", path.sigma_min);
  require(path.beta_min > 0 && path.beta_max >= path.beta_min && std::isfinite(path.beta_max),
          "Path: needs 0 < beta_min <= beta_max, not ", path.beta_min, " and ", path.beta_max);
  require(path.sigma_low > 0 && path.sigma_high > path.sigma_low && std::isfinite(path.sigma_high),
          "Path: needs 0 < sigma_low < sigma_high, not ", path.sigma_low, " and ", path.sigma_high);
  require(path.noise >= 0 && std::isfinite(path.noise), "Path: noise must not be negative, not ", path.noise);
  require(path.bridge >= 0 && std::isfinite(path.bridge), "Path: bridge must not be negative, not ", path.bridge);
}

PathPoint path_at(const Path& path, double t) {
  if (path.kind == Path::Kind::vp) t = std::min(t, 1 - gap);
  if (path.bridge > 0) t = std::clamp(t, gap, 1 - gap);
  PathPoint p;
  switch (path.kind) {
    case Path::Kind::linear:
      linear(path, t, p);
      break;
    case Path::Kind::vp:
      vp(path, t, p);
      break;
    case Path::Kind::ve:
      ve(path, t, p);
      break;
    case Path::Kind::cosine:
      cosine(t, p);
      break;
  }
  noise(path, t, p);
  return p;
}

Spread spread(const PathPoint& p) {
  if (p.noise == 0) return {p.sigma, p.sigma_rate, p.sigma_curvature};
  Spread s;
  s.value = std::hypot(p.sigma, p.noise);
  s.rate = (p.sigma * p.sigma_rate + p.noise * p.noise_rate) / s.value;
  s.curvature = (p.sigma_rate * p.sigma_rate + p.sigma * p.sigma_curvature + p.noise_rate * p.noise_rate +
                 p.noise * p.noise_curvature - s.rate * s.rate) /
                s.value;
  return s;
}

InputFactor input_factor(const Path& path, const PathPoint& point) {
  if (path.kind != Path::Kind::ve) return {};
  const Spread s = spread(point);
  const double value = 1 / std::hypot(1, s.value);
  return {value, -s.value * s.rate * value * value * value};
}

double start_deviation(const Path& path) { return spread(path_at(path, 0)).value; }

ToVelocity to_velocity(Prediction prediction, const PathPoint& p, double floor) {
  if (prediction == Prediction::velocity) return {};
  const Spread s = spread(p);
  // x_t = alpha x1 + s z: eliminating z from the velocity alpha' x1 + s' z leaves it in terms of x1, or the other way
  // round. `eliminated` divides.
  const double wronskian = p.alpha_rate * s.value - p.alpha * s.rate;
  const double wronskian_rate = p.alpha_curvature * s.value - p.alpha * s.curvature;
  const bool data = prediction == Prediction::data;
  const Spread eliminated = data ? s : Spread{p.alpha, p.alpha_rate, p.alpha_curvature};
  const double divisor = std::max(eliminated.value, floor),
               divisor_rate = eliminated.value > floor ? eliminated.rate : 0;
  const double sign = data ? 1 : -1;
  ToVelocity v;
  v.output = sign * wronskian / divisor;
  v.state = eliminated.rate / divisor;
  v.output_rate = (sign * wronskian_rate - v.output * divisor_rate) / divisor;
  v.state_rate = (eliminated.curvature - v.state * divisor_rate) / divisor;
  return v;
}

}  // namespace monge::flow
