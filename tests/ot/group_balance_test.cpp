#include "monge/ot/group_balance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "assignment_truth.h"
#include "monge/ot/point_groups.h"

namespace monge::ot::detail {
namespace {

// Rows in as many clusters as there are groups, each of which is `far` from all groups but its own.
struct Rows {
  Rows(Index n, Index groups, double far) : seen(n, groups), a(n), b(groups, 0.0) {
    std::mt19937_64 random(static_cast<std::uint64_t>(n));
    std::uniform_real_distribution<double> uniform;
    for (Index i = 0; i < n; ++i) {
      a[i] = 0.5 + uniform(random);
      for (Index g = 0; g < groups; ++g)
        seen(i, g) =
            static_cast<float>((g == i % groups ? 0.0 : -far) * (0.8 + 0.4 * uniform(random)) + uniform(random));
      b[i % groups] += a[i];
    }
    for (Index g = 0; g + 1 < groups; g += 2) {  // some have too many rows
      b[g] *= 0.95;
      b[g + 1] += b[g] / 0.95 * 0.05;
    }
  }

  // By the formula: how much of the mass is out of place.
  double out_of_place(double epsilon, const std::vector<double>& z) const {
    std::vector<double> mass(b.size(), 0.0);
    double off = 0, total = 0;
    for (Index i = 0; i < seen.rows(); ++i) {
      std::vector<double> score(b.size());
      for (std::size_t g = 0; g < b.size(); ++g)
        score[g] = (static_cast<double>(seen(i, static_cast<Index>(g))) + z[g]) / epsilon;
      const double most = *std::max_element(score.begin(), score.end());
      double sum = 0;
      for (const double s : score) sum += std::exp(s - most);
      for (std::size_t g = 0; g < b.size(); ++g) mass[g] += a[i] * std::exp(score[g] - most) / sum;
    }
    for (std::size_t g = 0; g < b.size(); ++g) off += std::abs(mass[g] - b[g]), total += b[g];
    return off / total;
  }

  Matrix<float> seen;
  std::vector<double> a, b;
};

TEST(GroupBalance, FillsGroupsHoweverFarTheyLie) {
  for (const auto& [n, groups] : {std::pair<Index, Index>{40, 2}, {3000, 16}, {5000, 61}})
    for (const double far : {0.0, 1.0, 5.0, 60.0}) {
      const Rows rows(n, groups, far);
      const auto z = balance_groups(rows.seen.view(), rows.a, rows.b, 1.0, {.threads = 2});
      EXPECT_LT(rows.out_of_place(1.0, z), 2e-4) << n << " " << groups << " " << far;
      EXPECT_GT(rows.out_of_place(1.0, std::vector<double>(rows.b.size(), 0.0)), 5e-3);
      EXPECT_EQ(balance_groups(rows.seen.view(), rows.a, rows.b, 1.0, {.threads = 1}), z);
    }
}

TEST(PointGroups, HoldEachPointOnceAndNoTwoClusters) {
  constexpr Index n = 3000, d = 12;
  const auto centres = exact_test::gaussian<float>(16, d, 7, 3);
  const auto points = exact_test::clustered<float>(n, d, 1, 7, 0.1);
  const auto cluster_of = [&](Index i) {
    Index nearest = 0;
    for (Index c = 1; c < 16; ++c)
      if (exact_test::naive_distance(points.view(), i, centres.view(), c) <
          exact_test::naive_distance(points.view(), i, centres.view(), nearest))
        nearest = c;
    return nearest;
  };
  const PointGroups groups = group_points(points.view(), 64, {.threads = 2});
  EXPECT_GT(groups.count(), 32);
  EXPECT_LE(groups.count(), 64);
  std::vector<bool> held(n, false);
  for (Index g = 0; g < groups.count(); ++g) {
    EXPECT_GT(groups.size(g), 0);
    for (Index p = groups.first[g]; p < groups.first[g + 1]; ++p) {
      EXPECT_FALSE(held[groups.order[p]]);
      held[groups.order[p]] = true;
      EXPECT_EQ(cluster_of(groups.order[p]), cluster_of(groups.order[groups.first[g]]));
    }
  }
  EXPECT_EQ(std::count(held.begin(), held.end(), true), n);
  EXPECT_EQ(group_points(points.view(), 64, {.threads = 1}).order, groups.order);
}

// As many groups as there are different points, at most.
TEST(PointGroups, OfEqualPoints) {
  Matrix<float> points(100, 5);
  for (Index i = 0; i < 100; ++i)
    for (Index k = 0; k < 5; ++k) points(i, k) = static_cast<float>(i % 2);
  EXPECT_EQ(group_points(points.view(), 64, {}).count(), 2);
  EXPECT_EQ(group_points(std::as_const(points).view().rows_from(0, 1), 64, {}).count(), 1);
}

}  // namespace
}  // namespace monge::ot::detail
