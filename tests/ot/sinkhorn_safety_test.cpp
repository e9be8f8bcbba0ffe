// Small ordinary problems on which an accelerated iteration or a certificate could go wrong.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "monge/ot/core/random.h"
#include "monge/ot/sinkhorn.h"

namespace monge::ot {
namespace {

double uniform(std::uint64_t problem, std::uint64_t k) {
  const Rng::Block w = Rng{99, problem}.bits(k);
  return Rng::uniform(w.w[0], w.w[1]);
}

Matrix<double> cloud(Index n, Index d, std::uint64_t seed, double offset) {
  Matrix<double> x(n, d);
  fill_normal(Rng{seed}, 0, {x.data(), n * d});
  for (Index k = 0; k < n * d; ++k) x.data()[k] += offset;
  return x;
}

// Masses depend on potentials exponentially, so a step too far overflows. Sending nothing is a plan as well, at the
// price of all weights (and of its entropy): no solution is dearer.
TEST(SinkhornSafety, UnbalancedProblemsNeverBlowUp) {
  int converged = 0;
  constexpr int problems = 300;
  for (std::uint64_t k = 0; k < problems; ++k) {
    const Index n = 2 + static_cast<Index>(4 * uniform(k, 0)), m = 2 + static_cast<Index>(4 * uniform(k, 1));
    const Matrix<double> x = cloud(n, 2, 2 * k, 0), y = cloud(m, 2, 2 * k + 1, 0.5);
    std::vector<double> a, b;
    for (Index i = 0; i < n; ++i) a.push_back(0.1 + uniform(k, static_cast<std::uint64_t>(10 + i)));
    for (Index j = 0; j < m; ++j) b.push_back(0.1 + uniform(k, static_cast<std::uint64_t>(20 + j)));
    const double tau_a = std::pow(10.0, 4 * uniform(k, 2) - 2), tau_b = std::pow(10.0, 4 * uniform(k, 3) - 2);
    const double all_a = std::accumulate(a.begin(), a.end(), 0.0), all_b = std::accumulate(b.begin(), b.end(), 0.0);
    for (const double epsilon : {0.1, 0.01, 0.001}) {
      const auto r = sinkhorn(Problem<double>{.x = x.view(), .y = y.view(), .a = a, .b = b},
                              {.epsilon = epsilon, .epsilon_unit = EpsilonUnit::cost, .tau_a = tau_a, .tau_b = tau_b});
      SCOPED_TRACE(testing::Message() << "problem " << k << ", tau " << tau_a << ", " << tau_b << ", epsilon "
                                      << epsilon << ": " << to_string(r.status));
      ASSERT_NE(r.status, Status::numerical_failure);
      EXPECT_LE(r.value, 1.01 * (tau_a * all_a + tau_b * all_b + epsilon * all_a * all_b));
      EXPECT_LE(r.certificate.lower, r.certificate.upper);
      converged += r.status == Status::converged;
    }
  }
  EXPECT_GE(converged, 3 * problems * 99 / 100);
}

// One point on one side: the optimum fills the cheapest partners first. With costs of both signs a plan of a little
// more mass than asked for is cheaper than any of the right mass.
TEST(SinkhornSafety, PartialCertificatesHoldForCostsWithSigns) {
  for (std::uint64_t k = 0; k < 200; ++k) {
    const Index m = 1 + static_cast<Index>(7 * uniform(k, 0)), d = 1 + static_cast<Index>(7 * uniform(k, 1));
    const double offset = std::pow(10.0, std::floor(5 * uniform(k, 2))), mass = 0.1 + 0.8 * uniform(k, 3);
    const Matrix<double> x = cloud(1, d, 2 * k, offset), y = cloud(m, d, 2 * k + 1, offset);
    std::vector<long double> costs(static_cast<std::size_t>(m));
    std::vector<Index> order(costs.size());
    std::iota(order.begin(), order.end(), 0);
    for (Index j = 0; j < m; ++j) {
      for (Index l = 0; l < d; ++l) costs[static_cast<std::size_t>(j)] -= static_cast<long double>(x(0, l)) * y(j, l);
    }
    std::sort(order.begin(), order.end(), [&](Index i, Index j) { return costs[i] < costs[j]; });
    long double optimum = 0, left = mass;
    for (const Index j : order) {
      const long double moved = std::min(left, 1.0L / m);
      optimum += moved * costs[static_cast<std::size_t>(j)];
      left -= moved;
    }
    const Problem<double> problem{.x = x.view(), .y = y.view(), .cost = Cost::negative_dot};
    for (const double epsilon : {1.0, 0.01}) {
      const auto r = sinkhorn(
          problem, {.epsilon = epsilon, .epsilon_unit = EpsilonUnit::cost, .mass = mass, .max_iterations = 300});
      const double slack = 1e-15 * static_cast<double>(std::abs(optimum));  // of the weights 1 / m
      EXPECT_LE(r.certificate.lower, static_cast<double>(optimum) + slack) << k;
      EXPECT_GE(r.certificate.upper, static_cast<double>(optimum) - slack)
          << k << ", mass " << r.mass << " of " << mass;
    }
  }
}

}  // namespace
}  // namespace monge::ot
