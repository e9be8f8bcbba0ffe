#include "monge/ot/shortlists.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "assignment_truth.h"
#include "monge/ot/cloud_pairs.h"
#include "monge/ot/largest_scores.h"

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

}  // namespace
}  // namespace monge::ot
