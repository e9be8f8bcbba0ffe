#include "monge/flow/path.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "monge/flow/time_law.h"
#include "monge/ot/core/error.h"

namespace monge::flow {
namespace {

using Kind = Path::Kind;

struct Case {
  std::string name;
  Path path;
};

const std::vector<Case> cases = {{"linear", {}},
                                 {"linear_sigma_min", {.sigma_min = 0.1}},
                                 {"vp", {.kind = Kind::vp}},
                                 {"ve", {.kind = Kind::ve}},
                                 {"cosine", {.kind = Kind::cosine}},
                                 {"noisy", {.noise = 0.3}},
                                 {"bridge", {.bridge = 0.8}},
                                 {"cosine_bridge_and_noise", {.kind = Kind::cosine, .noise = 0.2, .bridge = 0.5}}};

class Paths : public testing::TestWithParam<Case> {};

// Central differences of step h err by h^2 times a third derivative, which for these paths stays below some 1e3 in
// [0.05, 0.95], and by 1e-16 / h.
constexpr double h = 1e-5, tolerance = 1e-6;

TEST_P(Paths, DerivativesMatchDifferences) {
  for (double t = 0.05; t < 0.96; t += 0.05) {
    const PathPoint p = path_at(GetParam().path, t), up = path_at(GetParam().path, t + h),
                    down = path_at(GetParam().path, t - h);
    const auto expect = [&](double rate, double PathPoint::*value, const char* what) {
      const double expected = (up.*value - down.*value) / (2 * h);
      EXPECT_NEAR(rate, expected, tolerance * (1 + std::abs(expected))) << what << " at " << t;
    };
    expect(p.alpha_rate, &PathPoint::alpha, "alpha'");
    expect(p.sigma_rate, &PathPoint::sigma, "sigma'");
    expect(p.noise_rate, &PathPoint::noise, "noise'");
    expect(p.alpha_curvature, &PathPoint::alpha_rate, "alpha''");
    expect(p.sigma_curvature, &PathPoint::sigma_rate, "sigma''");
    expect(p.noise_curvature, &PathPoint::noise_rate, "noise''");
    const Spread s = spread(p);
    EXPECT_NEAR(s.rate, (spread(up).value - spread(down).value) / (2 * h), tolerance * (1 + std::abs(s.rate)));
    EXPECT_NEAR(s.curvature, (spread(up).rate - spread(down).rate) / (2 * h), tolerance * (1 + std::abs(s.curvature)));
  }
}

TEST_P(Paths, EveryPredictionStandsForTheVelocityOfTheGaussian) {
  // x_t = alpha x1 + s z moves with alpha' x1 + s' z; the three outputs that are right for (x1, z) all say so.
  const double x1 = 0.7, z = -1.3;
  for (double t = 0.05; t < 0.96; t += 0.05) {
    const PathPoint p = path_at(GetParam().path, t);
    const Spread s = spread(p);
    const double x = p.alpha * x1 + s.value * z, velocity = p.alpha_rate * x1 + s.rate * z;
    for (const auto& [prediction, y] :
         {std::pair{Prediction::data, x1}, {Prediction::velocity, velocity}, {Prediction::noise, z}}) {
      const ToVelocity v = to_velocity(prediction, p, 1e-3);
      EXPECT_NEAR(v.output * y + v.state * x, velocity, 1e-12 * (1 + std::abs(velocity))) << t;
    }
  }
}

TEST_P(Paths, FactorsAreBoundedAndTheirRatesAreDerivatives) {
  constexpr double floor = 0.05;
  for (const Prediction prediction : {Prediction::data, Prediction::velocity, Prediction::noise}) {
    for (const double t : {0.0, 0.02, 0.3, 0.7, 0.97, 1.0}) {
      const ToVelocity v = to_velocity(prediction, path_at(GetParam().path, t), floor);
      // |alpha'|, |s'| <= 6 pi or so away from the clamped ends of vp and bridges, where they reach 130; over the
      // floor.
      for (const double factor : {v.output, v.state}) EXPECT_LT(std::abs(factor), 2 * 130 / floor) << t;
      if (t == 0 || t == 1) continue;
      const ToVelocity up = to_velocity(prediction, path_at(GetParam().path, t + h), floor),
                       down = to_velocity(prediction, path_at(GetParam().path, t - h), floor);
      const double output = (up.output - down.output) / (2 * h), state = (up.state - down.state) / (2 * h);
      EXPECT_NEAR(v.output_rate, output, tolerance * (10 + std::abs(output))) << t;
      EXPECT_NEAR(v.state_rate, state, tolerance * (10 + std::abs(state))) << t;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Paths, testing::ValuesIn(cases), [](const auto& info) { return info.param.name; });

TEST(Path, EndsAreNoiseAndData) {
  const PathPoint start = path_at({}, 0), end = path_at({.sigma_min = 0.1}, 1);
  EXPECT_EQ(start.alpha, 0);
  EXPECT_EQ(start.sigma, 1);
  EXPECT_EQ(end.alpha, 1);
  EXPECT_NEAR(end.sigma, 0.1, 1e-15);
  EXPECT_DOUBLE_EQ(path_at({.kind = Kind::ve, .sigma_low = 0.1, .sigma_high = 7}, 1).sigma, 0.1);
  EXPECT_DOUBLE_EQ(start_deviation({.kind = Kind::ve, .sigma_low = 0.1, .sigma_high = 7}), 7);
  EXPECT_EQ(start_deviation({}), 1);
}

TEST(Path, ClosedForms) {
  // vp: T(1) = (0.1 + 20)/2, so alpha(0) = exp(-5.025); variances add up to one, as do the cosine path's.
  EXPECT_NEAR(path_at({.kind = Kind::vp}, 0).alpha, std::exp(-5.025), 1e-15);
  for (const double t : {0.0, 0.4, 0.9}) {
    const PathPoint vp = path_at({.kind = Kind::vp}, t), cosine = path_at({.kind = Kind::cosine}, t);
    EXPECT_NEAR(vp.alpha * vp.alpha + vp.sigma * vp.sigma, 1, 1e-14);
    EXPECT_NEAR(cosine.alpha * cosine.alpha + cosine.sigma * cosine.sigma, 1, 1e-14);
    // The bridge from x0 to x1 has the drift (1 - 2t) / (2 t (1 - t)) (x - mean) + x1 - x0.
    if (t == 0) continue;
    const PathPoint bridge = path_at({.bridge = 0.6}, t);
    EXPECT_NEAR(bridge.noise, 0.6 * std::sqrt(t * (1 - t)), 1e-15);
    EXPECT_NEAR(bridge.noise_rate / bridge.noise, (1 - 2 * t) / (2 * t * (1 - t)), 1e-12);
  }
}

TEST(Path, LinearDataPredictionAtTheEndIsDividedByTheFloor) {
  const ToVelocity end = to_velocity(Prediction::data, path_at({}, 1), 0.05);
  EXPECT_DOUBLE_EQ(end.output, 20);
  EXPECT_DOUBLE_EQ(end.state, -20);
}

TEST(Path, InputsOfAnyPathAreOfTheSizeOfTheData) {
  EXPECT_EQ(input_factor({}, path_at({}, 0.3)).value, 1);
  const Path ve{.kind = Kind::ve, .sigma_high = 80};
  for (const double t : {0.01, 0.3, 0.99}) {
    const PathPoint p = path_at(ve, t);
    const InputFactor f = input_factor(ve, p);
    EXPECT_NEAR(f.value * f.value * (1 + p.sigma * p.sigma), 1, 1e-14);
    const double up = input_factor(ve, path_at(ve, t + h)).value, down = input_factor(ve, path_at(ve, t - h)).value;
    EXPECT_NEAR(f.rate, (up - down) / (2 * h), tolerance * (1 + std::abs(f.rate)));
  }
}

TEST(Path, RefusesParametersThatMakeNoPath) {
  EXPECT_THROW(check(Path{.sigma_min = 1}), Error);
  EXPECT_THROW(check(Path{.beta_min = 0}), Error);
  EXPECT_THROW(check(Path{.beta_min = 3, .beta_max = 2}), Error);
  EXPECT_THROW(check(Path{.sigma_low = 5, .sigma_high = 5}), Error);
  EXPECT_THROW(check(Path{.noise = -1}), Error);
  EXPECT_THROW(check(Path{.bridge = std::nan("")}), Error);
}

TEST(TimeLaw, LogitNormalQuantilesInvertItsDistribution) {
  const TimeLaw law{.kind = TimeLaw::Kind::logit_normal, .mean = -0.4, .deviation = 1.3};
  for (const double u : {1e-12, 1e-5, 0.001, 0.0199, 0.0201, 0.1, 0.3, 0.5, 0.77, 0.99, 1 - 1e-6}) {
    const double t = time_at(law, u), z = (std::log(t / (1 - t)) + 0.4) / 1.3;
    // Near one the spacing of u and t is all that is left of the tail.
    EXPECT_NEAR(0.5 * std::erfc(-z / std::numbers::sqrt2) / u, 1, 1e-9) << u;
  }
  EXPECT_GE(time_at(law, 0), 0);
}

TEST(TimeLaw, DrawsOneTimeOfEachPart) {
  const TimeLaw law{.quantile = [](double u) { return u * u; }};
  std::vector<double> times(50), again(50), later(50);
  draw_times(law, 3, 1, 7, times);
  draw_times(law, 3, 1, 7, again);
  draw_times(law, 3, 1, 8, later);
  EXPECT_EQ(times, again);
  EXPECT_NE(times, later);
  for (int i = 0; i < 50; ++i) {
    const double u = std::sqrt(times[static_cast<std::size_t>(i)]);
    EXPECT_GE(u, i / 50.0 - 1e-15);
    EXPECT_LT(u, (i + 1) / 50.0 + 1e-15);
  }
  EXPECT_THROW(draw_times({.quantile = [](double u) { return 1 + u; }}, 3, 1, 7, times), Error);
  EXPECT_THROW(check(TimeLaw{.deviation = 0}), Error);
}

}  // namespace
}  // namespace monge::flow
