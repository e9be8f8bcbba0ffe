// The arithmetic that kernels share with the host: halves, fragments, what reductions keep, Hadamard rounds.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numbers>
#include <set>
#include <vector>

#include "monge/ot/cuda/fragment.h"
#include "monge/ot/cuda/hadamard.h"
#include "monge/ot/cuda/half.h"
#include "monge/ot/cuda/normal.h"
#include "monge/ot/cuda/partial.h"
#include "monge/ot/cuda/problem.h"

namespace monge::ot::cuda {
namespace {

// The value of a binary16, from its definition.
double half_by_definition(std::uint16_t h) {
  const int exponent = (h >> 10) & 31, fraction = h & 1023;
  const double size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return h & 0x8000 ? -size : size;
}

TEST(Half, EveryHalfIsItself) {
  for (int h = 0; h < 0x10000; ++h) {
    if ((h & 0x7c00) == 0x7c00) continue;  // infinities and NaN
    const auto bits = static_cast<std::uint16_t>(h);
    ASSERT_EQ(static_cast<double>(half_value(bits)), half_by_definition(bits)) << h;
    ASSERT_EQ(half_bits(half_value(bits)), bits) << h;
  }
}

// Halfway between neighbours, and one float to either side of it: to the nearest, to the even one when there are two.
TEST(Half, RoundsToTheNearestAndTiesToEven) {
  for (std::uint16_t h = 0; h < 0x7bff; ++h) {
    const float middle = (half_value(h) + half_value(static_cast<std::uint16_t>(h + 1))) / 2;
    const auto above = static_cast<std::uint16_t>(h + 1), even = static_cast<std::uint16_t>(h + h % 2);
    ASSERT_EQ(half_bits(middle), even) << h;
    ASSERT_EQ(half_bits(std::nextafter(middle, 0.0f)), h) << h;
    ASSERT_EQ(half_bits(std::nextafter(middle, 1e9f)), above) << h;
    ASSERT_EQ(half_bits(-middle), even | 0x8000) << h;
  }
}

// Rows of all sizes that floats have, subnormal ones too, with elements far smaller than the largest.
TEST(Half, TwoHalvesAreAFloatToTheStatedError) {
  const Rng rng{1};
  for (int power = -149; power <= 127; ++power) {
    const float largest = std::ldexp(1 + 0.9f * Rng::uniform(rng.bits(power + 200).w[0]), power);
    if (std::isinf(largest)) continue;
    const int exponent = split_exponent(largest);
    for (int k = 0; k < 200; ++k) {
      const Rng::Block words = rng.substream(1).bits(static_cast<std::uint64_t>(1000 * (power + 200) + k));
      const float x =
          k == 0 ? largest
                 : std::ldexp(largest * (2 * Rng::uniform(words.w[0]) - 1), -static_cast<int>(words.w[1] % 40));
      const Halves halves = split(x, exponent);
      const double high = half_value(halves.high), low = half_value(halves.low);
      ASSERT_LE(std::abs(high), 256);
      if (k == 0) {
        ASSERT_GE(std::abs(high), 128);
      }
      ASSERT_LE(std::abs(std::ldexp(high + low, exponent) - double(x)),
                0x1p-22 * std::abs(double(x)) + 0x1p-32 * double(largest))
          << x << " among " << largest;
    }
  }
  EXPECT_EQ(split_exponent(0), 0);
}

// The bound of docs/cuda.md on a product of split points, without what the sums add.
TEST(Half, ThreeProductsAreAsGoodAsFloats) {
  for (const int d : {9, 64, 784}) {
    double worst = 0;
    for (int pair = 0; pair < 200; ++pair) {
      std::vector<float> x(static_cast<std::size_t>(d)), y(x.size());
      fill_normal(Rng{2}, static_cast<std::uint64_t>(2 * pair * d), VectorView<float>(x));
      fill_normal(Rng{2}, static_cast<std::uint64_t>((2 * pair + 1) * d), VectorView<float>(y));
      float largest_x = 0, largest_y = 0;
      for (int k = 0; k < d; ++k) {
        largest_x = std::max(largest_x, std::abs(x[k]));
        largest_y = std::max(largest_y, std::abs(y[k]));
      }
      const int ex = split_exponent(largest_x), ey = split_exponent(largest_y);
      double exact = 0, made = 0, size = 0, xx = 0, yy = 0, coarse = 0;
      for (int k = 0; k < d; ++k) {
        const Halves a = split(x[k], ex), b = split(y[k], ey);
        const double ah = half_value(a.high), al = half_value(a.low), bh = half_value(b.high), bl = half_value(b.low);
        made += std::ldexp(ah * bh + ah * bl + al * bh, ex + ey);
        exact += double(x[k]) * double(y[k]);
        size += std::abs(double(x[k]) * double(y[k]));
        coarse += std::abs(double(x[k])) * largest_y + std::abs(double(y[k])) * largest_x;
        xx += double(x[k]) * double(x[k]), yy += double(y[k]) * double(y[k]);
      }
      const double error = std::abs(made - exact);
      ASSERT_LE(error, 3.01 * 0x1p-22 * size + 1.01 * 0x1p-32 * coarse);
      worst = std::max(worst, error / std::sqrt(xx * yy));
    }
    EXPECT_LT(worst, 0x1p-23) << d;  // one unit of the last place of floats
  }
}

TEST(Half, OrderedIntegersAreInTheOrderOfFloats) {
  const float rising[] = {-INFINITY, -3e38f, -1, -1e-45f, -0.0f, 0, 1e-45f, 1, 2, 3e38f, INFINITY};
  for (std::size_t i = 0; i < std::size(rising); ++i) {
    EXPECT_EQ(bits_of(from_order(order_of(rising[i]))), bits_of(rising[i]));
    if (i > 0) {
      EXPECT_GT(order_of(rising[i]), order_of(rising[i - 1]));
    }
  }
}

TEST(Normal, BlocksAreTheSequenceToTheLastBit) {
  const Rng rng = Rng{5}.substream(3);
  std::vector<float> expected(400000);
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{1} << 33}) {
    fill_normal(rng, 4 * first, VectorView<float>(expected));
    for (std::size_t i = 0; i < expected.size(); i += 4) {
      float block[4];
      normals_of(rng, first + i / 4, block);
      for (int e = 0; e < 4; ++e) ASSERT_EQ(bits_of(block[e]), bits_of(expected[i + e])) << i + e;
    }
  }
}

