#include "monge/ot/shortlists.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <utility>

#include "assignment_truth.h"
#include "monge/ot/cloud_pairs.h"
#include "monge/ot/largest_scores.h"
#include "monge/ot/point_groups.h"

namespace monge::ot {
namespace {

using namespace exact_test;

template <class T>
class LargestScoresTest : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(LargestScoresTest, Scalars);

// Against a sort, at sizes around vectors and groups; few values, so that most scores tie.
TYPED_TEST(LargestScoresTest, SameAsASort) {
  using T = TypeParam;
  std::mt19937_64 random(1);
  detail::LargestScores<T> largest;
  for (const Index m : {1, 2, 15, 16, 17, 100, 1000, 5003})
    for (const Index k : {1, 2, 7, 16, 40})
      for (const int values : {2, 50, 1 << 20}) {
        if (k > m) continue;
        std::vector<T> s(m), w(m);
        for (T& v : s) v = static_cast<T>(random() % values) / 8;
        for (T& v : w) v = static_cast<T>(random() % values) / 4;
        if (m > 20) w[random() % m] = -std::numeric_limits<T>::infinity();
        const Index first = static_cast<Index>(random() % m);
        std::vector<std::pair<T, Index>> all;  // score, and how far the column lies behind `first`
        for (Index j = 0; j < m; ++j) all.emplace_back(-(w[j] - s[j]), (j - first + m) % m);
        std::sort(all.begin(), all.end());
        const auto found = largest.find(s.data(), T(-1), w.data(), m, k, first);
        ASSERT_EQ(static_cast<Index>(found.size()), k);
        for (Index p = 0; p < k; ++p) {
          EXPECT_EQ(found[p].score, -all[p].first) << m << " " << k << " " << p;
          EXPECT_EQ(found[p].column, (all[p].second + first) % m) << m << " " << k << " " << p;
        }
      }
}

// What a list says of the pairs outside it holds in long double, also where points lie far out, and it does not say
// much less than the truth.
TEST(Shortlists, BoundsTheRest) {
  for (const bool heavy : {false, true})
    for (const Index d : {3, 64, 300}) {
      const Index n = 300;
      auto x = gaussian<double>(n, d, 1), y = gaussian<double>(n, d, 2, 0.3);
      if (heavy) {
        std::mt19937_64 random(3);
        std::cauchy_distribution<double> cauchy;
        for (double& v : x.values) v = cauchy(random);
        for (double& v : y.values) v = cauchy(random);
      }
      const auto clouds = detail::centred_clouds(x.view(), y.view(), {});
      detail::CloudPairs pairs(clouds, 1e9, {});
      const std::vector<double> v = pairs.start();
      const detail::Shortlists lists = pairs.shortlists(16, v);
      std::vector<detail::Pair> again;
      for (Index i = 0; i < n; ++i) {
        ASSERT_EQ(lists[i].count, 16);
        std::set<Index> listed;
        double worst = -kInfinity;
        const auto exact = [&](Index j) { return naive_distance(clouds.x.view(), i, clouds.y.view(), j); };
        for (const detail::Pair& pair : lists[i]) {
          listed.insert(pair.column);
          EXPECT_NEAR(pair.cost, static_cast<double>(exact(pair.column)), 1e-13 * pair.cost);
          worst = std::max(worst, pair.cost - v[pair.column]);
        }
        EXPECT_EQ(listed.size(), 16u);
        for (Index j = 0; j < n; ++j) {
          if (!listed.count(j)) {
            EXPECT_LE(lists[i].rest, exact(j) - v[j]) << i << " " << j;
          }
        }
        EXPECT_GE(lists[i].rest, worst - 1e-4 * (1 + d) * (clouds.x_squares[i] + 1));
        if (i % 50 == 0) {  // asked again, with more room
          EXPECT_GE(pairs.shortlist(i, 40, v, again), lists[i].rest);
          EXPECT_EQ(again.size(), 40u);
          EXPECT_EQ(pairs.shortlist(i, n, v, again), kInfinity);
        }
      }
    }
}

// Columns in groups, whose potentials fall by and by: a row that is looked at again lists the best of all columns, and
// a bound on the others, from a few groups or (clouds in one place) from all columns.
TEST(Shortlists, OfRowsThatLookAtGroups) {
  constexpr Index n = 600, d = 10, k = 150;
  for (const double deviation : {0.1, 5.0}) {
    const auto x = clustered<double>(n, d, 1, 7, deviation), y = clustered<double>(n, d, 3, 7, deviation);
    auto clouds = detail::centred_clouds(x.view(), y.view(), {});
    Matrix<float> points(n, d);
    for (Index j = 0; j < n; ++j) std::copy_n(clouds.y.view().row(j), d, points.view().row(j));
    const auto groups = detail::group_points(points.view(), 32, {});
    ASSERT_GT(groups.count(), 16);
    Matrix<double> sorted(n, d);
    std::vector<double> squares(n);
    for (Index j = 0; j < n; ++j) {
      std::copy_n(clouds.y.view().row(groups.order[j]), d, sorted.view().row(j));
      squares[j] = clouds.y_squares[groups.order[j]];
    }
    clouds.y = std::move(sorted);
    clouds.y_squares = squares;
    const auto xs = std::as_const(clouds.x).view(), ys = std::as_const(clouds.y).view();
    detail::CloudPairs pairs(clouds, 0, {}, groups.first);
    std::vector<double> v(n, 0.0);
    pairs.shortlists(16, v);
    std::mt19937_64 random(5);
    std::vector<detail::Pair> again;
    for (int round = 0; round < 5; ++round) {
      const auto fallen = static_cast<std::size_t>(random() % static_cast<std::uint64_t>(groups.count()));
      for (Index j = groups.first[fallen]; j < n; ++j) v[j] -= 0.02 * static_cast<double>(1 + random() % 8);
      for (Index i = round; i < n; i += 7) {
        const double rest = pairs.shortlist(i, k, v, again);
        ASSERT_EQ(static_cast<Index>(again.size()), k);
        std::vector<double> all;
        for (Index j = 0; j < n; ++j) all.push_back(static_cast<double>(naive_distance(xs, i, ys, j)) - v[j]);
        std::vector<double> others = all, mine;
        for (const detail::Pair& pair : again) {
          mine.push_back(all[pair.column]);
          others[pair.column] = kInfinity;
        }
        std::sort(all.begin(), all.end());
        std::sort(mine.begin(), mine.end());
        for (Index p = 0; p < k; ++p) EXPECT_NEAR(mine[p], all[p], 1e-4);
        EXPECT_LE(rest, *std::min_element(others.begin(), others.end()));
        EXPECT_NEAR(rest, mine.back(), 1e-3);
      }
    }
  }
}

}  // namespace
}  // namespace monge::ot
