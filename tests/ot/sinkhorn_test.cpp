// Sinkhorn against a naive iteration in double, closed forms, limits, and exact solutions of the unregularised problem.
#include "monge/ot/sinkhorn.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>

#include "monge/ot/assignment.h"
#include "monge/ot/core/error.h"
#include "naive_plan.h"

namespace monge::ot {
namespace {

template <class T>
class Sinkhorn : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(Sinkhorn, Types);

// Every cost, with weights (zeros among them) and labels: marginals and cost of the plan as promised.
TYPED_TEST(Sinkhorn, MarginalsAndCostAreThoseOfThePlan) {
  using T = TypeParam;
  const Index n = 83, m = 301;
  std::vector<std::int32_t> x_labels, y_labels;
  for (Index i = 0; i < n; ++i) x_labels.push_back(i % 3);
  for (Index j = 0; j < m; ++j) y_labels.push_back(j % 2);
  for (const Index d : {1, 3, 20}) {
    const Matrix<T> x = cloud<T>(n, d, 1), y = cloud<T>(m, d, 2, 0.7, 0.5);
    const Weights a = random_weights(n, 3), b = random_weights(m, 4);
    for (const Cost cost : {Cost::squared_euclidean, Cost::negative_dot, Cost::cosine, Cost::euclidean, Cost::l1}) {
      for (const bool labelled : {false, true}) {
        SCOPED_TRACE(concat(to_string(cost), ", d = ", d, labelled ? ", labels" : ""));
        Problem<T> p{.x = x.view(), .y = y.view(), .cost = cost, .a = a, .b = b};
        if (labelled) p.x_labels = x_labels, p.y_labels = y_labels, p.label_penalty = 0.5;
        const auto r = sinkhorn(p, {.epsilon = 0.2, .epsilon_unit = EpsilonUnit::cost});
        ASSERT_EQ(r.status, Status::converged);
        const Dense plan(p, r);
        EXPECT_LE(Dense::distance(plan.rows, plan.a) + Dense::distance(plan.cols, plan.b), 1.05e-3);
        EXPECT_NEAR(r.marginal_error, Dense::distance(plan.cols, plan.b), 1e-4);
        EXPECT_NEAR(r.cost, plan.transport, 2e-5 * (1 + std::abs(r.cost)));
        EXPECT_EQ(r.certificate.kind, Certificate::Kind::proven);
        EXPECT_LE(r.certificate.lower, r.cost + 2e-3 * (1 + std::abs(r.cost)));
      }
    }
  }
}

// Points without weight have the potentials that a vanishing weight would have.
TEST(SinkhornReference, PointsWithoutWeightHavePotentialsToo) {
  const Matrix<double> x = cloud<double>(30, 2, 5), y = cloud<double>(40, 2, 6);
  for (const int kind : {0, 1, 2}) {
    Weights a(30, 1.0 / 28), b(40, 1.0 / 39);
    const auto solve = [&](double w) {
      a[3] = a[20] = b[7] = w;
      SinkhornOptions o{.epsilon = 0.2, .tolerance = 1e-11, .max_iterations = 100000};
      if (kind == 1) o.tau_a = 0.5, o.tau_b = 0.8;
      if (kind == 2) o.mass = 0.5;
      if (kind == 0) b[0] = 1.0 / 39 + w;
      return sinkhorn({.x = x.view(), .y = y.view(), .a = a, .b = b}, o);
    };
    const SinkhornResult none = solve(0), little = solve(1e-12);
    const double shift = kind == 1 ? 0 : none.g[0] - little.g[0];
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(none.f[i], little.f[i] - shift, 1e-7) << kind << " " << i;
    for (std::size_t j = 0; j < b.size(); ++j) EXPECT_NEAR(none.g[j], little.g[j] + shift, 1e-7) << kind << " " << j;
  }
}

// The plan is that of the textbook iteration run to the end.
TEST(SinkhornReference, AgreesWithTheTextbookIteration) {
  const Index n = 40, m = 55;
  const Matrix<double> x = cloud<double>(n, 2, 5), y = cloud<double>(m, 2, 6);
  const Weights a = random_weights(n, 7), b = random_weights(m, 8);
  const Problem<double> p{.x = x.view(), .y = y.view(), .a = a, .b = b};
  const double epsilon = 0.1;
  Weights f(n, 0.0), g(m, 0.0);
  for (int k = 0; k < 5000; ++k) {
    for (Index i = 0; i < n; ++i) {
      double sum = 0;
      for (Index j = 0; j < m; ++j) sum += b[j] * std::exp((g[j] - cost_of(p, i, j)) / epsilon);
      f[i] = -epsilon * std::log(sum);
    }
    for (Index j = 0; j < m; ++j) {
      double sum = 0;
      for (Index i = 0; i < n; ++i) sum += a[i] * std::exp((f[i] - cost_of(p, i, j)) / epsilon);
      g[j] = -epsilon * std::log(sum);
    }
  }
  const auto r = sinkhorn(p, {.epsilon = epsilon, .epsilon_unit = EpsilonUnit::cost, .tolerance = 1e-10});
  ASSERT_EQ(r.status, Status::converged);
  const Dense plan(p, r);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < m; ++j) {
      ASSERT_NEAR(plan.plan[i * m + j], a[i] * b[j] * std::exp((f[i] + g[j] - cost_of(p, i, j)) / epsilon), 1e-9);
    }
  }
}