// At the ends of what words can say, too: against Box-Muller in double.
TEST(Normal, PairsAreBoxMullers) {
  for (const std::uint32_t radius : {0u, 1u, 2u, 77777u, 0x7fffffffu, 0x80000000u, 0xfffffffeu, 0xffffffffu}) {
    for (const std::uint32_t angle : {0u, 1u, 0x1fffffffu, 0x20000000u, 0x40000000u, 0x9abcdef0u, 0xffffffffu}) {
      const double u = (double(radius >> 1) + 0.5) * 0x1p-31, size = std::sqrt(-2 * std::log(u));
      float a, b;
      normal_pair(radius, angle, a, b);
      const double turn = 2 * std::numbers::pi * double(angle) * 0x1p-32;
      // Near u = 1 the float nearest to u is off by half a unit, so the radius by a share of itself.
      const double close = 5e-7 * (1 + size) + (size < 0.01 ? 0x1p-24 / std::max(size, 0x1p-12) : 0);
      EXPECT_NEAR(a, size * std::cos(turn), close) << radius << " " << angle;
      EXPECT_NEAR(b, size * std::sin(turn), close) << radius << " " << angle;
    }
  }
}

// Every place of a tile is some thread's, and only one's; so is every slot of a slice, which says what column it is.
template <class Tile>
void expect_whole_tile() {
  std::set<std::pair<int, int>> seen;
  for (int t = 0; t < 256; ++t) {
    const typename Tile::Place place{t};
    for (int r = 0; r < Tile::rows; ++r) {
      for (int c = 0; c < Tile::cols; ++c) {
        ASSERT_TRUE(place.row(r) >= 0 && place.row(r) < Tile::tile_rows && place.col(c) >= 0 &&
                    place.col(c) < Tile::tile_cols);
        ASSERT_TRUE(seen.emplace(place.row(r), place.col(c)).second);
        const int slot = place.slot(c);
        ASSERT_TRUE(slot >= 0 && slot < 32);
        ASSERT_EQ(Tile::slice_col(c / Tile::slice_cols, slot), place.col(c));
        if (c > 0) {
          ASSERT_GT(place.col(c), place.col(c - 1));  // reductions count on rising columns
        }
      }
    }
  }
  EXPECT_EQ(static_cast<int>(seen.size()), Tile::tile_rows * Tile::tile_cols);
}
TEST(Fragment, PlacesOfAllThreadsMakeUpTheTile) {
  expect_whole_tile<WarpTile<float>>();
  expect_whole_tile<WarpTile<double>>();
  expect_whole_tile<WideTile>();
}

