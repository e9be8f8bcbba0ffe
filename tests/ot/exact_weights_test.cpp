// What exact() chooses, weights of any scale, graphs, and costs that are not kept.
#include <functional>
#include <random>
#include <utility>

#include "exact_solvers.h"
#include "monge/ot/closed_form.h"
#include "monge/ot/exact.h"

namespace monge::ot {
namespace {

// Where there is a choice, it is as is_assignment() says; other problems, and malformed ones, are not assignments.
TEST(Exact, ChoosesAssignment) {
  std::mt19937_64 random(2);
  std::normal_distribution<double> normal;
  const auto cloud = [&](Index n) { return filled<double>(n, 3, [&] { return normal(random); }); };
  const Matrix<double> x = cloud(120), y = cloud(120), z = cloud(140);
  const Problem<double> square{.x = x.view(), .y = y.view()};
  EXPECT_TRUE(is_assignment(square));
  const ExactResult one_to_one = exact(square);
  EXPECT_EQ(one_to_one.columns.size(), 120u);
  EXPECT_EQ(one_to_one.cost, assign(x.view(), y.view()).cost);
  EXPECT_NEAR(network_simplex(square).cost, one_to_one.cost, 1e-14);

  std::vector<double> w(120, 1.0 / 120);
  w[3] *= 1.25, w[4] *= 0.75;
  const std::vector<std::int32_t> labels(120, 0);
  Problem<double> weighted = square, labelled = square, other = square;
  weighted.a = w;
  labelled.x_labels = labelled.y_labels = labels;
  other.cost = Cost::l1;
  for (const Problem<double>& p : {Problem<double>{.x = x.view(), .y = z.view()}, weighted, labelled, other}) {
    EXPECT_FALSE(is_assignment(p));
    const ExactResult r = exact(p);
    EXPECT_TRUE(r.columns.empty());
    EXPECT_EQ(r.cost, network_simplex(p).cost);
  }
  labelled.x_labels = {};
  expect_error([&] { exact(labelled); }, Errc::invalid_argument, "exact: labels are given for one side only");
}

// Weights that are all the same make assignments: what a row weighs is the unit of masses, exactly.
TEST(Exact, EqualWeightsAreUniform) {
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  constexpr Index n = 90;
  const auto value = [&] { return normal(random); };
  const Matrix<double> x = filled<double>(n, 3, value), y = filled<double>(n, 3, value),
                       cost = filled<double>(n, n, value);
  for (const Problem<double>& plain : {Problem<double>{.x = x.view(), .y = y.view()},
                                       Problem<double>{.x = x.view(), .y = y.view(), .cost = Cost::negative_dot},
                                       Problem<double>{.cost_matrix = cost.view()}}) {
    const ExactResult uniform = exact(plain);
    const Reals costs = true_costs(plain);
    for (const double each : {1.0 / n, 0.1, 3.0, 1e-200, 1e200}) {
      const std::vector<double> a(n, each), b(n, each * (1 + 9e-7));  // b counts as scaled
      Problem<double> p = plain;
      p.a = a, p.b = b;
      ASSERT_TRUE(is_assignment(p));
      const ExactResult r = exact(p);
      EXPECT_EQ(r.columns, uniform.columns);
      Real primal = 0, dual = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const auto j = static_cast<std::size_t>(r.columns[i]);
        EXPECT_EQ(r.plan.values[i], each);
        primal += each * costs[i * n + j], dual += each * (static_cast<Real>(r.f[i]) + r.g[j]);
      }
      const Real noise = 1e-13L * each * n;  // costs are a few units in size
      EXPECT_LE(std::abs(primal - dual), noise) << each;
      EXPECT_LE(std::abs(primal - r.cost), noise) << each;
      EXPECT_LE(r.certificate.lower, primal) << each;
      EXPECT_GE(r.certificate.upper, primal) << each;
      EXPECT_LE(r.certificate.upper - r.certificate.lower, noise) << each;
    }
    // One side only: the other sums to 1.
    const std::vector<double> one(n, 1.0 / n), two(n, 2.0 / n);
    Problem<double> p = plain;
    p.b = one;
    EXPECT_TRUE(is_assignment(p));
    EXPECT_EQ(exact(p).cost, uniform.cost);
    p.b = two;
    EXPECT_FALSE(is_assignment(p));
    expect_error([&] { exact(p); }, Errc::invalid_argument, "exact: a sums to 1 and b to 2");
  }
}

// Large enough for a start by Sinkhorn, whose epsilon no float could hold beside the largest costs.
TEST(Exact, FewCostsBeyondAllOthers) {
  std::mt19937_64 random(4);
  const Matrix<float> cost = filled<float>(
      200, 190, [&] { return random() % 20 == 0 ? 1e30 : 1e-30 * static_cast<double>(1 + random() % 9); });
  const ExactResult r = network_simplex(Problem<float>{.cost_matrix = cost.view()});
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_LE(r.cost, 9e-30);
  EXPECT_GE(r.certificate.lower, 0);
}

// Masses whose units no double could hold are as good as any.
TEST(Exact, WeightsOfAnyScale) {
  std::mt19937_64 random(5);
  const Matrix<double> cost = filled<double>(40, 50, [&] { return 1 + static_cast<double>(random() % 1000); });
  std::vector<double> a(40), b(50, 40.0 / 50);
  for (double& w : a) w = 1;
  const Problem<double> plain{.cost_matrix = cost.view(), .a = a, .b = b};
  const ExactResult r = exact(plain);
  for (const double scale : {1e-290, 1e-100, 1e100, 1e290}) {
    std::vector<double> sa(a), sb(b);
    for (double& w : sa) w *= scale;
    for (double& w : sb) w *= scale;
    const ExactResult scaled = exact({.cost_matrix = cost.view(), .a = sa, .b = sb});
    EXPECT_NEAR(scaled.cost / scale, r.cost, 1e-13 * r.cost) << scale;
    EXPECT_NEAR(scaled.certificate.lower / scale, r.cost, 1e-12 * r.cost) << scale;
    EXPECT_NEAR(scaled.certificate.upper / scale, r.cost, 1e-12 * r.cost) << scale;
  }
  for (double& w : a) w *= 1e306;
  for (double& w : b) w *= 1e306;
  expect_error([&] { exact(plain); }, Errc::invalid_argument, "exact: the cost overflows double");
}

// Sums of which bits are lost to underflow are refused; masses times costs may underflow, and the bounds know it.
TEST(Exact, WeightsAndCostsThatUnderflow) {
  std::mt19937_64 random(9);
  for (int k = 0; k < 20; ++k) {
    const Matrix<double> cost = filled<double>(9, 8, [&] { return 1e-140 * static_cast<double>(1 + random() % 1000); });
    std::vector<double> a(9), b(8, 0.0);
    for (double& w : a) w = 1e-183 * static_cast<double>(8 + random() % 100);
    for (std::size_t i = 0; i < a.size(); ++i) b[i % 8] += a[i];
    const ExactResult r = exact({.cost_matrix = cost.view(), .a = a, .b = b});
    Real primal = 0;
    for (Index i = 0; i < 9; ++i)
      for (auto e = r.plan.offsets[i]; e < r.plan.offsets[i + 1]; ++e)
        primal += static_cast<Real>(r.plan.values[e]) * cost(i, r.plan.columns[e]);
    EXPECT_LE(r.certificate.lower, primal);
    EXPECT_GE(r.certificate.upper, primal);
  }
  const Matrix<double> cost = filled<double>(4, 4, [&] { return static_cast<double>(random() % 10); });
  for (const double each : {5e-324, 2e-291}) {
    std::vector<double> a(4, each), b(4, each);
    const Problem<double> p{.cost_matrix = cost.view(), .a = a, .b = b};
    const std::string sum = concat("weights sum to ", 4 * each, ", less than 1e-290");
    expect_error([&] { exact(p); }, Errc::invalid_argument, "exact: " + sum);
    expect_error([&] { network_simplex(p); }, Errc::invalid_argument, "network_simplex: " + sum);
    a[0] *= 2, b[3] *= 2;
    expect_error([&] { exact(p); }, Errc::invalid_argument, "exact: weights sum to ");
  }
}

// A graph is a dense cost whose other pairs are forbidden, tall ones and weights too; a pair may be there twice.
TEST(Exact, GraphsTakeWeights) {
  constexpr Index n = 50, m = 30;
  std::mt19937_64 random(6);
  Matrix<double> cost = filled<double>(n, m, HUGE_VAL);
  std::vector<Index> offsets{0};
  std::vector<std::int32_t> columns;
  std::vector<double> costs, a(n, 0.0), b(m, 0.0);
  for (Index i = 0; i < n; ++i) {
    for (int k = 0; k < 6; ++k) {
      const auto j = static_cast<Index>(random() % m);
      columns.push_back(static_cast<std::int32_t>(j)), costs.push_back(static_cast<double>(random() % 50) - 10);
      cost(i, j) = std::min(cost(i, j), costs.back());
      const double mass = static_cast<double>(random() % 3);  // which shows that there is a plan
      a[static_cast<std::size_t>(i)] += mass, b[static_cast<std::size_t>(j)] += mass;
    }
    offsets.push_back(static_cast<Index>(columns.size()));
  }
  const SparseCost<double> graph{n, m, offsets, columns, costs};
  const ExactResult r = network_simplex(graph, a, b), dense = exact({.cost_matrix = cost.view(), .a = a, .b = b});
  EXPECT_EQ(r.cost, dense.cost);  // whole numbers
  EXPECT_NEAR(r.certificate.lower, dense.cost, 1e-10);
  EXPECT_NEAR(r.certificate.upper, dense.cost, 1e-10);

  const auto j = static_cast<std::size_t>(columns[0]);  // a column that gets more than its rows have
  for (std::size_t k = 0; k < b.size(); ++k) b[j] += k == j ? 0 : std::exchange(b[k], 0);
  expect_error([&] { network_simplex(graph, a, b); }, Errc::infeasible, "network_simplex: infeasible: ");
  costs[7] = std::numeric_limits<double>::quiet_NaN();
  expect_error([&] { network_simplex(graph, a, b); }, Errc::not_finite,
               concat("network_simplex: cost is nan in row 1, column ", columns[7]));
}

// A square graph of equal weights is assigned, others are not; each is what the dense cost says.
TEST(Exact, GraphsAreAssignedWhereTheyCanBe) {
  constexpr Index n = 60;
  std::mt19937_64 random(8);
  std::vector<Index> offsets{0};
  std::vector<std::int32_t> columns;
  std::vector<float> costs;
  Matrix<float> dense = filled<float>(n, n, HUGE_VAL);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < n; ++j) {
      if (i != j && random() % 8 > 0) continue;  // the diagonal is a plan
      columns.push_back(static_cast<std::int32_t>(j));
      costs.push_back(dense(i, j) = static_cast<float>(random() % 1000));
    }
    offsets.push_back(static_cast<Index>(columns.size()));
  }
  const SparseCost<float> graph{n, n, offsets, columns, costs};
  const ExactResult uniform = exact(graph), truth = network_simplex(Problem<float>{.cost_matrix = dense.view()});
  EXPECT_EQ(uniform.columns.size(), static_cast<std::size_t>(n));
  EXPECT_NEAR(uniform.cost, truth.cost, 1e-12);
  std::vector<double> a(n, 2.0), b(n, 2.0);
  const ExactResult twice = exact(graph, a, b);
  EXPECT_EQ(twice.columns, uniform.columns);
  EXPECT_NEAR(twice.cost, 2 * n * truth.cost, 1e-9);
  EXPECT_NEAR(twice.certificate.lower, 2 * n * truth.cost, 1e-9);
  EXPECT_NEAR(twice.certificate.upper, 2 * n * truth.cost, 1e-9);
  a[0] = b[0] = 3;  // along the diagonal
  const ExactResult weighted = exact(graph, a, b);
  EXPECT_TRUE(weighted.columns.empty());
  EXPECT_EQ(weighted.cost, network_simplex(graph, a, b).cost);
  a.pop_back();
  expect_error([&] { exact(graph, a, b); }, Errc::invalid_argument, "exact: a has 59 weights for 60 points");
  offsets[3] = -1;
  expect_error([&] { exact(graph); }, Errc::invalid_argument, "exact: offsets fall at row 2");
}