// Between N(0, s^2) and N(0, t^2) on a line the optimal plan is Gaussian with covariance c, c + epsilon/2 being the
// root of s^2 t^2 + (epsilon / 4)^2 less epsilon / 4 ...: Janati et al., Entropic optimal transport between unbalanced
// Gaussian measures has a closed form, NeurIPS 2020. Here on a fine grid.
TYPED_TEST(Sinkhorn, GaussiansOnALineGiveTheClosedForm) {
  using T = TypeParam;
  const double s = 1, t = 0.5, epsilon = 0.8;
  const Index n = 1201;
  Matrix<T> x(n, 1), y(n, 1);
  Weights a(n), b(n);
  double all_a = 0, all_b = 0;
  for (Index i = 0; i < n; ++i) {
    const double z = 12.0 * i / (n - 1) - 6;
    x(i, 0) = static_cast<T>(z), y(i, 0) = static_cast<T>(z);
    all_a += a[i] = std::exp(-z * z / (2 * s * s));
    all_b += b[i] = std::exp(-z * z / (2 * t * t));
  }
  for (double& w : a) w /= all_a;
  for (double& w : b) w /= all_b;
  const Problem<T> p{.x = x.view(), .y = y.view(), .a = a, .b = b};
  const auto r = sinkhorn(p, {.epsilon = epsilon, .epsilon_unit = EpsilonUnit::cost, .tolerance = 1e-5});
  ASSERT_EQ(r.status, Status::converged);
  // The conditional precision of the plan's density exp(2 x y / epsilon) fixes its covariance c:
  // c / (s^2 t^2 - c^2) = 2 / epsilon.
  const double q = epsilon / 4, c = std::sqrt(s * s * t * t + q * q) - q;
  EXPECT_NEAR(r.cost, s * s + t * t - 2 * c, 2e-4);
}

// Random problems, nasty ones among them: the interval holds the exact optimum.
TYPED_TEST(Sinkhorn, CertificateBracketsTheOptimum) {
  using T = TypeParam;
  std::mt19937_64 random(11);
  for (int round = 0; round < 120; ++round) {
    const Index n = 1 + static_cast<Index>(random() % 24), d = 1 + static_cast<Index>(random() % 12);
    const double scale = std::pow(10.0, static_cast<double>(random() % 25) - 12), shift = (round % 3) * 10 * scale;
    Matrix<T> x = cloud<T>(n, d, random(), scale, shift), y = cloud<T>(n, d, random(), scale, -shift);
    if (round % 4 == 0) std::copy_n(x.data(), d, y.data());                         // a shared point
    if (round % 5 == 0 && n > 1) std::copy_n(x.data(), d, x.data() + (n - 1) * d);  // a double point
    const double relative = std::pow(10.0, -static_cast<double>(random() % 40) / 10);
    SCOPED_TRACE(concat("round ", round, ": n = ", n, ", d = ", d, ", scale ", scale, ", epsilon ", relative));
    const auto r = sinkhorn(x.view(), y.view(), {.epsilon = relative, .max_iterations = 200});
    const auto e = assign(x.view(), y.view());
    ASSERT_EQ(r.certificate.kind, Certificate::Kind::proven);
    EXPECT_LE(r.certificate.lower, e.certificate.upper);
    EXPECT_GE(r.certificate.upper, e.certificate.lower);
    EXPECT_LE(r.certificate.lower, r.certificate.upper);
  }
}

