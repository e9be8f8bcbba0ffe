#include "monge/ot/core/random.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace monge {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Philox4x32-10 of a counter and a key, as Rng lays them out: counter (index, stream), key seed.
Words philox(Words counter, std::array<std::uint32_t, 2> key) {
  const auto join = [](std::uint32_t lo, std::uint32_t hi) { return (std::uint64_t{hi} << 32) | lo; };
  const Rng rng{join(key[0], key[1]), join(counter[2], counter[3])};
  const Rng::Block b = rng.bits(join(counter[0], counter[1]));
  return {b.w[0], b.w[1], b.w[2], b.w[3]};
}

// The known answers that come with Random123 (kat_vectors).
TEST(Random, PhiloxKnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, SubstreamsDiffer) {
  const Rng rng{5, 6};
  std::vector<std::uint64_t> streams;
  for (std::uint64_t name = 0; name < 1000; ++name) streams.push_back(rng.substream(name).stream);
  std::sort(streams.begin(), streams.end());
  EXPECT_EQ(std::adjacent_find(streams.begin(), streams.end()), streams.end());
  EXPECT_EQ(rng.substream(3).seed, rng.seed);
}

TEST(Random, UniformBelowIsEvenAndInRange) {
  std::vector<double> counts(7, 0.0);
  const int draws = 70000;
  for (int i = 0; i < draws; ++i) {
    const std::uint64_t value = uniform_below(Rng{1}, static_cast<std::uint64_t>(i), 7);
    ASSERT_LT(value, 7u);
    ++counts[value];
  }
  double chi2 = 0;
  for (double count : counts) chi2 += (count - draws / 7.0) * (count - draws / 7.0) / (draws / 7.0);
  EXPECT_LT(chi2, 6 + 5 * std::sqrt(12.0));
  EXPECT_EQ(uniform_below(Rng{1}, 0, 1), 0u);
  EXPECT_GT(uniform_below(Rng{1}, 0, std::uint64_t{1} << 63), std::uint64_t{1} << 40);
}

template <class T>
std::vector<T> normals(const Rng& rng, std::uint64_t first, Index count) {
  std::vector<T> z(static_cast<std::size_t>(count));
  fill_normal(rng, first, VectorView<T>(z));
  return z;
}

