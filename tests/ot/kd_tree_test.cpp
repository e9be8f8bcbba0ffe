#include "monge/ot/kd_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "assignment_truth.h"

namespace monge::ot {
namespace {

using namespace exact_test;

Cloud<double> in_kd_order(const Cloud<double>& points) {
  Cloud<double> sorted = points;
  const auto order = detail::kd_order(points.view());
  for (Index i = 0; i < points.rows; ++i)
    std::copy_n(points.view().row(order[i]), points.cols, sorted.values.data() + i * points.cols);
  return sorted;
}

// Against all reduced costs, sorted: smooth potentials, rough ones, and such as have fallen since the tree was told.
TEST(KdTree, NearestAsFoundByLookingAtAll) {
  std::mt19937_64 random(1);
  for (const Index d : {1, 2, 3, 5, 8})
    for (const Index m : {1, 7, 100, 1003})
      for (const double rough : {0.0, 0.01, 10.0})
        for (const bool lattice : {false, true}) {
          Cloud<double> y = gaussian<double>(m, d, 2, 1, 3);
          for (double& v : y.values) v = lattice ? std::round(v) : v;
          y = in_kd_order(y);
          std::vector<double> v(m);
          for (Index j = 0; j < m; ++j) {
            for (Index k = 0; k < d; ++k) v[j] += 0.4 * y.values[j * d + k] * y.values[j * d + k];
            v[j] += rough * std::uniform_real_distribution<double>(-1, 1)(random);
          }
          detail::KdTree tree(y.view());
          tree.raise(v);
          for (Index j = 0; j < m; j += 3) v[j] -= rough;
          detail::KdTree::Finder finder;
          std::vector<detail::Pair> pairs;
          for (int trial = 0; trial < 20; ++trial) {
            const auto x = gaussian<double>(1, d, 100 + trial, 2, 2);
            std::vector<double> all(m);
            for (Index j = 0; j < m; ++j) {
              double cost = 0;
              for (Index k = 0; k < d; ++k)
                cost += (x.values[k] - y.values[j * d + k]) * (x.values[k] - y.values[j * d + k]);
              all[j] = cost - v[j];
            }
            const std::vector<double> reduced = all;
            std::sort(all.begin(), all.end());
            const Index k = 1 + static_cast<Index>(random() % 20), found = std::min(k, m);
            const double most = trial % 2 ? all[found - 1] : kInfinity;
            const double rest = tree.nearest(x.values.data(), k, v, random(), most, finder, pairs);
            ASSERT_EQ(static_cast<Index>(pairs.size()), found);
            std::vector<double> mine;
            for (const detail::Pair& pair : pairs) {
              mine.push_back(reduced[pair.column]);
              EXPECT_EQ(pair.cost - v[pair.column], reduced[pair.column]);
            }
            std::sort(mine.begin(), mine.end());
            for (Index p = 0; p < found; ++p) EXPECT_EQ(mine[p], all[p]) << d << " " << m << " " << p;
            EXPECT_EQ(rest, found == m ? kInfinity : all[found - 1]);
          }
        }
}

// Points closed here and there, and all on one side of the rest.
TEST(KdTree, NearestAmongOpenPoints) {
  std::mt19937_64 random(2);
  for (const Index d : {1, 2, 3, 4, 8})
    for (const Index m : {5, 1003}) {
      const auto y = in_kd_order(gaussian<double>(m, d, 2));
      std::vector<double> v(m);
      for (double& e : v) e = std::uniform_real_distribution<double>(-0.1, 0.1)(random);
      detail::KdTree tree(y.view());
      tree.raise(v);
      std::vector<bool> closed(m, false);
      for (int trial = 0; trial < 40; ++trial) {
        for (Index j = 0; j < m; ++j) {
          const bool now = trial < 39 && (y.values[j * d] < 0 || random() % 3 == 0);  // none in the last
          if (now != closed[j]) now ? tree.close(j) : tree.open(j);
          closed[j] = now;
        }
        const auto x = gaussian<double>(1, d, 100 + trial);
        std::vector<double> all;
        for (Index j = 0; j < m; ++j)
          if (!closed[j]) all.push_back(static_cast<double>(naive_distance(x.view(), 0, y.view(), j)) - v[j]);
        std::sort(all.begin(), all.end());
        const Index k = 1 + static_cast<Index>(random() % 8);
        const double most = trial % 2 && !all.empty() ? all[all.size() / 2] + 1e-9 : kInfinity;
        const auto near = static_cast<Index>(std::upper_bound(all.begin(), all.end(), most) - all.begin());
        detail::KdTree::Finder finder;
        std::vector<detail::Pair> pairs;
        const double rest = tree.nearest_open(x.values.data(), k, v, most, finder, pairs);
        ASSERT_EQ(static_cast<Index>(pairs.size()), std::min(k, near)) << d << " " << m << " " << trial;
        std::vector<double> mine;
        for (const detail::Pair& pair : pairs) {
          EXPECT_FALSE(closed[pair.column]);
          mine.push_back(pair.cost - v[pair.column]);
        }
        std::sort(mine.begin(), mine.end());
        for (std::size_t p = 0; p < mine.size(); ++p) EXPECT_NEAR(mine[p], all[p], 1e-12);
        EXPECT_EQ(rest, near < k ? kInfinity : mine.back());
      }
    }
}

// Neighbours in the order lie close together: groups of four of it fill small boxes.
TEST(KdTree, OrderKeepsNeighboursTogether) {
  const Index n = 4096;
  const auto points = gaussian<double>(n, 2, 5);
  const auto sorted = in_kd_order(points);
  const auto spread_of = [&](const Cloud<double>& c) {
    double sum = 0;
    for (Index i = 0; i < n; i += 4)
      sum += static_cast<double>(naive_distance(c.first(i + 3), i, c.first(i + 4), i + 3));
    return sum;
  };
  EXPECT_LT(spread_of(sorted), 0.02 * spread_of(points));
  std::vector<std::int32_t> order = detail::kd_order(points.view());
  std::sort(order.begin(), order.end());
  for (Index i = 0; i < n; ++i) ASSERT_EQ(order[i], i);
}

}  // namespace
}  // namespace monge::ot