TYPED_TEST(Sinkhorn, SmallEpsilonClosesTheInterval) {
  using T = TypeParam;
  const Matrix<T> x = cloud<T>(60, 3, 21), y = cloud<T>(60, 3, 22);
  const auto r = sinkhorn(x.view(), y.view(), {.epsilon = 1e-4});
  ASSERT_EQ(r.status, Status::converged);
  EXPECT_LE(r.certificate.upper - r.certificate.lower, 0.02 * r.cost);
}

TYPED_TEST(Sinkhorn, PartialTransportMovesItsMassAndNoMore) {
  using T = TypeParam;
  const Index n = 50, m = 70;
  const Matrix<T> x = cloud<T>(n, 2, 31), y = cloud<T>(m, 2, 32, 1, 1);
  const Weights a = random_weights(n, 33, 2.0), b = random_weights(m, 34, 3.0);
  const Problem<T> p{.x = x.view(), .y = y.view(), .a = a, .b = b};
  const auto r = sinkhorn(p, {.epsilon = 0.05, .mass = 1.2});
  ASSERT_EQ(r.status, Status::converged);
  const Dense plan(p, r);
  EXPECT_NEAR(plan.mass, 1.2, 2e-3);
  for (Index i = 0; i < n; ++i) EXPECT_LE(plan.rows[i], a[i] + 2e-3);
  for (Index j = 0; j < m; ++j) EXPECT_LE(plan.cols[j], b[j] + 2e-3);
  EXPECT_EQ(r.certificate.kind, Certificate::Kind::proven);
  EXPECT_LE(r.certificate.lower, plan.transport);
  // Less mass than everything picks cheaper pairs.
  EXPECT_LT(plan.transport / plan.mass, sinkhorn(x.view(), y.view(), {.epsilon = 0.05}).cost);
}

// Between one point and one point the unbalanced optimum has a closed form: mass (ab)^(1/2) exp(-c / (2 tau)).
TEST(SinkhornUnbalanced, TwoPointsGiveTheClosedForm) {
  Matrix<double> x(1, 1), y(1, 1);
  x(0, 0) = 0, y(0, 0) = 1;
  const Weights a{2}, b{0.5};
  const double tau = 3, optimal_mass = std::exp(-1 / (2 * tau));
  const Problem<double> p{.x = x.view(), .y = y.view(), .a = a, .b = b};
  const auto r =
      sinkhorn(p, {.epsilon = 1e-3, .epsilon_unit = EpsilonUnit::cost, .tolerance = 1e-8, .tau_a = tau, .tau_b = tau});
  ASSERT_EQ(r.status, Status::converged);
  EXPECT_NEAR(r.mass, optimal_mass, 1e-3);
  const double value = tau * (2 + 0.5 - 2 * optimal_mass);  // what the optimum comes to
  EXPECT_LE(r.certificate.lower, value);
  EXPECT_GE(r.certificate.upper, value);
  EXPECT_NEAR(r.certificate.upper, r.certificate.lower, 1e-3);
}

TYPED_TEST(Sinkhorn, LargeTauIsBalancedAndSmallTauKeepsNothing) {
  using T = TypeParam;
  const Matrix<T> x = cloud<T>(40, 2, 41), y = cloud<T>(30, 2, 42, 1, 3);
  const auto balanced = sinkhorn(x.view(), y.view(), {.epsilon = 0.1});
  const auto stiff = sinkhorn(x.view(), y.view(), {.epsilon = 0.1, .tau_a = 1e5, .tau_b = 1e5});
  EXPECT_NEAR(stiff.cost, balanced.cost, 5e-3 * balanced.cost);
  const auto loose =
      sinkhorn(x.view(), y.view(), {.epsilon = 0.01, .epsilon_unit = EpsilonUnit::cost, .tau_a = 1e-2, .tau_b = 1e-2});
  EXPECT_LT(loose.mass, 1e-2);
  const auto half = sinkhorn(x.view(), y.view(), {.epsilon = 0.1, .tau_b = 1.0});
  const Dense plan(Problem<T>{.x = x.view(), .y = y.view()}, half);
  EXPECT_LE(Dense::distance(plan.rows, plan.a), 1e-5);  // the side without a price keeps its weights
  for (const auto* r : {&stiff, &loose, &half}) {
    EXPECT_EQ(r->certificate.kind, Certificate::Kind::proven);
    EXPECT_LE(r->certificate.lower, r->value * (1 + 1e-5));
    EXPECT_GE(r->certificate.upper, r->value * (1 - 1e-5));
  }
}

