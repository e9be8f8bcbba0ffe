#include "monge/ot/assignment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "assignment_truth.h"

namespace monge::ot {
namespace {

using namespace exact_test;

// Beasley's OR-Library, assignment problems.
TEST(Assignment, OrLibrary) {
  const std::filesystem::path folder = MONGE_TEST_FILES;
  for (const auto& [n, optimum] : {std::pair{100, 305}, {200, 475}, {300, 626}, {400, 804}}) {
    std::ifstream in(folder / ("assign" + std::to_string(n) + ".txt"));
    Index size = 0;
    in >> size;
    ASSERT_EQ(size, n);
    std::vector<double> cost(size * size);
    for (double& c : cost) in >> c;
    ASSERT_TRUE(in.good() || in.eof());
    const AssignmentResult r = assign(MatrixView<const double>(cost.data(), size, size));
    EXPECT_NEAR(r.cost * n, optimum, 1e-9);
    expect_sound(r, size, size, [&](Index i, Index j) { return cost[i * size + j]; });
    const std::vector<float> small(cost.begin(), cost.end());
    EXPECT_NEAR(assign(MatrixView<const float>(small.data(), size, size)).cost * n, optimum, 1e-9);
  }
}

TEST(Assignment, BruteForceOnMatrices) {
  std::mt19937_64 random(7);
  for (Index n = 1; n <= 6; ++n)
    for (Index m = n; m <= 8; ++m)
      for (int integers = 0; integers < 2; ++integers) {
        std::vector<double> cost(n * m);
        for (double& c : cost)  // negative ones too; integers of few values for ties
          c = integers ? static_cast<double>(random() % 4) : std::uniform_real_distribution<double>(-1, 1)(random);
        const AssignmentResult r = assign(MatrixView<const double>(cost.data(), n, m));
        EXPECT_NEAR(r.cost, brute_force(cost, n, m), 1e-14) << n << " x " << m;
        EXPECT_LE(r.certificate.lower, brute_force(cost, n, m));
        EXPECT_GE(r.certificate.upper, brute_force(cost, n, m));
      }
}

TEST(Assignment, BruteForceOnClouds) {
  for (const Index d : {1, 2, 3, 20})
    for (Index n = 1; n <= 8; n += d == 1 ? 1 : 2)
      for (Index m = n; m <= std::min<Index>(8, n + 2); ++m) {
        const auto x = gaussian<double>(n, d, 10 * n + d), y = gaussian<double>(m, d, 100 + 10 * m + d, 2, 0.5);
        const AssignmentResult r = assign(x.view(), y.view());
        const double optimum = brute_force(naive_matrix(x.view(), y.view()), n, m);
        EXPECT_NEAR(r.cost, optimum, 1e-13 * optimum) << n << " x " << m << ", d = " << d;
        EXPECT_LE(r.certificate.lower, optimum * (1 + 1e-15));
        EXPECT_GE(r.certificate.upper, optimum * (1 - 1e-15));
      }
}

// On a line the sorted coupling is optimal; 8500 points start from steps of Newton's.
TEST(Assignment, SortedOnALine) {
  for (const Index n : {700, 8500}) {
    auto x = gaussian<float>(n, 1, 1), y = gaussian<float>(n, 1, 2, 3, 1);
    const AssignmentResult r = assign(x.view(), y.view());
    expect_sound(r, x.view(), y.view());
    std::sort(x.values.begin(), x.values.end());
    std::sort(y.values.begin(), y.values.end());
    long double sum = 0;
    for (Index i = 0; i < n; ++i) sum += naive_distance(x.view(), i, y.view(), i);
    EXPECT_NEAR(r.cost, static_cast<double>(sum / n), 1e-12 * r.cost);
  }
}

// Clusters with a few rows more than columns, or fewer: whole ones have to move before these find each other.
TEST(Assignment, ClustersOfUnequalNumbers) {
  for (const auto& [n, m, d] : {std::tuple<Index, Index, Index>{1600, 1600, 1},
                                {1600, 1600, 2},
                                {1600, 1600, 3},
                                {1500, 1800, 2},
                                {8100, 8100, 2},
                                {4001, 4001, 4},
                                {1600, 1600, 5},
                                {1600, 1600, 20},
                                {8500, 8500, 12}})
    for (const unsigned places : {7u, 8u}) {  // the same centres, and others
      const auto x = clustered<float>(n, d, 1, 7, 0.1), y = clustered<float>(m, d, 3, places, 0.05);
      AssignmentOptions one, two;
      one.context.threads = 1;
      two.context.threads = 2;
      const AssignmentResult r = assign(x.view(), y.view(), two);
      EXPECT_EQ(r.status, Status::converged);
      EXPECT_GE(r.cost, r.certificate.lower);
      EXPECT_LE(r.certificate.upper - r.certificate.lower, 1e-9 * r.cost) << n << " " << m << " " << d;
      const AssignmentResult alone = assign(x.view(), y.view(), one);
      EXPECT_EQ(alone.columns, r.columns);
      EXPECT_EQ(alone.f, r.f);
      EXPECT_EQ(alone.g, r.g);
      if (n > 4000) continue;
      EXPECT_NEAR(hungarian(x.view(), y.view(), two).cost, r.cost, 1e-11 * r.cost) << n << " " << m << " " << d;
    }
}

// The same of costs that come as a matrix, with pairs that are forbidden and without.
TEST(Assignment, MatricesBetweenClustersOfUnequalNumbers) {
  constexpr Index n = 900;
  for (const Index d : {3, 24})
    for (const bool forbidden : {false, true}) {
      const auto x = clustered<float>(n, d, 1, 7, 0.1), y = clustered<float>(n, d, 3, 7, 0.05);
      std::vector<double> cost = naive_matrix(x.view(), y.view());
      for (Index i = 0; i < n && forbidden; ++i)
        for (Index j = 0; j < n; ++j)
          if (i != j && (i * 31 + j * 17) % 5 == 0) cost[i * n + j] = kInfinity;
      const MatrixView<const double> view(cost.data(), n, n);
      AssignmentOptions one, two;
      one.context.threads = 1;
      two.context.threads = 2;
      const AssignmentResult r = assign(view, two);
      EXPECT_EQ(r.status, Status::converged);
      EXPECT_LE(r.certificate.upper - r.certificate.lower, 1e-9 * r.cost);
      EXPECT_NEAR(hungarian(view, two).cost, r.cost, 1e-11 * r.cost) << d << " " << forbidden;
      EXPECT_EQ(assign(view, one).columns, r.columns);
    }
}

// As many points as start from steps of Newton's.
TEST(Assignment, ManyClusteredPoints) {
  for (const auto& [n, d] : {std::pair<Index, Index>{8500, 2}, {20001, 3}}) {
    const auto x = gaussian<float>(n, d, 3), y = clustered<float>(n, d, 5, 4, 0.3);
    AssignmentOptions one, two;
    one.context.threads = 1;
    two.context.threads = 2;
    const AssignmentResult r = assign(x.view(), y.view(), two);
    std::vector<bool> taken(n, false);
    for (const Index j : r.columns) EXPECT_FALSE(taken[j]), taken[j] = true;
    EXPECT_EQ(r.status, Status::converged);
    EXPECT_GE(r.cost, r.certificate.lower);
    EXPECT_LE(r.certificate.upper - r.certificate.lower, 1e-9 * r.cost);
    if (d == 2) {
      EXPECT_EQ(assign(x.view(), y.view(), one).columns, r.columns);
    }
  }
}

// A shifted, shuffled copy goes back to where it came from, also when the shift dwarfs the cloud.
TEST(Assignment, TranslatedCopy) {
  const Index n = 300, d = 5;
  const auto x = gaussian<double>(n, d, 3);
  std::vector<Index> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(4));
  for (const double shift : {0.0, 1.0, 1e6}) {
    Cloud<double> y{std::vector<double>(n * d), n, d};
    for (Index i = 0; i < n; ++i)
      for (Index k = 0; k < d; ++k) y.values[order[i] * d + k] = x.values[i * d + k] + shift;
    const AssignmentResult r = assign(x.view(), y.view());
    for (Index i = 0; i < n; ++i) ASSERT_EQ(r.columns[i], order[i]) << "shift " << shift;
    EXPECT_NEAR(r.cost, d * shift * shift, 1e-9 * d * shift * shift);
    EXPECT_LE(r.certificate.lower, r.cost);
    EXPECT_LE(r.certificate.upper - r.certificate.lower, 1e-9 * r.cost + 1e-300);
  }
}

TEST(Assignment, CloudsOfManyShapes) {
  for (const auto& [n, m, d] : {std::tuple<Index, Index, Index>{1, 1, 3},
                                {1, 50, 2},
                                {257, 257, 2},
                                {300, 300, 64},
                                {130, 517, 3},
                                {511, 513, 30},
                                {600, 600, 3}}) {
    const auto x = gaussian<float>(n, d, 5), y = gaussian<float>(m, d, 6, 0.5, 2);
    const AssignmentResult r = assign(x.view(), y.view());
    expect_sound(r, x.view(), y.view());
    // The dense solver on a matrix made by other means agrees.
    const std::vector<double> cost = naive_matrix(x.view(), y.view());
    const AssignmentResult dense = assign(MatrixView<const double>(cost.data(), n, m));
    EXPECT_NEAR(r.cost, dense.cost, 1e-10 * dense.cost) << n << " x " << m << ", d = " << d;
  }
}

TEST(Assignment, FloatAndDoubleAgree) {
  const auto x = gaussian<float>(200, 10, 8), y = gaussian<float>(250, 10, 9);
  const Cloud<double> x2{{x.values.begin(), x.values.end()}, x.rows, x.cols};
  const Cloud<double> y2{{y.values.begin(), y.values.end()}, y.rows, y.cols};
  const AssignmentResult a = assign(x.view(), y.view()), b = assign(x2.view(), y2.view());
  EXPECT_EQ(a.columns, b.columns);
  EXPECT_EQ(a.cost, b.cost);
  EXPECT_EQ(a.certificate.lower, b.certificate.lower);
}

TEST(Assignment, RespectsTheStride) {
  const auto wide = gaussian<float>(40, 9, 10);
  const MatrixView<const float> x(wide.values.data(), 40, 4, 9), y(wide.values.data() + 4, 40, 5 - 1, 9);
  expect_sound(assign(x, y), x, y);
}

}  // namespace
}  // namespace monge::ot
