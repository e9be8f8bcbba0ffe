// Small ordinary problems on which an accelerated iteration or a certificate could go wrong.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "monge/ot/core/random.h"
#include "monge/ot/gradients.h"
#include "monge/ot/plan.h"
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

// L1 distance of a plan's marginals, summed entry by entry, from uniform weights.
template <class T>
double marginal_error(const Problem<T>& p, const SinkhornResult& r) {
  Matrix<double> entries(p.rows(), p.cols());
  Plan(p, r).to_dense(entries.view());
  std::vector<double> rows(static_cast<std::size_t>(p.rows()), -1.0 / static_cast<double>(p.rows())),
      cols(static_cast<std::size_t>(p.cols()), -1.0 / static_cast<double>(p.cols()));
  for (Index i = 0; i < p.rows(); ++i)
    for (Index j = 0; j < p.cols(); ++j) rows[i] += entries(i, j), cols[j] += entries(i, j);
  double error = 0;
  for (const auto* side : {&rows, &cols})
    for (const double e : *side) error += std::abs(e);
  return error;
}

// Far from the origin products are larger than any epsilon by so much that potentials, as doubles, cannot hold both.
TEST(SinkhornSafety, PlansFarFromTheOriginAreWhatTheResultSays) {
  for (const double offset : {0.0, 1e4, 1e7, 1e8}) {
    const Matrix<double> x = cloud(50, 3, 1, offset), y = cloud(60, 3, 2, offset);
    const Problem<double> p{.x = x.view(), .y = y.view(), .cost = Cost::negative_dot};
    const SinkhornResult r = sinkhorn(p, {.epsilon = 0.01, .epsilon_unit = EpsilonUnit::cost, .tolerance = 1e-6});
    ASSERT_EQ(r.status, Status::converged);
    EXPECT_NEAR(marginal_error(p, r), r.marginal_error, 1e-10) << offset;
    EXPECT_NEAR(Plan(p, r).mass(), 1, 1e-6);
    const Gradients<double> g = gradients(p, r);  // of <P, C>: -P y and -P^T x
    for (Index i = 0; i < 50; ++i) ASSERT_NEAR(g.x(i, 0) * 50, -offset, 4 + 1e-6 * offset) << offset;
    for (Index j = 0; j < 60; ++j) ASSERT_NEAR(g.y(j, 0) * 60, -offset, 4 + 1e-4 * offset) << offset;
  }
}

// All costs are the same, but for rounding, and any plan of the right masses is as good as another.
TEST(SinkhornSafety, EqualCostsAreNoMeasureForEpsilon) {
  Matrix<double> x(50, 1), y(60, 1);
  for (Index i = 0; i < 50; ++i) x(i, 0) = 0.1 + uniform(1, static_cast<std::uint64_t>(i));
  for (Index j = 0; j < 60; ++j) y(j, 0) = 0.1 + uniform(2, static_cast<std::uint64_t>(j));
  const Problem<double> p{.x = x.view(), .y = y.view(), .cost = Cost::cosine};
  const SinkhornResult r = sinkhorn(p);
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_LT(marginal_error(p, r), 1e-5);
  EXPECT_NEAR(r.cost, 0, 1e-5);
  EXPECT_GE(r.epsilon, 1e-11);
  EXPECT_LT(r.epsilon, 1e-9);
}

// Clouds in one place, all masses at a price: sqrt(sum a sum b) moves where the prices are the same.
TEST(SinkhornSafety, MassesBetweenCloudsInOnePlace) {
  const std::vector<float> x(8, 5.0f), y(6, 5.0f);
  const std::vector<double> a(4, 1.0), b(3, 10.0);
  const Problem<float> p{.x = {x.data(), 4, 2}, .y = {y.data(), 3, 2}, .a = a, .b = b};
  for (const double epsilon : {0.05, 1e-9, 1e-300}) {
    const SinkhornResult r = sinkhorn(p, {.epsilon = epsilon, .tau_a = 1, .tau_b = 1});
    EXPECT_EQ(r.status, Status::converged);
    EXPECT_NEAR(r.mass, std::sqrt(120.0), 1e-3 * std::sqrt(120.0)) << epsilon;
    EXPECT_NEAR(Plan(p, r).mass(), r.mass, 1e-5 * r.mass) << epsilon;
    Matrix<float> map(4, 2);
    Plan(p, r).map(map.view());
    for (Index i = 0; i < 4; ++i) EXPECT_NEAR(map(i, 0), 5, 1e-4);
  }
}

TEST(SinkhornSafety, MaxIterationsAreOfAllEpsilons) {
  const Matrix<double> x = cloud(60, 2, 1, 0), y = cloud(70, 2, 2, 1);
  const Problem<double> p{.x = x.view(), .y = y.view()};
  for (const double epsilon : {0.05, 1e-4, 1e-300}) {
    for (const Index most : {1, 3, 10, 30}) {
      const SinkhornResult r = sinkhorn(p, {.epsilon = epsilon, .tolerance = 1e-12, .max_iterations = most});
      EXPECT_EQ(r.iterations, most) << epsilon;
      EXPECT_EQ(r.status, Status::iteration_limit);
      EXPECT_LE(r.certificate.lower, r.certificate.upper);
    }
  }
}

}  // namespace
}  // namespace monge::ot