TYPED_TEST(Sinkhorn, ScalesFromTinyToHuge) {
  using T = TypeParam;
  const Matrix<T> x = cloud<T>(30, 3, 51), y = cloud<T>(30, 3, 52);
  const auto one = sinkhorn(x.view(), y.view(), {.epsilon = 0.05});
  for (const double scale : {1e-18, 1e-9, 1e9, 1e18}) {
    const Matrix<T> xs = cloud<T>(30, 3, 51, scale), ys = cloud<T>(30, 3, 52, scale);
    const auto r = sinkhorn(xs.view(), ys.view(), {.epsilon = 0.05});
    EXPECT_EQ(r.status, Status::converged);
    EXPECT_NEAR(r.cost / scale / scale, one.cost, 1e-3 * one.cost) << scale;
  }
}

TYPED_TEST(Sinkhorn, EdgesOfShape) {
  using T = TypeParam;
  const Matrix<T> one = cloud<T>(1, 2, 61), many = cloud<T>(2000, 2, 62), same = cloud<T>(5, 2, 61, 0, 3);
  const auto r = sinkhorn(one.view(), many.view());
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_NEAR(r.certificate.lower, r.certificate.upper, 1e-3 * r.cost);
  EXPECT_EQ(sinkhorn(many.view(), one.view()).status, Status::converged);
  const auto nothing = sinkhorn(same.view(), same.view());  // all points in one place
  EXPECT_EQ(nothing.cost, 0);
}

TYPED_TEST(Sinkhorn, SameBitsForAnyThreadsAndRuns) {
  using T = TypeParam;
  for (const Index d : {2, 40}) {
    const Matrix<T> x = cloud<T>(2500, d, 71), y = cloud<T>(2100, d, 72);
    const auto one = sinkhorn(x.view(), y.view(), {.context = {.threads = 1}});
    const auto two = sinkhorn(x.view(), y.view(), {.context = {.threads = 2}});
    EXPECT_EQ(one.f, two.f);
    EXPECT_EQ(one.g, two.g);
    EXPECT_EQ(one.certificate.lower, two.certificate.lower);
    EXPECT_EQ(one.certificate.upper, two.certificate.upper);
  }
}

TYPED_TEST(Sinkhorn, StoredAndRecomputedAgree) {
  using T = TypeParam;
  const Matrix<T> x = cloud<T>(700, 30, 81), y = cloud<T>(650, 30, 82);
  const auto stored = sinkhorn(x.view(), y.view(), {.storage = Storage::store});
  const auto made = sinkhorn(x.view(), y.view(), {.storage = Storage::recompute});
  EXPECT_NEAR(stored.cost, made.cost, 1e-3 * made.cost);
}

TYPED_TEST(Sinkhorn, DenseCostsOfAnySign) {
  using T = TypeParam;
  Matrix<T> cost = cloud<T>(30, 30, 91);
  const Problem<T> p{.cost_matrix = cost.view()};
  const auto r = sinkhorn(p, {.epsilon = 0.05, .epsilon_unit = EpsilonUnit::cost});
  const auto e = assign(MatrixView<const T>(cost.view()));
  ASSERT_EQ(r.status, Status::converged);
  EXPECT_LE(r.certificate.lower, e.cost);
  EXPECT_GE(r.certificate.upper, e.cost);
}

