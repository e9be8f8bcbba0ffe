#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "assignment_truth.h"
#include "monge/ot/assignment.h"

// Every exact solver by name, on the same problems, and the paths that only large problems take.
namespace monge::ot {
namespace {

using namespace exact_test;

// Trees for few dimensions, products for many; Gaussian, clustered and heavy-tailed, square and not.
TEST(AssignmentSolvers, AgreeBetweenClouds) {
  struct Case {
    Index n, m, d;
    const char* kind;
  };
  for (const Case& c : {Case{1700, 1700, 1, "gaussian"},
                        {1600, 1600, 2, "clusters"},
                        {1601, 1601, 3, "gaussian"},
                        {1600, 1600, 2, "cauchy"},
                        {1550, 1800, 2, "gaussian"},
                        {700, 700, 10, "clusters"},
                        {700, 700, 5, "cauchy"},
                        {400, 600, 30, "gaussian"}}) {
    auto x = gaussian<float>(c.n, c.d, 1), y = gaussian<float>(c.m, c.d, 2, 0.5, 1);
    std::mt19937_64 random(3);
    std::cauchy_distribution<float> cauchy;
    const std::string kind = c.kind;
    if (kind == "clusters") {
      const auto centres = gaussian<float>(7, c.d, 4, 3);
      for (Index i = 0; i < c.m; ++i)
        for (Index k = 0; k < c.d; ++k)
          y.values[i * c.d + k] = 0.1f * y.values[i * c.d + k] + centres.values[i % 7 * c.d + k];
    } else if (kind == "cauchy") {
      for (float& v : x.values) v = cauchy(random);
      for (float& v : y.values) v = cauchy(random);
    }
    SCOPED_TRACE(concat(kind, " ", c.n, " x ", c.m, ", d = ", c.d));
    const AssignmentResult best = assign(x.view(), y.view());
    expect_sound(best, x.view(), y.view());
    if (c.n > 1000 && c.d != 3) continue;  // which the others take seconds for; the certificate has said it all
    EXPECT_NEAR(hungarian(x.view(), y.view()).cost, best.cost, 1e-11 * best.cost);
    const AssignmentResult bids = auction(x.view(), y.view());
    EXPECT_NEAR(bids.cost, best.cost, 1e-11 * best.cost);
    EXPECT_EQ(bids.status, Status::converged);
    EXPECT_LE(bids.certificate.upper - bids.certificate.lower, 1e-9 * best.cost);
  }
}

// What is not kept is made again: the same optimum, to the last pair.
TEST(AssignmentSolvers, WithoutStoredScores) {
  const auto x = gaussian<float>(6000, 20, 12), y = gaussian<float>(6000, 20, 13, 3);
  AssignmentOptions options;
  options.stored_bytes = 0;
  const AssignmentResult r = assign(x.view(), y.view(), options);
  EXPECT_LE(r.certificate.upper - r.certificate.lower, 1e-9 * r.cost);
  EXPECT_EQ(r.columns, assign(x.view(), y.view()).columns);
}

// The time is over before there are any lists, or soon after.
TEST(AssignmentSolvers, StopsInsidePasses) {
  for (const Index d : {2, 40}) {
    const Index n = 3000;
    const auto x = gaussian<float>(n, d, 14), y = gaussian<float>(n, d, 15, 2, 1);
    const double optimum = assign(x.view(), y.view()).cost;
    std::vector<float> cost(n * n);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j) {
        float sum = 0;
        for (Index k = 0; k < d; ++k)
          sum += (x.values[i * d + k] - y.values[j * d + k]) * (x.values[i * d + k] - y.values[j * d + k]);
        cost[i * n + j] = sum;
      }
    const MatrixView<const float> matrix(cost.data(), n, n);
    for (const double seconds : {0.0, 1e-3, 1e-2}) {
      AssignmentOptions options;
      options.max_seconds = seconds;
      for (AssignmentResult r : {assign(x.view(), y.view(), options), assign(matrix, options)}) {
        EXPECT_EQ(r.status, Status::time_limit);
        EXPECT_EQ(r.certificate.kind, Certificate::Kind::proven);
        EXPECT_LE(r.certificate.lower, optimum * (1 + 1e-5));
        EXPECT_GE(r.certificate.upper, optimum * (1 - 1e-5));
        std::sort(r.columns.begin(), r.columns.end());
        for (Index i = 0; i < n; ++i) ASSERT_EQ(r.columns[i], i);
      }
    }
  }
}

// Points of which many coincide or lie on a lattice, where trees are used.
TEST(AssignmentSolvers, TiesInTrees) {
  const Index n = 1600;
  std::mt19937_64 random(5);
  for (const int values : {1, 2, 30}) {
    Cloud<float> x{std::vector<float>(n * 2), n, 2}, y = x;
    for (float& v : x.values) v = static_cast<float>(random() % values);
    for (float& v : y.values) v = static_cast<float>(random() % values);
    const AssignmentResult r = assign(x.view(), y.view()), other = hungarian(x.view(), y.view());
    EXPECT_EQ(r.status, Status::converged);
    EXPECT_NEAR(r.cost, other.cost, 1e-12);
    EXPECT_LE(r.certificate.lower, r.cost);
    EXPECT_LE(r.certificate.upper - r.certificate.lower, 1e-11);
  }
}

// Where most rows' best columns are the same few, lists and trees are given up for the matrix.
TEST(AssignmentSolvers, HeavyTails) {
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  const auto filled = [&](Index n, Index d, const std::function<double()>& value) {
    Cloud<double> c{std::vector<double>(n * d), n, d};
    for (double& v : c.values) v = value();
    return c;
  };
  const auto pareto = [&] { return std::pow(uniform(random), -2.0); };
  const auto tails = [&] { return std::exp(8 * normal(random)); };
  const std::pair<Cloud<double>, Cloud<double>> cases[] = {
      {gaussian<double>(560, 60, 1), filled(560, 60, pareto)},
      {filled(800, 2, tails), filled(800, 2, tails)},
      {filled(1600, 2, tails), filled(1600, 2, tails)},
  };
  for (const auto& [x, y] : cases) {
    const AssignmentResult r = assign(x.view(), y.view());
    ASSERT_EQ(r.status, Status::converged);
    EXPECT_NEAR(r.cost, hungarian(x.view(), y.view()).cost, 1e-12 * r.cost);
    EXPECT_LE(r.certificate.upper - r.certificate.lower, 1e-9 * r.certificate.upper);
    std::vector<std::int32_t> columns = r.columns;
    std::sort(columns.begin(), columns.end());
    for (std::size_t i = 0; i < columns.size(); ++i) ASSERT_EQ(columns[i], static_cast<std::int32_t>(i));
  }
  AssignmentOptions no_matrix;  // lists go on to the end
  no_matrix.stored_bytes = 0;
  const auto& [x, y] = cases[0];
  const double cost = assign(x.view(), y.view()).cost;
  EXPECT_NEAR(assign(x.view(), y.view(), no_matrix).cost, cost, 1e-12 * cost);
}

TEST(AssignmentSolvers, SameBitsAtAnyThreadCount) {
  AssignmentOptions one, two;
  one.context.threads = 1;
  two.context.threads = 2;
  for (const Index d : {2, 20}) {
    const auto x = gaussian<double>(2000, d, 6), y = gaussian<double>(2000, d, 7, 2);
    const AssignmentResult a = assign(x.view(), y.view(), one), b = assign(x.view(), y.view(), two);
    EXPECT_EQ(a.columns, b.columns);
    EXPECT_EQ(a.f, b.f);
    EXPECT_EQ(a.g, b.g);
    EXPECT_EQ(a.certificate.lower, b.certificate.lower);
    EXPECT_EQ(a.certificate.upper, b.certificate.upper);
  }
  const auto cost = gaussian<double>(500, 500, 8);
  EXPECT_EQ(assign(cost.view(), one).f, assign(cost.view(), two).f);
}

// A graph says what a matrix with forbidden pairs says.
TEST(AssignmentSolvers, SparseGraphs) {
  std::mt19937_64 random(9);
  Index feasible = 0, infeasible = 0;
  for (int trial = 0; trial < 400; ++trial) {
    const Index n = 1 + static_cast<Index>(random() % 40), m = n + static_cast<Index>(random() % 4);
    std::vector<double> cost(n * m, kInfinity), costs;
    std::vector<Index> offsets{0};
    std::vector<std::int32_t> columns;
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < m; ++j) {
        if (random() % static_cast<std::uint64_t>(m) > 3) continue;
        cost[i * m + j] =
            trial % 2 ? 1.0 + static_cast<double>(random() % 3) : std::ldexp(static_cast<double>(random()), -60);
        columns.push_back(static_cast<std::int32_t>(j));
        costs.push_back(cost[i * m + j]);
      }
      offsets.push_back(static_cast<Index>(columns.size()));
    }
    const SparseCost<double> graph{n, m, offsets, columns, costs};
    const MatrixView<const double> matrix(cost.data(), n, m);
    bool possible = true;
    AssignmentResult dense;
    try {
      dense = hungarian(matrix);
    } catch (const Error& e) {
      possible = e.code() != Errc::infeasible;
    }
    if (possible) {
      ++feasible;
      const AssignmentResult r = assign(graph);
      EXPECT_NEAR(r.cost, dense.cost, 1e-13);
      expect_sound(r, n, m, [&](Index i, Index j) { return cost[i * m + j]; });
    } else {
      ++infeasible;
      EXPECT_EQ(code_of([&] { assign(graph); }), Errc::infeasible);
      EXPECT_EQ(code_of([&] { auction(matrix); }), Errc::infeasible);
    }
  }
  EXPECT_GT(feasible, 50);
  EXPECT_GT(infeasible, 50);
}

