#include "monge/ot/listed_dual.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "assignment_truth.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/kd_tree.h"
#include "monge/ot/tree_pairs.h"

namespace monge::ot::detail {
namespace {

constexpr Index kListed = ListedDual::most_listed;

Matrix<double> uniform_square(Index n, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform;
  Matrix<double> points(n, 2), sorted(n, 2);
  for (Index i = 0; i < n; ++i) points(i, 0) = uniform(random), points(i, 1) = uniform(random);
  const auto order = kd_order(std::as_const(points).view());
  for (Index i = 0; i < n; ++i) sorted(i, 0) = points(order[i], 0), sorted(i, 1) = points(order[i], 1);
  return sorted;
}

// The unit square, twice, with columns that are heavier at one side: a little mass has to go a long way.
struct Squares {
  static constexpr Index n = 4096;
  explicit Squares(Context context = {}) : context(context), lists(pairs.shortlists(kListed, std::vector<double>(n))) {
    std::mt19937_64 random(3);
    for (double& e : epsilon) e = std::uniform_real_distribution<double>(1, 2)(random) / n;
    double sum = 0;
    for (Index j = 0; j < n; ++j) sum += heavier[j] = 1 + 0.05 * y(j, 0);
    for (double& b : heavier) b *= n / sum;
  }
  // Group by group, from the formula.
  double imbalance(const std::vector<double>& v) const {
    std::vector<double> mass(n);
    for (Index i = 0; i < n; ++i) {
      double sum = 0, least = exact_test::kInfinity;
      for (const Pair& pair : lists[i]) least = std::min(least, pair.cost - v[pair.column]);
      const auto weight = [&](const Pair& pair) { return std::exp((least - pair.cost + v[pair.column]) / epsilon[i]); };
      for (const Pair& pair : lists[i]) sum += weight(pair);
      for (const Pair& pair : lists[i]) mass[pair.column] += weight(pair) / sum;
    }
    double off = 0;
    for (Index j = 0; j < n; j += 32) {
      double sum = 0;
      for (Index k = j; k < j + 32; ++k) sum += mass[k] - heavier[k];
      off += std::abs(sum);
    }
    return off / n;
  }

  Context context;
  Matrix<double> x = uniform_square(n, 1), y = uniform_square(n, 1);
  TreePairs pairs{std::as_const(x).view(), std::as_const(y).view(), context};
  Shortlists lists;
  std::vector<double> ones = std::vector<double>(n, 1.0), heavier = ones, epsilon = ones;
};

TEST(ListedDual, StepsMoveTheMassOfRegions) {
  const Squares s;
  ListedDual dual(s.lists, s.ones, s.heavier, s.epsilon, s.context);
  std::vector<double> by_passes(s.n, 0.0), by_steps(s.n, 0.0);
  EXPECT_NEAR(dual.imbalance(by_passes), s.imbalance(by_passes), 1e-5);
  EXPECT_GT(s.imbalance(by_passes), 0.01);
  dual.sinkhorn(20, 1.7, by_passes);
  dual.sinkhorn(3, 1.7, by_steps);
  for (int k = 0; k < 4; ++k) dual.newton(3, 1.7, 32, by_steps);
  EXPECT_NEAR(dual.imbalance(by_steps), s.imbalance(by_steps), 1e-5);
  EXPECT_LT(s.imbalance(by_steps), 1e-4);
  EXPECT_GT(s.imbalance(by_passes), 5e-3);
}

TEST(ListedDual, SameBitsAtAnyThreadCount) {
  std::vector<double> found[2];
  for (const int threads : {1, 2}) {
    Context context;
    context.threads = threads;
    with_team(threads, [&] {
      const Squares s(context);
      ListedDual dual(s.lists, s.ones, s.heavier, s.epsilon, s.context);
      std::vector<double>& v = found[threads - 1];
      v.assign(s.n, 0.0);
      dual.newton(3, 1.7, 8, v);
    });
  }
  EXPECT_EQ(found[0], found[1]);
}

}  // namespace
}  // namespace monge::ot::detail