TYPED_TEST(Sinkhorn, WarmStartAndBatches) {
  using T = TypeParam;
  const Matrix<T> x = cloud<T>(300, 3, 101), y = cloud<T>(300, 3, 102);
  const auto cold = sinkhorn(x.view(), y.view(), {.epsilon = 0.02});
  const auto warm = sinkhorn(x.view(), y.view(), {.epsilon = 0.02, .start = cold.g});
  EXPECT_LT(warm.iterations, cold.iterations / 2);
  const std::vector<Problem<T>> problems(3, {.x = x.view(), .y = y.view()});
  for (const auto& r : sinkhorn(std::span<const Problem<T>>(problems), {.epsilon = 0.02})) EXPECT_EQ(r.g, cold.g);
}

TEST(SinkhornErrors, NameWhatIsWrong) {
  Matrix<float> x = cloud<float>(4, 2, 1), y = cloud<float>(5, 2, 2), z = cloud<float>(5, 3, 2);
  const auto message = [](const std::function<void()>& call) -> std::string {
    try {
      call();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  const Weights negative{0.5, 0.5, 0.5, -0.5}, four{1, 1, 1, 1};
  EXPECT_EQ(message([&] { sinkhorn(x.view(), z.view()); }), "sinkhorn: x has 2 dimensions, y has 3");
  EXPECT_EQ(message([&] { sinkhorn(Problem<float>{.x = x.view(), .y = y.view(), .a = negative}); }),
            "sinkhorn: a is negative (-0.5) at 3");
  EXPECT_NE(message([&] { sinkhorn(Problem<float>{.x = x.view(), .y = y.view(), .a = four}); }).find("equal sums"),
            std::string::npos);
  EXPECT_NE(message([&] { sinkhorn(x.view(), y.view(), {.epsilon = 0}); }).find("epsilon is 0"), std::string::npos);
  x(2, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(message([&] { sinkhorn(x.view(), y.view()); }), "sinkhorn: x is nan in row 2, column 1");
}

// Which type solves depends on epsilon against the costs, whatever the unit of either.
TEST(SinkhornPrecision, DependsOnEpsilonAgainstTheCosts) {
  for (const double scale : {1e-9, 1.0, 1e9}) {
    const Matrix<float> x = cloud<float>(60, 3, 1, scale), y = cloud<float>(70, 3, 2, scale);
    const double mean = sinkhorn(x.view(), y.view()).mean_cost;
    for (const double relative : {0.05, 1e-3}) {
      const SinkhornOptions units{.epsilon = relative * mean, .epsilon_unit = EpsilonUnit::cost, .max_iterations = 3};
      EXPECT_EQ(sinkhorn(x.view(), y.view(), units).in_double, relative < 2e-3) << scale;
      EXPECT_EQ(sinkhorn(x.view(), y.view(), {.epsilon = relative, .max_iterations = 3}).in_double, relative < 2e-3);
    }
  }
}

TEST(SinkhornStops, WhenTold) {
  const Matrix<float> x = cloud<float>(500, 3, 1), y = cloud<float>(500, 3, 2);
  int calls = 0;
  const auto stopped =
      sinkhorn(x.view(), y.view(), {.epsilon = 1e-3, .progress = [&](const SinkhornProgress&) { return ++calls < 4; }});
  EXPECT_EQ(stopped.status, Status::stopped_by_caller);
  EXPECT_EQ(calls, 4);
  // Stopped on its way from larger epsilons, it still reports on the plan of its own epsilon.
  const Dense plan(Problem<float>{.x = x.view(), .y = y.view()}, stopped);
  EXPECT_NEAR(stopped.cost, plan.transport, 1e-4 * stopped.cost);
  EXPECT_NEAR(stopped.marginal_error, Dense::distance(plan.cols, plan.b), 1e-3);
  const auto limited = sinkhorn(x.view(), y.view(), {.epsilon = 1e-3, .max_iterations = 3});
  EXPECT_EQ(limited.status, Status::iteration_limit);
  EXPECT_EQ(limited.certificate.kind, Certificate::Kind::proven);
  // Not done with a larger epsilon in time, but then with its own.
  const auto late =
      sinkhorn(x.view(), y.view(), {.epsilon = 0.05, .tolerance = 0.02, .max_iterations = 5, .memory = 0});
  EXPECT_EQ(late.status, late.marginal_error <= 0.02 ? Status::converged : Status::iteration_limit);
}

}  // namespace
}  // namespace monge::ot