TEST(AssignmentSolvers, SparseGraphsAreChecked) {
  std::vector<Index> offsets{0, 1, 2};
  std::vector<std::int32_t> columns{0, 1};
  std::vector<float> costs{1, 2};
  const auto code = [&](Index rows, Index cols) {
    return code_of([&] { assign(SparseCost<float>{rows, cols, offsets, columns, costs}); });
  };
  EXPECT_EQ(assign(SparseCost<float>{2, 2, offsets, columns, costs}).cost, 1.5);
  EXPECT_EQ(code(2, 1), Errc::invalid_argument);
  EXPECT_EQ(code(3, 3), Errc::invalid_argument);
  columns[1] = 2;
  EXPECT_EQ(code(2, 2), Errc::invalid_argument);
  columns[1] = 0;
  EXPECT_EQ(code(2, 2), Errc::infeasible);
  columns[1] = 1;
  costs[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code(2, 2), Errc::not_finite);
  costs[1] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(code(2, 2), Errc::infeasible);
  costs[1] = 1;
  offsets = {0, 3, 2};
  EXPECT_EQ(code(2, 2), Errc::invalid_argument);
}

TEST(AssignmentSolvers, Batches) {
  const Index n = 64, problems = 9, d = 5;
  const auto x = gaussian<float>(n * problems, d, 10), y = gaussian<float>(n * problems, d, 11);
  AssignmentOptions options;
  options.context.threads = 2;
  Index told = 0;
  options.progress = [&](const AssignmentProgress& p) {
    EXPECT_EQ(p.rows, n * problems);
    told = std::max(told, p.assigned);
    return true;
  };
  const auto results = assign_batch(x.view(), y.view(), n, options);
  EXPECT_EQ(told, n * problems);
  ASSERT_EQ(static_cast<Index>(results.size()), problems);
  for (Index b = 0; b < problems; ++b) {
    const AssignmentResult r = assign(x.view().rows_from(b * n, n), y.view().rows_from(b * n, n));
    EXPECT_EQ(results[b].columns, r.columns);
    EXPECT_EQ(results[b].cost, r.cost);
    EXPECT_EQ(results[b].certificate.lower, r.certificate.lower);
  }
  EXPECT_EQ(code_of([&] { assign_batch(x.view(), y.view(), 65); }), Errc::invalid_argument);
  EXPECT_EQ(code_of([&] { assign_batch(x.view(), y.view(), 0); }), Errc::invalid_argument);
  options.progress = [](const AssignmentProgress&) { return false; };
  const auto stopped = assign_batch(x.view(), y.view(), n, options);
  EXPECT_EQ(stopped.back().status, Status::stopped_by_caller);
  EXPECT_LE(stopped.back().certificate.lower, results.back().cost);
  EXPECT_GE(stopped.back().certificate.upper, results.back().cost);
}

}  // namespace
}  // namespace monge::ot
