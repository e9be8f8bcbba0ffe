// What paths are like: energy, curvature, crossings, and what couplings cost.
#include "monge/flow/trajectory.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "monge/flow/crossing.h"
#include "monge/flow/minibatch_coupling.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

Matrix<float> normal(Index n, Index d, std::uint64_t seed) {
  Matrix<float> x(n, d);
  fill_normal(Rng{seed}, 0, {x.data(), n * d});
  return x;
}

double mean_square(const Matrix<float>& x) {
  double sum = 0;
  for (Index i = 0; i < x.rows() * x.cols(); ++i) sum += static_cast<double>(x.data()[i]) * x.data()[i];
  return sum / static_cast<double>(x.rows());
}

// A quarter turn: |v| = (pi / 2) |x| all the way, and the ends are sqrt(2) |x| apart.
void quarter_turn(double, MatrixView<const float> x, MatrixView<float> v) {
  for (Index i = 0; i < x.rows; ++i) {
    v(i, 0) = static_cast<float>(-M_PI / 2 * x(i, 1));
    v(i, 1) = static_cast<float>(M_PI / 2 * x(i, 0));
  }
}

TEST(Trajectory, QuarterTurn) {
  for (const Solver solver : {Solver::rk4, Solver::dopri5}) {
    Matrix<float> x = normal(300, 2, 1);
    const double square = mean_square(x);
    const SampleOptions options{.solver = solver, .steps = 50, .rtol = 1e-6, .atol = 1e-6};
    const TrajectoryStatistics s = trajectory_statistics(quarter_turn, x.view(), options);
    EXPECT_NEAR(s.energy, M_PI * M_PI / 4 * square, 1e-4);
    EXPECT_NEAR(s.displacement, 2 * square, 1e-4);
    EXPECT_NEAR(s.curvature, (M_PI * M_PI / 4 - 2) * square, 2e-4);
    EXPECT_NEAR(s.detour, M_PI / 2 / std::sqrt(2.0), 1e-5);
    EXPECT_NEAR(normalised_path_energy(s.energy, 2 * square), M_PI * M_PI / 8 - 1, 1e-4);
  }
}

// Straight paths at constant speed have no curvature, run either way, over any stretch of time.
TEST(Trajectory, StraightPaths) {
  const Velocity straight = [](double, MatrixView<const float> x, MatrixView<float> v) {
    for (Index i = 0; i < x.rows; ++i) v(i, 0) = 3, v(i, 1) = -4;
  };
  for (const auto& [t0, t1] : {std::pair{0.0, 1.0}, {1.0, 0.0}, {0.5, 2.5}}) {
    Matrix<float> x = normal(20, 2, 1);
    const TrajectoryStatistics s = trajectory_statistics(straight, x.view(), {.steps = 3, .t0 = t0, .t1 = t1});
    const double length = std::abs(t1 - t0);
    EXPECT_NEAR(s.energy, 25 * length * length, 1e-4);
    EXPECT_NEAR(s.curvature, 0, 1e-4);
    EXPECT_NEAR(s.detour, 1, 1e-6);
  }
}

// Euler's polygon, by hand: speeds 1 and 3, each for half of the time.
TEST(Trajectory, EulersPolygon) {
  const Velocity faster = [](double t, MatrixView<const float>, MatrixView<float> v) { v(0, 0) = t < 0.5 ? 1 : 3; };
  Matrix<float> x(1, 1);
  x(0, 0) = 0;
  const TrajectoryStatistics s = trajectory_statistics(faster, x.view(), {.steps = 2});
  EXPECT_EQ(s.energy, 5);
  EXPECT_EQ(s.displacement, 4);
  EXPECT_EQ(s.curvature, 1);
  EXPECT_EQ(s.detour, 1);
  EXPECT_EQ(s.run.nfe, 2);
}

TEST(Trajectory, FramesAreOnThePaths) {
  const Matrix<float> x = normal(10, 2, 1);
  const std::vector<Matrix<float>> frames =
      trajectories(quarter_turn, x.view(), 4, {.solver = Solver::rk4, .steps = 40});
  ASSERT_EQ(frames.size(), 5u);
  for (std::size_t f = 0; f < 5; ++f) {
    const double angle = M_PI / 8 * static_cast<double>(f);
    for (Index i = 0; i < 10; ++i) {
      EXPECT_NEAR(frames[f](i, 0), std::cos(angle) * x(i, 0) - std::sin(angle) * x(i, 1), 1e-5);
      EXPECT_NEAR(frames[f](i, 1), std::sin(angle) * x(i, 0) + std::cos(angle) * x(i, 1), 1e-5);
    }
  }
}