TEST(Partial, LogSumsOfPartsAreTheLogSumOfAll) {
  const double epsilon = 0.3;
  std::vector<double> scores(300);
  fill_normal(Rng{3}, 0, VectorView<double>(scores));
  scores[7] = 40;  // the best comes late in one order and early in another
  double expected = 0;
  for (const double s : scores) expected += std::exp((s - 40) / epsilon);
  for (const bool backwards : {false, true}) {
    LogSum<float> all;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const double s = scores[backwards ? scores.size() - 1 - i : i];
      LogSum<float> one;
      one.best = static_cast<float>(s);
      one.sum = std::exp((s - static_cast<double>(one.best)) / epsilon);
      all.add(one, epsilon);
    }
    EXPECT_NEAR(all.value(epsilon), 40 + epsilon * std::log(expected), 1e-12);
  }
  EXPECT_EQ(LogSum<float>().value(1), -INFINITY);
  LogSum<float> nothing;
  nothing.add(LogSum<float>(), 1);
  EXPECT_EQ(nothing.value(1), -INFINITY);
}

TEST(Partial, LargerScoresComeFirstAndOfEqualsTheLowerColumn) {
  EXPECT_TRUE((Scored<float>{2, 9}.before({1, 3})));
  EXPECT_TRUE((Scored<float>{2, 3}.before({2, 9})));
  EXPECT_FALSE((Scored<float>{2, 3}.before({2, 3})));
  EXPECT_TRUE((Scored<float>{-INFINITY, 5}.before(Scored<float>{})));
  EXPECT_FALSE((Scored<float>{}.before({-INFINITY, 5})));
}

// Races of parts, merged in any order, have one winner: the first to arrive by one clock.
TEST(Partial, RacesOfPartsHaveOneWinner) {
  const double epsilon = 0.5;
  std::vector<Race<float>> races(5);
  for (int g = 0; g < 5; ++g) races[g] = {float(g % 3), float(g % 3), 0.3 + 0.1 * g, 0.1 * g, g};
  races[3] = {};  // nothing there
  int first = -1;
  double best = INFINITY;
  for (int g = 0; g < 5; ++g) {
    if (races[g].group < 0) continue;
    const double time = races[g].time * std::exp((2 - double(races[g].best)) / epsilon);
    if (time < best) best = time, first = g;
  }
  for (const auto& order : {std::vector<int>{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {3, 2, 4, 0, 1}}) {
    Race<float> winner;
    for (const int g : order) winner.run_against(races[g], epsilon);
    EXPECT_EQ(winner.group, first);
    EXPECT_NEAR(winner.time, best, 1e-12);
    EXPECT_EQ(winner.left, 0.1 * first);
  }
}

TEST(Hadamard, IsSylvesters) {
  for (int column = 0; column < 64; ++column) {
    float a[64] = {};
    a[column] = 1;
    hadamard64(a);
    for (int row = 0; row < 64; ++row)
      ASSERT_EQ(a[row], std::popcount(static_cast<unsigned>(row & column)) % 2 ? -1 : 1);
  }
}

TEST(Problem, ScoresOnTheirOwnAreTheDefinition) {
  const float x[] = {1, -2, 3}, y[] = {0.5f, 4, -1}, u = 7, v = 0.25f;
  const std::int32_t left = 1, right = 2;
  Problem<float> p;
  p.rows = p.cols = 1, p.dims = 3, p.x = x, p.y = y, p.x_stride = p.y_stride = 3, p.scale = -2;
  p.row_bias = &u, p.col_bias = &v;
  EXPECT_EQ(score_of(p, 0, 0), -2 * (0.5f - 8 - 3) + 0.25f);
  p.maker = Maker::l1;
  EXPECT_EQ(score_of(p, 0, 0), -2 * (0.5f + 6 + 4) + 0.25f);
  p.maker = Maker::euclidean;
  EXPECT_FLOAT_EQ(score_of(p, 0, 0), -2 * std::sqrt(0.25f + 36 + 16) + 0.25f);
  p.row_labels = &left, p.col_labels = &right, p.label_penalty = 3;
  EXPECT_FLOAT_EQ(score_of(p, 0, 0), -2 * std::sqrt(0.25f + 36 + 16) + 0.25f - 3);
  EXPECT_EQ(transposed(p).col_bias, &u);
  EXPECT_EQ(transposed(p).x, y);
}

}  // namespace
}  // namespace monge::ot::cuda
