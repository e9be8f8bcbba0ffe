#pragma once
#include <cstdint>

namespace monge::flow {

// How noise becomes data: x_t = alpha(t) x1 + sigma(t) x0 + noise(t) e, x0 noise at t = 0, x1 data at t = 1, e a
// standard normal of its own. The first two are the Gaussian paths of Lipman et al. (Flow matching for generative
// modeling, 2023); e is what Tong et al. (Improving and generalizing flow-based generative models, 2024) add to a pair.
struct Path {
  enum class Kind : std::uint8_t {
    linear,  // alpha = t, sigma = 1 - (1 - sigma_min) t
    vp,      // alpha = exp(-T/2), T = beta_min s + (beta_max - beta_min) s^2 / 2, s = 1 - t; alpha^2 + sigma^2 = 1
    ve,      // alpha = 1, sigma = sigma_low (sigma_high / sigma_low)^(1 - t)
    cosine,  // alpha = sin(pi t / 2), sigma = cos(pi t / 2)
  };
  Kind kind = Kind::linear;
  double sigma_min = 0;                      // linear: what is left of the noise at t = 1
  double beta_min = 0.1, beta_max = 20;      // vp
  double sigma_low = 0.01, sigma_high = 50;  // ve; units of the data, whose own size sigma_high must dwarf
  double noise = 0;   // noise(t)^2 = noise^2 + bridge^2 t (1 - t): a constant width (I-CFM, OT-CFM),
  double bridge = 0;  // and a Brownian bridge's (SB-CFM)
};

// Throws Error(invalid_argument) for parameters that make no path.
void check(const Path& path);

// A path at one time, with its first and second derivatives in t: the velocity of a pair is
// alpha_rate x1 + sigma_rate x0 + noise_rate e. Velocities of vp at t = 1 and of a bridge at both ends are infinite:
// there the path is taken at 1e-5 from the end.
struct PathPoint {
  double alpha = 0, sigma = 0, noise = 0;
  double alpha_rate = 0, sigma_rate = 0, noise_rate = 0;
  double alpha_curvature = 0, sigma_curvature = 0, noise_curvature = 0;
};

PathPoint path_at(const Path& path, double t);

// The standard deviation of x_t given x1 when x0 is a standard normal, and its derivatives.
struct Spread {
  double value = 0, rate = 0, curvature = 0;
};

Spread spread(const PathPoint& point);

// What a network is given of x_t, times x_t, and its derivative in t: 1, but for ve 1 / sqrt(1 + s^2), s the spread,
// since its x_t are of any size (Karras et al., Elucidating the design space of diffusion-based generative models,
// 2022).
struct InputFactor {
  double value = 1, rate = 0;
};

InputFactor input_factor(const Path& path, const PathPoint& point);

// The standard deviation that samples start from: the spread at t = 0.
double start_deviation(const Path& path);

// What a network's output y stands for. Either way losses are on the velocity.
enum class Prediction : std::uint8_t {
  data,      // x1; the velocity follows from it. A narrow network need not carry the noise through.
  velocity,  // v itself
  noise,     // (x_t - alpha x1) / spread, which is x0 where nothing else is added
};

// v = output y + state x_t, from Theorem 3 of Lipman et al., v = (s'/s)(x_t - alpha x1) + alpha' x1 with s the spread.
// What divides, s for data and alpha for noise, is not taken below `floor`, so that both factors stay bounded. The
// rates are the factors' derivatives in t.
struct ToVelocity {
  double output = 1, state = 0;
  double output_rate = 0, state_rate = 0;
};

ToVelocity to_velocity(Prediction prediction, const PathPoint& point, double floor);

}  // namespace monge::flow
