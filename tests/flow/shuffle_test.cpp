#include "monge/flow/shuffle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace monge::flow {
namespace {

TEST(Shuffle, EveryPassHoldsEachNumberOnce) {
  for (const Index n : {1, 2, 3, 16, 17, 1000}) {
    const Shuffle shuffle(n, Rng{1});
    std::vector<std::vector<Index>> passes;
    for (std::uint64_t pass = 0; pass < 3; ++pass) {
      std::vector<Index> seen;
      for (Index k = 0; k < n; ++k)
        seen.push_back(shuffle(pass * static_cast<std::uint64_t>(n) + static_cast<std::uint64_t>(k)));
      passes.push_back(seen);
      std::sort(seen.begin(), seen.end());
      for (Index k = 0; k < n; ++k) ASSERT_EQ(seen[static_cast<std::size_t>(k)], k) << n;
    }
    if (n >= 16) {
      EXPECT_NE(passes[0], passes[1]);
    }
  }
}

// Each number is as likely in each place, and so are pairs of places: chi-squares of 25 and of 20 cells over passes.
TEST(Shuffle, OrdersAreUniform) {
  constexpr Index n = 5, passes = 20000;
  const Shuffle shuffle(n, Rng{2});
  std::vector<double> place(25), pair(25);
  for (std::uint64_t pass = 0; pass < passes; ++pass) {
    for (std::uint64_t k = 0; k < n; ++k) ++place[k * n + static_cast<std::size_t>(shuffle(pass * n + k))];
    ++pair[static_cast<std::size_t>(n * shuffle(pass * n) + shuffle(pass * n + 1))];
  }
  double chi_place = 0, chi_pair = 0;
  for (std::size_t c = 0; c < 25; ++c) {
    chi_place += std::pow(place[c] - passes / 5.0, 2) / (passes / 5.0);
    if (c % 6 != 0) chi_pair += std::pow(pair[c] - passes / 20.0, 2) / (passes / 20.0);
  }
  EXPECT_LT(chi_place, 16 + 5 * std::sqrt(32.0));  // 16 and 19 degrees of freedom, five standard deviations
  EXPECT_LT(chi_pair, 19 + 5 * std::sqrt(38.0));
}

}  // namespace
}  // namespace monge::flow
