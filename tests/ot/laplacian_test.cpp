#include "monge/ot/laplacian.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "monge/ot/core/parallel.h"
#include "monge/ot/core/random.h"

namespace monge::ot::detail {
namespace {

double uniform(std::uint64_t at) {
  const Rng::Block w = Rng{5}.bits(at);
  return Rng::uniform(w.w[0], w.w[1]);
}

// The number of a vertex of a square: quarters in turn, their quarters in turn, ..., so that fours lie close.
std::int32_t place(std::int32_t row, std::int32_t column) {
  std::int32_t place = 0;
  for (int bit = 0; bit < 12; ++bit) place |= ((row >> bit & 1) << (2 * bit + 1)) | ((column >> bit & 1) << (2 * bit));
  return place;
}

// A grid of side x side vertices, a power of two, neighbours linked by weights over so many decades; without the links
// that cross its middle it is in two parts.
std::vector<Link> grid(std::int32_t side, double decades, bool whole = true) {
  std::vector<Link> links;
  std::uint64_t at = 0;
  const auto link = [&](std::int32_t j, std::int32_t k) {
    links.push_back({std::min(j, k), std::max(j, k), std::pow(10.0, decades * (uniform(at++) - 0.5))});
  };
  for (std::int32_t r = 0; r < side; ++r)
    for (std::int32_t c = 0; c < side; ++c) {
      if (c + 1 < side && (whole || c + 1 != side / 2)) link(place(r, c), place(r, c + 1));
      if (r + 1 < side) link(place(r, c), place(r + 1, c));
    }
  merge_links(links, side * side);
  return links;
}

// x of A x = b by elimination, A made from the definition.
std::vector<double> eliminate(const std::vector<double>& own, const std::vector<Link>& links, std::vector<double> b) {
  const std::size_t n = own.size();
  std::vector<std::vector<double>> a(n, std::vector<double>(n, 0.0));
  for (std::size_t j = 0; j < n; ++j) a[j][j] = own[j];
  for (const Link& l : links) {
    const auto j = static_cast<std::size_t>(l.j), k = static_cast<std::size_t>(l.k);
    a[j][j] += l.weight, a[k][k] += l.weight, a[j][k] -= l.weight, a[k][j] -= l.weight;
  }
  for (std::size_t p = 0; p < n; ++p)
    for (std::size_t i = p + 1; i < n; ++i) {
      const double factor = a[i][p] / a[p][p];
      if (factor == 0) continue;
      for (std::size_t k = p; k < n; ++k) a[i][k] -= factor * a[p][k];
      b[i] -= factor * b[p];
    }
  for (std::size_t p = n; p-- > 0;) {
    for (std::size_t k = p + 1; k < n; ++k) b[p] -= a[p][k] * b[k];
    b[p] /= a[p][p];
  }
  return b;
}

TEST(Laplacian, LinksOfAPairAddUp) {
  std::vector<Link> links;
  std::map<std::pair<std::int32_t, std::int32_t>, double> sums;
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const auto j = static_cast<std::int32_t>(40 * uniform(3 * i)),
               k = static_cast<std::int32_t>(40 * uniform(3 * i + 1));
    if (j == k) continue;
    links.push_back({std::min(j, k), std::max(j, k), uniform(3 * i + 2)});
    sums[{std::min(j, k), std::max(j, k)}] += links.back().weight;
  }
  merge_links(links, 40);
  ASSERT_EQ(links.size(), sums.size());
  auto expected = sums.begin();
  for (const Link& link : links) {
    EXPECT_EQ(std::pair(link.j, link.k), expected->first);
    EXPECT_NEAR(link.weight, expected->second, 1e-12);
    ++expected;
  }
}

TEST(Laplacian, MultipliesAsDefined) {
  const std::vector<double> own = {1, 2, 3}, x = {1, -1, 4};
  const Laplacian a(own, {{0, 1, 10}, {1, 2, 100}});
  std::vector<double> out(3);
  a.multiply(x, out);
  EXPECT_EQ(out, (std::vector<double>{1 + 10 * 2, -2 + 10 * -2 + 100 * -5, 12 + 100 * 5}));
}

TEST(Laplacian, SolvesGridsWholeAndInParts) {
  for (const bool whole : {true, false})
    for (const std::int32_t side : {1, 2, 16}) {
      const auto n = static_cast<std::size_t>(side * side);
      std::vector<double> own(n), b(n);
      for (std::size_t j = 0; j < n; ++j) own[j] = 1e-4 * (1 + uniform(j)), b[j] = uniform(j + 1000) - 0.5;
      const std::vector<Link> links = grid(side, 3, whole);
      const std::vector<double> expected = eliminate(own, links, b), x = Multigrid(own, links).solve(b, 1e-10);
      double size = 0;
      for (const double e : expected) size = std::max(size, std::abs(e));
      for (std::size_t j = 0; j < n; ++j) EXPECT_NEAR(x[j], expected[j], 1e-7 * size) << side << " " << j;
    }
}

// What makes long waves cheap: iterations of the plain method would grow with the side of the grid.
TEST(Laplacian, LargeGridsInFewIterations) {
  for (const std::int32_t side : {32, 128, 256}) {
    const auto n = static_cast<std::size_t>(side * side);
    const std::vector<double> own(n, 1e-6);
    std::vector<double> b(n), image(n);
    for (std::int32_t r = 0; r < side; ++r)
      for (std::int32_t c = 0; c < side; ++c)
        b[static_cast<std::size_t>(place(r, c))] = std::cos(M_PI * (r + 0.5) / side);
    const std::vector<Link> links = grid(side, 1);
    const std::vector<double> x = Multigrid(own, links).solve(b, 1e-12, 40);
    Laplacian(own, links).multiply(x, image);
    double error = 0;
    for (std::size_t j = 0; j < n; ++j) error = std::max(error, std::abs(image[j] - b[j]));
    EXPECT_LT(error, 1e-6) << side;
  }
}

// Not 0 / 0.
TEST(Laplacian, ZeroGivesZero) {
  constexpr std::size_t n = 16;
  const Multigrid grids(std::vector<double>(n, 1e-3), grid(4, 1));
  EXPECT_EQ(grids.solve(std::vector<double>(n, 0.0), 1e-8), std::vector<double>(n, 0.0));
}

TEST(Laplacian, SameBitsAtOneAndTwoThreads) {
  constexpr std::int32_t side = 64;
  const std::size_t n = side * side;
  std::vector<double> b(n);
  for (std::size_t j = 0; j < n; ++j) b[j] = uniform(j) - 0.5;
  std::vector<std::vector<double>> x;
  for (const int threads : {1, 2})
    with_team(threads, [&] { x.push_back(Multigrid(std::vector<double>(n, 1e-3), grid(side, 3)).solve(b, 1e-6)); });
  EXPECT_EQ(x[0], x[1]);
}

}  // namespace
}  // namespace monge::ot::detail
