#include "monge/flow/trajectory.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"

namespace monge::flow {
namespace {

Matrix<float> copy_of(MatrixView<const float> x) {
  Matrix<float> out(x.rows, x.cols);
  for (Index i = 0; i < x.rows; ++i) std::copy_n(x.row(i), x.cols, out.view().row(i));
  return out;
}

}  // namespace

// The state of a row is its point, the energy and the length of its path so far.
TrajectoryStatistics trajectory_statistics(const Velocity& velocity, MatrixView<float> x,
                                           const SampleOptions& options) {
  require(static_cast<bool>(velocity), "trajectory_statistics: no velocity");
  require(!x.empty(), "trajectory_statistics: x is empty (", x.rows, " x ", x.cols, ")");
  require_finite(MatrixView<const float>(x), "trajectory_statistics: x");
  const Index d = x.cols;
  Matrix<float> state(x.rows, d + 2);
  for (Index i = 0; i < x.rows; ++i) {
    std::copy_n(x.row(i), d, state.view().row(i));
    state(i, d) = state(i, d + 1) = 0;
  }
  const Velocity augmented = [&](double t, MatrixView<const float> s, MatrixView<float> rate) {
    velocity(t, MatrixView<const float>(s.data, s.rows, d, s.stride),
             MatrixView<float>(rate.data, rate.rows, d, rate.stride));
    constexpr Index block = 64;
    parallel_for(threads_worth(options.context.threads, s.rows * d), (s.rows + block - 1) / block,
                 [&](Index task, int) {
                   for (Index i = task * block; i < std::min(s.rows, (task + 1) * block); ++i) {
                     double square = 0;
                     for (Index k = 0; k < d; ++k) square += static_cast<double>(rate(i, k)) * rate(i, k);
                     rate(i, d) = static_cast<float>(square);
                     rate(i, d + 1) = static_cast<float>(std::sqrt(square));
                   }
                 });
  };
  TrajectoryStatistics out;
  out.run = integrate(augmented, state.view(), options);
  double length = 0, distance = 0;
  for (Index i = 0; i < x.rows; ++i) {
    double square = 0;
    for (Index k = 0; k < d; ++k) square += std::pow(static_cast<double>(state(i, k)) - x(i, k), 2);
    out.energy += state(i, d);
    out.displacement += square;
    length += state(i, d + 1);
    distance += std::sqrt(square);
    std::copy_n(state.view().row(i), d, x.row(i));
  }
  const double duration = options.t1 - options.t0, n = static_cast<double>(x.rows);
  out.energy *= duration / n;  // backwards both factors are negative
  out.displacement /= n;
  out.curvature = out.energy - out.displacement;
  out.detour = std::abs(length) / distance;
  if (out.run.status != ot::Status::converged)
    out.energy = out.displacement = out.curvature = out.detour = std::numeric_limits<double>::quiet_NaN();
  return out;
}

double normalised_path_energy(double energy, double squared_w2) {
  require(squared_w2 > 0, "normalised_path_energy: the squared W2 must be positive, not ", squared_w2);
  return std::abs(energy - squared_w2) / squared_w2;
}

std::vector<Matrix<float>> trajectories(const Velocity& velocity, MatrixView<const float> x, Index frames,
                                        const SampleOptions& options) {
  require(frames > 0, "trajectories: frames must be positive, not ", frames);
  std::vector<Matrix<float>> points;
  points.push_back(copy_of(x));
  const auto time = [&](Index frame) {
    const double share = static_cast<double>(frame) / static_cast<double>(frames);
    return frame == frames ? options.t1 : options.t0 + share * (options.t1 - options.t0);
  };
  SampleOptions stretch = options;
  stretch.steps = std::max<Index>(1, (options.steps + frames - 1) / frames);
  for (Index frame = 1; frame <= frames; ++frame) {
    Matrix<float> next = copy_of(std::as_const(points.back()).view());
    stretch.t0 = time(frame - 1);
    stretch.t1 = time(frame);
    const SampleResult run = integrate(velocity, next.view(), stretch);
    if (run.status != ot::Status::converged)
      throw Error(Errc::not_finite, concat("trajectories: ended with ", ot::to_string(run.status), " at t = ", run.t));
    points.push_back(std::move(next));
  }
  return points;
}

}  // namespace monge::flow
