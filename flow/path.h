#pragma once

namespace monge::flow {

// How noise becomes data: x_t = alpha(t) x1 + sigma(t) x0, x0 noise at t = 0, x1 data at t = 1.
enum class Path {
  linear,  // alpha = t, sigma = 1 - t (Lipman et al., Flow matching for generative modeling, 2023, with sigma_min = 0)
};

// A path at one time, with its derivatives in t: the velocity of a pair is alpha_rate x1 + sigma_rate x0.
struct PathPoint {
  double alpha = 0, sigma = 0;
  double alpha_rate = 0, sigma_rate = 0;
};

PathPoint path_at(Path path, double t);

// The velocity that a predicted x1 stands for is data x1 + state x_t, from v = (sigma'/sigma)(x_t - alpha x1) + alpha'
// x1. Where sigma < sigma_floor both factors are divided by the floor instead, so that they stay bounded as sigma -> 0.
struct DataToVelocity {
  double data = 0, state = 0;
};

DataToVelocity data_to_velocity(const PathPoint& point, double sigma_floor);

}  // namespace monge::flow