// Box-Muller in double precision on the words that the sequences are documented to take.
double expected_normal(float, const Rng& rng, std::uint64_t element) {
  const Rng::Block b = rng.bits(element / 4);
  const std::size_t pair = element % 4 / 2 * 2;
  const double u = static_cast<float>(static_cast<float>(b.w[pair] >> 1) * 0x1p-31f + 0x1p-32f);
  const double angle = 2 * std::numbers::pi * (b.w[pair + 1] * 0x1p-32);
  return std::sqrt(-2 * std::log(u)) * (element % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

double expected_normal(double, const Rng& rng, std::uint64_t element) {
  const Rng::Block b = rng.bits(element / 2);
  const double u = 1 - Rng::uniform(b.w[0], b.w[1]);
  const double angle = 2 * std::numbers::pi * Rng::uniform(b.w[2], b.w[3]);
  return std::sqrt(-2 * std::log(u)) * (element % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

template <class T>
class NormalTest : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(NormalTest, Types);

TYPED_TEST(NormalTest, MatchesBoxMullerInDoublePrecision) {
  using T = TypeParam;
  const Rng rng{123, 456};
  // The third start makes the low half of the block counter overflow on the way.
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{1001}, (std::uint64_t{1} << 34) - 999}) {
    const std::vector<T> z = normals<T>(rng, first, 5000);
    for (std::size_t i = 0; i < z.size(); ++i) {
      ASSERT_NEAR(z[i], expected_normal(T{}, rng, first + i), 8 * std::numeric_limits<T>::epsilon())
          << first << " + " << i;
    }
  }
}

TYPED_TEST(NormalTest, AnyPartOfTheSequenceIsTheSame) {
  using T = TypeParam;
  const Rng rng{7, 8};
  const std::vector<T> all = normals<T>(rng, 0, 700);
  for (const Index first : {0, 1, 2, 3, 4, 5, 63, 64, 65, 130, 333}) {
    for (const Index count : {0, 1, 2, 3, 5, 16, 17, 63, 64, 65, 127, 200, 367}) {
      const std::vector<T> part = normals<T>(rng, static_cast<std::uint64_t>(first), count);
      ASSERT_TRUE(std::equal(part.begin(), part.end(), all.begin() + first)) << first << " + " << count;
    }
  }
}

TYPED_TEST(NormalTest, WritesNothingOutside) {
  using T = TypeParam;
  for (const Index count : {1, 5, 64, 129}) {
    std::vector<T> z(static_cast<std::size_t>(count + 2), T(99));
    fill_normal(Rng{1}, 3, VectorView<T>(z.data() + 1, count));
    EXPECT_EQ(z.front(), T(99));
    EXPECT_EQ(z.back(), T(99));
  }
}

// A million normals on a fixed seed; each bound is five standard deviations of its statistic.
TYPED_TEST(NormalTest, HasTheMomentsTailAndDistributionOfANormal) {
  using T = TypeParam;
  const Index count = 1 << 20;
  std::vector<T> z = normals<T>(Rng{2024}, 0, count);
  const double n = static_cast<double>(count);
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, neighbours = 0, squares = 0;
  for (std::size_t i = 0; i < z.size(); ++i) {
    const double x = z[i];
    m1 += x, m2 += x * x, m3 += x * x * x, m4 += x * x * x * x;
    if (i % 2 == 1) neighbours += x * z[i - 1], squares += (x * x - 1) * (double(z[i - 1]) * z[i - 1] - 1);
  }
  EXPECT_NEAR(m1 / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(m2 / n, 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(m3 / n, 0, 5 * std::sqrt(15 / n));
  EXPECT_NEAR(m4 / n, 3, 5 * std::sqrt(96 / n));
  EXPECT_NEAR(neighbours / (n / 2), 0, 5 / std::sqrt(n / 2));   // the two of a pair
  EXPECT_NEAR(squares / (n / 2), 0, 5 * 2 / std::sqrt(n / 2));  // share a radius, yet are independent

  std::sort(z.begin(), z.end());
  double distance = 0;  // Kolmogorov-Smirnov: sqrt(n) distance exceeds 2.5 with probability 7e-6
  for (std::size_t i = 0; i < z.size(); ++i) {
    const double cdf = 0.5 * std::erfc(-double(z[i]) * std::numbers::sqrt2 / 2);
    distance = std::max({distance, cdf - double(i) / n, double(i + 1) / n - cdf});
  }
  EXPECT_LT(std::sqrt(n) * distance, 2.5);

  for (const double t : {3.0, 4.0}) {
    const double expected = n * std::erfc(t * std::numbers::sqrt2 / 2);
    const double seen = static_cast<double>(std::count_if(z.begin(), z.end(), [&](T x) { return std::abs(x) > t; }));
    EXPECT_NEAR(seen, expected, 5 * std::sqrt(expected)) << "beyond " << t;
  }
}

// Whatever instructions the machine has: float normals are made of operations that IEEE rounds alike everywhere.
TEST(Random, FloatNormalsAreTheSameBitsOnEveryInstructionSet) {
  const std::vector<float> expected = normals<float>(Rng{3}, 5, 10000);
  for (const std::int64_t target : {HWY_SCALAR, HWY_AVX2, HWY_AVX3}) {
    if (target != HWY_SCALAR && !(hwy::SupportedTargets() & target)) continue;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    EXPECT_EQ(normals<float>(Rng{3}, 5, 10000), expected) << hwy::TargetName(target);
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
}

}  // namespace
}  // namespace monge