TEST(Trajectory, Refusals) {
  Matrix<float> x = normal(3, 2, 1);
  EXPECT_THROW(trajectory_statistics(nullptr, x.view()), Error);
  EXPECT_THROW(trajectory_statistics(quarter_turn, x.view().rows_from(0, 0)), Error);
  EXPECT_THROW(trajectories(quarter_turn, x.view(), 0), Error);
  EXPECT_THROW(normalised_path_energy(1, 0), Error);
  const Velocity broken = [](double, MatrixView<const float>, MatrixView<float> v) {
    for (Index i = 0; i < v.rows; ++i) v(i, 0) = v(i, 1) = NAN;
  };
  EXPECT_THROW(trajectories(broken, x.view(), 2), Error);
  const TrajectoryStatistics s = trajectory_statistics(broken, x.view());
  EXPECT_EQ(s.run.status, ot::Status::numerical_failure);
  EXPECT_TRUE(std::isnan(s.energy));
}

// Three paths on a line: 0 -> 1, 1 -> 0 (they cross half way) and 5 -> 5.5 (which meets nobody).
TEST(Crossing, ByHand) {
  Matrix<float> x0(3, 1), x1(3, 1);
  x0(0, 0) = 0, x0(1, 0) = 1, x0(2, 0) = 5;
  x1(0, 0) = 1, x1(1, 0) = 0, x1(2, 0) = 5.5;
  const Crossing c = crossing(x0.view(), x1.view(), 5);
  EXPECT_DOUBLE_EQ(c.share, 1.0 / 3);
  EXPECT_DOUBLE_EQ(c.by_time[2], 1.0 / 3);
  // Exchanging ends saves 2 of the two paths' cost; the mean over three pairs, over the mean cost of 0.75.
  EXPECT_DOUBLE_EQ(c.gain, 2.0 / 3 / 0.75);
}

// Paths from x to x: none cross. From x to -x all do, half way.
TEST(Crossing, Extremes) {
  const Matrix<float> x = normal(200, 3, 1);
  Matrix<float> minus(200, 3);
  for (Index i = 0; i < 600; ++i) minus.data()[i] = -x.data()[i];
  const Crossing none = crossing(x.view(), x.view()), all = crossing(x.view(), minus.view(), 3, {.threads = 1});
  EXPECT_EQ(none.share, 0);
  EXPECT_EQ(none.gain, 0);
  EXPECT_DOUBLE_EQ(all.share, 1);
  EXPECT_DOUBLE_EQ(all.by_time[1], 1);
  const Crossing again = crossing(x.view(), minus.view(), 3, {.threads = 3});
  EXPECT_EQ(all.gain, again.gain);
  EXPECT_THROW(crossing(x.view(), minus.view().rows_from(0, 10)), Error);
  EXPECT_THROW(crossing(x.view(), minus.view(), 0), Error);
}

// Independent ends: <x0_i - x0_j, x1_i - x1_j> is as often negative as positive. Optimal ends: never.
TEST(Crossing, IndependentAndOptimalEnds) {
  constexpr Index n = 200, d = 2;
  const Matrix<float> y = normal(n, d, 2);
  const auto ends = [&](Coupling& coupling) {
    Matrix<float> x0(n, d), x1(n, d);
    std::vector<std::int32_t> atoms(n);
    coupling.draw(0, x0.view(), atoms);
    for (Index i = 0; i < n; ++i)
      for (Index k = 0; k < d; ++k) x1(i, k) = y(atoms[static_cast<std::size_t>(i)], k);
    return crossing(x0.view(), x1.view());
  };
  const Crossing independent = ends(*independent_coupling(n, 3));
  // Paths share ends, so the count varies like n means, not n^2: four standard deviations of at most 1 / sqrt(n).
  EXPECT_NEAR(independent.share, 0.5, 4 / std::sqrt(n));
  EXPECT_NEAR(std::accumulate(independent.by_time.begin(), independent.by_time.end(), 0.0), independent.share, 1e-12);
  const Crossing optimal = ends(*minibatch_coupling(y.view(), {.seed = 3}));
  EXPECT_LT(optimal.gain, 1e-9);  // exchanging two ends of an optimal assignment saves nothing, but for rounding
}

// Independent pairs of N(0, I) and atoms: E |x0 - x1|^2 = d + E |x1|^2.
TEST(CouplingCost, OfIndependentPairs) {
  const Matrix<float> y = normal(500, 4, 7);
  const auto coupling = independent_coupling(500, 1);
  const CouplingCost cost = coupling_cost(*coupling, y.view(), 100, 50);
  EXPECT_NEAR(cost.mean, 4 + mean_square(y), 4 * cost.standard_error);
  EXPECT_GT(cost.standard_error, 0);
  const CouplingCost later = coupling_cost(*coupling, y.view(), 100, 50, 50);
  EXPECT_NE(later.mean, cost.mean);
  EXPECT_NEAR(later.mean, cost.mean, 4 * std::hypot(cost.standard_error, later.standard_error));
  EXPECT_TRUE(std::isnan(coupling_cost(*coupling, y.view(), 100, 1).standard_error));
}

}  // namespace
}  // namespace monge::flow
