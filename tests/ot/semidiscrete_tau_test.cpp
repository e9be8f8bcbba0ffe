// Semidiscrete transport whose masses may stray from b at a price.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "monge/ot/matcher.h"
#include "semidiscrete_truth.h"

namespace monge::ot {
namespace {

using namespace truth;

constexpr double never = std::numeric_limits<double>::infinity();

double divergence(const std::vector<double>& m, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t j = 0; j < m.size(); ++j) sum += m[j] * std::log(m[j] / b[j]);
  return sum;
}

// Two atoms on the line: cells meet at t, m = (Phi(t), 1 - Phi(t)), and g_j = -tau log(m_j / b_j) is one equation for
// t.
struct TwoAtoms {
  double t, value;
  std::vector<double> m;

  TwoAtoms(const std::vector<float>& y, const std::vector<double>& b, double tau, Cost cost) {
    const double p = y[0], q = y[1], unit = cost == Cost::squared_euclidean ? 2 : 1;
    const double level = cost == Cost::squared_euclidean ? q * q - p * p : 0.0;
    t = root(-8, 8, [&](double z) {
      const double share = normal_share(z);
      return unit * (q - p) * z - level + tau * std::log(share * b[1] / (b[0] * (1 - share)));
    });
    m = {normal_share(t), 1 - normal_share(t)};
    value = -unit * (q - p) * normal_density(t) + tau * divergence(m, b);
    if (cost == Cost::squared_euclidean) value += 1 + m[0] * p * p + m[1] * q * q;
  }
};

TEST(SemidiscreteTau, TwoAtomsMeetTheClosedForm) {
  const std::vector<float> y = {-1.0f, 1.5f};
  const std::vector<double> b = {0.7, 0.3};
  for (const Cost cost : {Cost::negative_dot, Cost::squared_euclidean}) {
    for (const double tau : {0.1, 1.0, 20.0}) {
      const TwoAtoms exact(y, b, tau, cost);
      const SemidiscreteResult r =
          semidiscrete({y.data(), 2, 1}, b, {.cost = cost, .tolerance = 4e-3, .tau = tau, .seed = 4});
      ASSERT_EQ(r.status, Status::converged) << tau;
      const std::vector<double>& g = r.potentials.g;
      EXPECT_NEAR(b[0] * std::exp(-g[0] / tau) + b[1] * std::exp(-g[1] / tau), 1, 1e-9);
      const std::vector<double> m = r.potentials.masses();
      EXPECT_NEAR(m[0] + m[1], 1, 1e-12);
      // A chi-square of 4e-3 of two masses leaves each free by sqrt(4e-3 / 4) of its target, which moves as well.
      EXPECT_NEAR(m[0], exact.m[0], 0.06) << tau;
      EXPECT_LE(r.certificate.lower, exact.value) << tau;
      EXPECT_GE(r.certificate.upper, exact.value) << tau;
      EXPECT_LT(r.certificate.upper - r.certificate.lower, 0.1 * (1 + std::abs(exact.value)));
      EXPECT_NEAR(r.cost + tau * divergence(m, b), exact.value, 0.1 * (1 + tau * 0.06) + r.cost_error) << tau;
    }
  }
}

TEST(SemidiscreteTau, AHighPriceIsBalanced) {
  const std::vector<float> y = {-2.0f, -0.5f, 0.1f, 0.9f, 1.4f, 3.0f};
  const std::vector<double> b = {0.1, 0.25, 0.05, 0.3, 0.2, 0.1};
  const Line exact(y, b);
  const SemidiscreteResult r = semidiscrete({y.data(), 6, 1}, b, {.tolerance = 1e-3, .tau = 1e5, .seed = 3});
  ASSERT_EQ(r.status, Status::converged);
  const std::vector<double> m = r.potentials.masses();
  for (std::size_t j = 0; j < y.size(); ++j) EXPECT_NEAR(m[j], b[j], 1e-4 * b[j]);  // |g| / tau
  for (std::size_t j = 0; j + 1 < y.size(); ++j) {
    const double boundary = (r.potentials.g[j] - r.potentials.g[j + 1]) / (y[j + 1] - y[j]);
    EXPECT_NEAR(boundary, exact.z[j], 0.06) << j;  // a chi-square of 1e-3 leaves a mass of 0.1 free by 0.01
  }
  EXPECT_LE(r.certificate.lower, exact.cost);
  EXPECT_GE(r.certificate.upper, exact.cost - 1e-3);  // straying gains |g|^2 / tau at most
}

TEST(SemidiscreteTau, IntervalsHoldTheNaiveSemidual) {
  NaiveSemidual naive{.y = {-1.5f, -0.5f, 0.2f, 1.0f, 3.0f},
                      .b = {0.15, 0.3, 0.2, 0.25, 0.1},
                      .labels = {0, 1, 0, 1, 1},
                      .noise = {0.5, 0.5},
                      .penalty = 0,
                      .tau = 0.7};
  const std::vector<std::int32_t> labels = {0, 1, 0, 1, 1};
  for (const double penalty : {0.0, 0.6, never}) {
    naive.penalty = penalty;
    const std::vector<double> g = naive.maximise();
    const NaiveSemidual::Look best = naive.look(g);
    for (std::size_t j = 0; j < 5; ++j) ASSERT_NEAR(best.mass[j], naive.b[j] * std::exp(-g[j] / 0.7), 1e-5);
    const SemidiscreteResult r = semidiscrete(
        {naive.y.data(), 5, 1}, naive.b,
        {.tolerance = 4e-3, .labels = labels, .label_penalty = penalty, .noise_labels = {{0, 1}, {1, 1}}, .tau = 0.7});
    EXPECT_EQ(r.status, Status::converged) << penalty;
    EXPECT_LE(r.certificate.lower, best.value) << penalty;
    EXPECT_GE(r.certificate.upper, best.value) << penalty;
    EXPECT_LT(r.certificate.upper - r.certificate.lower, 0.12) << penalty;
    const std::vector<double> m = r.potentials.masses();
    for (std::size_t j = 0; j < 5; ++j) EXPECT_NEAR(m[j], best.mass[j], 0.06) << penalty << " " << j;
  }
}

TEST(SemidiscreteTau, AnAtomFarOutLosesItsMass) {
  Matrix<float> y = normal_cloud(300, 4, 6);
  y(17, 0) = 60;
  const SemidiscreteOptions options{.cost = Cost::squared_euclidean, .tau = 2, .seed = 1};
  const SemidiscreteResult r = semidiscrete(y.view(), {}, options);
  ASSERT_EQ(r.status, Status::converged);
  const std::vector<double> m = r.potentials.masses();
  EXPECT_LT(m[17], 1e-9);
  EXPECT_NEAR(std::accumulate(m.begin(), m.end(), 0.0), 1, 1e-12);
  const auto matcher = pass_matcher(y.view(), r.potentials);
  const MarginalError fresh = marginal_error(*matcher, 300, 4, 60000, 5, m);
  EXPECT_LE(fresh.lower, 0.05);
  const Matrix<float> x = normal_cloud(20000, 4, 9);
  std::vector<std::int32_t> atoms(20000);
  matcher->match(x.view(), Rng{}, 0, atoms);
  EXPECT_EQ(std::count(atoms.begin(), atoms.end(), 17), 0);
}

TEST(SemidiscreteTau, EntropicPlansToo) {
  const Matrix<float> y = normal_cloud(200, 3, 2);
  const SemidiscreteResult r = semidiscrete(y.view(), {}, {.epsilon = 0.5, .tau = 1, .seed = 1});
  ASSERT_EQ(r.status, Status::converged);
  const std::vector<double> m = r.potentials.masses();
  double total = 0;
  for (const double g : r.potentials.g) total += std::exp(-g) / 200;
  EXPECT_NEAR(total, 1, 1e-9);
  const MarginalError fresh = marginal_error(*pass_matcher(y.view(), r.potentials), 200, 3, 40000, 5, m);
  EXPECT_LE(fresh.lower, 0.05);
}

TEST(SemidiscreteTau, MassesAreWhatTheyAreSaidToBe) {
  SemidiscretePotentials p;
  p.g = {0.5, -1, -never, 2};
  p.b = {2, 1, 0, 1};
  std::vector<double> m = p.masses();
  EXPECT_EQ(m, (std::vector<double>{0.5, 0.25, 0, 0.25}));
  p.tau = 2;
  m = p.masses();
  const double a = 0.5 * std::exp(-0.25), b = 0.25 * std::exp(0.5), c = 0.25 * std::exp(-1.0);
  EXPECT_NEAR(m[0], a / (a + b + c), 1e-14);
  EXPECT_NEAR(m[1], b / (a + b + c), 1e-14);
  EXPECT_EQ(m[2], 0);
  p = {};
  p.g = {1, 2};
  EXPECT_EQ(p.masses(), (std::vector<double>{0.5, 0.5}));
}

}  // namespace
}  // namespace monge::ot
