#include "monge/ot/compact_points.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "monge/ot/core/random.h"

namespace monge::ot::detail {
namespace {

constexpr Index n = 700, d = 9;

struct Points {
  Matrix<float> x{n, d};
  std::vector<std::int32_t> rows;
  std::vector<double> centre;

  explicit Points(float (*value)(float)) {
    fill_normal(Rng{1}, 0, {x.data(), n * d});
    for (Index k = 0; k < n * d; ++k) x.data()[k] = value(x.data()[k]);
    for (std::int32_t i = n - 1; i >= 0; i -= 2) rows.push_back(i);
  }
  Uncentred view() const { return {x.view(), rows, centre}; }
  float operator()(Index j, Index k) const { return x(rows[static_cast<std::size_t>(j)], k); }
  Index size() const { return static_cast<Index>(rows.size()); }
};

TEST(CompactPoints, FewValuesBecomeNumbersInATable) {
  const Points p([](float x) { return std::round(std::clamp(40 * x, -127.0f, 128.0f)) / 255 - 0.3f; });
  const CompactPoints c = compact(p.view(), 2);
  ASSERT_EQ(c.bytes, 1);
  EXPECT_LE(c.table.size(), 256u);
  EXPECT_TRUE(std::is_sorted(c.table.begin(), c.table.end()));
  for (Index j = 0; j < p.size(); ++j)
    for (Index k = 0; k < d; ++k) ASSERT_EQ(c.table[c.data[j * d + k]], p(j, k));
  const CompactPoints alone = compact(p.view(), 1);
  EXPECT_EQ(alone.table, c.table);
  EXPECT_EQ(std::memcmp(alone.data.data(), c.data.data(), static_cast<std::size_t>(p.size() * d)), 0);
}

TEST(CompactPoints, ATableHasRoomFor256) {
  Points p([](float) { return 0.0f; });
  for (Index k = 0; k < 256; ++k) p.x(p.rows[static_cast<std::size_t>(k)], k % d) = 0.1f + static_cast<float>(k);
  EXPECT_EQ(compact(p.view(), 2).bytes, 4);  // with 0, 257
  for (Index k = 0; k < n * d; ++k) p.x.data()[k] = p.x.data()[k] == 0 ? 0.1f : p.x.data()[k];
  EXPECT_EQ(compact(p.view(), 2).bytes, 1);
}

TEST(CompactPoints, ZerosKeepTheirSigns) {
  Points p([](float x) { return x > 0 ? 0.0f : -0.0f; });
  const CompactPoints c = compact(p.view(), 2);
  ASSERT_EQ(c.table.size(), 2u);
  for (Index j = 0; j < p.size(); ++j)
    for (Index k = 0; k < d; ++k) ASSERT_EQ(std::signbit(c.table[c.data[j * d + k]]), std::signbit(p(j, k)));
}

TEST(CompactPoints, ShortMantissasBecomeTwoBytes) {
  const Points p([](float x) { return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0xffff0000u); });
  const CompactPoints c = compact(p.view(), 2);
  ASSERT_EQ(c.bytes, 2);
  for (Index j = 0; j < p.size(); ++j) {
    for (Index k = 0; k < d; ++k) {
      std::uint16_t upper = 0;
      std::memcpy(&upper, c.data.data() + 2 * (j * d + k), 2);
      ASSERT_EQ(std::bit_cast<float>(static_cast<std::uint32_t>(upper) << 16), p(j, k));
    }
  }
}

TEST(CompactPoints, OtherFloatsStayAsTheyAre) {
  const Points p([](float x) { return x; });
  const CompactPoints c = compact(p.view(), 2);
  EXPECT_EQ(c.bytes, 4);
  EXPECT_EQ(c.data.size(), 0);
  EXPECT_EQ(compact({}, 2).bytes, 4);
}

}  // namespace
}  // namespace monge::ot::detail
