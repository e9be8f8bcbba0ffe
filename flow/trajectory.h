#pragma once
#include <vector>

#include "monge/flow/sample.h"

namespace monge::flow {

// What the paths of a flow are like, in the mean over the rows. For the exact flow of a velocity, energy is
// displacement + curvature, and none of a law's flows to another has less energy than W2^2 (Benamou and Brenier 2000).
struct TrajectoryStatistics {
  double energy = 0;        // E int |v|^2 dt
  double displacement = 0;  // E |x1 - x0|^2, what the coupling that the flow makes costs
  double curvature = 0;     // E int |v - (x1 - x0)|^2 dt: 0 for straight paths at constant speed, where one step does
  double detour = 0;        // E int |v| dt over E |x1 - x0|: 1 for straight paths; NaN where nothing moves
  SampleResult run;
};

// Integrates x (rows x dimensions, in place) like integrate(), and speed and energy along with it, by the same solver:
// with Euler's steps the statistics are those of the polygons that it makes. Times run over an interval of length one,
// or figures are those of the flow slowed down to it. Unless the run converges all figures are NaN.
// Throws as integrate().
TrajectoryStatistics trajectory_statistics(const Velocity& velocity, MatrixView<float> x,
                                           const SampleOptions& options = {});

// |energy - squared_w2| / squared_w2 (Tong et al., TMLR 2024, normalised path energy), squared_w2 being that of the
// laws at both ends. Throws Error(invalid_argument) unless squared_w2 > 0.
double normalised_path_energy(double energy, double squared_w2);

// The points at `frames` + 1 equal times from t0 to t1, the first being x itself: what pictures of paths are drawn
// from. Each stretch is integrated on its own; options.steps are those of the whole, shared out, at least one a
// stretch. Throws as integrate(), and Error(not_finite) when a stretch breaks down.
std::vector<Matrix<float>> trajectories(const Velocity& velocity, MatrixView<const float> x, Index frames,
                                        const SampleOptions& options = {});

}  // namespace monge::flow