// What memory allows: nothing of n x m is kept, the answer is the same.
TEST(Exact, StoredScoresDoNotChangeTheOptimum) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  const Matrix<double> x = filled<double>(300, 20, [&] { return normal(random); }),
                       y = filled<double>(260, 20, [&] { return normal(random); });
  ExactOptions none;
  none.stored_bytes = 0;
  const Problem<double> p{.x = x.view(), .y = y.view()};
  EXPECT_NEAR(exact(p, none).cost, exact(p).cost, 1e-13);
}

// The plan in order is optimal, and its basis proven without a pivot: weights that end together, without mass, and
// points in one place included.
TEST(Exact, OnALineThePlanInOrderIsTheBest) {
  std::mt19937 random(5);
  for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::l1, Cost::negative_dot})
    for (const bool whole : {false, true}) {  // numbers
      SCOPED_TRACE(concat(to_string(cost), whole ? ", whole" : ""));
      constexpr Index n = 700, m = 900;
      std::vector<double> x, y, a, b;
      const auto draw = [&](Index count, std::vector<double>& points, std::vector<double>& weights) {
        for (Index i = 0; i < count; ++i) {
          const double at = std::normal_distribution<>(0, 20)(random);
          points.push_back(whole ? std::round(at) : at);
          weights.push_back(whole ? static_cast<double>(random() % 3) : std::uniform_real_distribution<>(0, 1)(random));
        }
      };
      draw(n, x, a), draw(m, y, b);
      double more = 0;
      for (const double w : a) more += w;
      for (const double w : b) more -= w;
      (more > 0 ? b : a).push_back(std::abs(more));
      (more > 0 ? y : x).push_back(3);
      const Problem<double> problem{.x = {x.data(), static_cast<Index>(x.size()), 1},
                                    .y = {y.data(), static_cast<Index>(y.size()), 1},
                                    .cost = cost,
                                    .a = a,
                                    .b = b};
      const ExactResult r = exact(problem);
      double truth = 0;
      if (cost == Cost::negative_dot) {  // (|x - y|^2 - x^2 - y^2) / 2
        truth = wasserstein_1d(x, y, {.p = 2}, a, b).cost;
        for (std::size_t i = 0; i < x.size(); ++i) truth -= a[i] * x[i] * x[i];
        for (std::size_t j = 0; j < y.size(); ++j) truth -= b[j] * y[j] * y[j];
        truth /= 2;
      } else {
        truth = wasserstein_1d(x, y, {.p = cost == Cost::squared_euclidean ? 2.0 : 1.0}, a, b).cost;
      }
      const double size = std::abs(truth) + 1;
      EXPECT_EQ(r.status, Status::converged);
      EXPECT_EQ(r.iterations, 0);
      EXPECT_NEAR(r.cost, truth, 1e-9 * size);
      EXPECT_LE(r.certificate.lower, truth + 1e-9 * size);
      EXPECT_LT(r.certificate.upper - r.certificate.lower, 1e-9 * size);
    }
}

}  // namespace
}  // namespace monge::ot
