#include "monge/data/synthetic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "monge/data/brenier.h"
#include "monge/ot/core/random.h"
#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;

Synthetic make(const char* name, Index points, double noise = -1, Index dims = 2) {
  return synthetic(name, {.points = points, .test_points = 0, .dimensions = dims, .noise = noise, .seed = 3});
}

TEST(Synthetic, MorePointsBeginWithTheSameOnesAtAnyThreadCount) {
  for (const SyntheticKind& kind : synthetic_kinds()) {
    const Index d = kind.planar ? 2 : 5;
    SyntheticOptions options{.points = 700, .test_points = 300, .dimensions = d, .seed = 1, .context = {.threads = 1}};
    const Synthetic few = synthetic(kind.name, options);
    options.points = 1000;
    options.test_points = 0;
    options.context.threads = 3;
    const Synthetic many = synthetic(kind.name, options);
    ASSERT_EQ(few.data.train.x.cols(), d);
    EXPECT_TRUE(std::equal(few.data.train.x.data(), few.data.train.x.data() + 700 * d, many.data.train.x.data()))
        << kind.name;
    EXPECT_TRUE(
        std::equal(few.data.test.x.data(), few.data.test.x.data() + 300 * d, many.data.train.x.data() + 700 * d))
        << kind.name;
    options.seed = 2;
    EXPECT_NE(synthetic(kind.name, options).data.digest, many.data.digest) << kind.name;
  }
}

TEST(Synthetic, EightGaussians) {
  const Synthetic s = make("8gaussians", 40000);
  std::vector<double> count(8), square(8);
  for (Index i = 0; i < 40000; ++i) {
    const auto mode = static_cast<std::size_t>(s.data.train.labels[static_cast<std::size_t>(i)]);
    const double angle = static_cast<double>(mode) * M_PI / 4;
    count[mode] += 1;
    square[mode] += std::pow(s.data.train.x(i, 0) - 5 * std::cos(angle), 2) +
                    std::pow(s.data.train.x(i, 1) - 5 * std::sin(angle), 2);
  }
  for (int m = 0; m < 8; ++m) {
    EXPECT_NEAR(count[m], 5000, 4 * std::sqrt(40000 * 7.0 / 64));           // four standard deviations of a binomial
    EXPECT_NEAR(square[m] / count[m], 0.2, 4 * 0.2 / std::sqrt(count[m]));  // of 0.1 times a chi-square of two
  }
}

TEST(Synthetic, ShapesWithoutNoise) {
  const Synthetic moons = make("moons", 1000, 0), wide = make("wide-moons", 1000, 0), s = make("s-curve", 1000, 0);
  for (Index i = 0; i < 1000; ++i) {
    for (const auto& [set, scale] : {std::pair{&moons, 2.0}, {&wide, 3.0}}) {
      const bool lower = set->data.train.labels[static_cast<std::size_t>(i)] == 1;
      const double x = (set->data.train.x(i, 0) + 1) / scale;
      const double y = (set->data.train.x(i, 1) + (scale == 3 ? 1 : 0)) / scale;
      EXPECT_NEAR(std::hypot(x - (lower ? 1 : 0), y - (lower ? 0.5 : 0)), 1, 1e-6);
      EXPECT_TRUE(lower ? y <= 0.5 + 1e-6 : y >= -1e-6);
    }
    const double x = s.data.train.x(i, 0) / 1.5, z = s.data.train.x(i, 1) / 1.5;
    EXPECT_NEAR(std::hypot(x, std::abs(z) - 1), 1, 1e-6);
  }
}

TEST(Synthetic, CheckerboardFillsEveryOtherCell) {
  const Synthetic s = make("checkerboard", 16000);
  std::vector<double> cells(16);
  for (Index i = 0; i < 16000; ++i) {
    const auto column = static_cast<int>(std::floor(s.data.train.x(i, 0) / 2)) + 2;
    const auto row = static_cast<int>(std::floor(s.data.train.x(i, 1) / 2)) + 2;
    ASSERT_TRUE(column >= 0 && column < 4 && row >= 0 && row < 4);
    ++cells[static_cast<std::size_t>(4 * row + column)];
  }
  for (int row = 0; row < 4; ++row)
    for (int column = 0; column < 4; ++column) {
      const double expected = (row + column) % 2 == 0 ? 2000 : 0;
      EXPECT_NEAR(cells[static_cast<std::size_t>(4 * row + column)], expected, 4 * std::sqrt(expected * 7 / 8));
    }
}

TEST(Synthetic, SpiralsWindBothWays) {
  const Synthetic s = make("spirals", 20000, 0);
  double square = 0;
  double along[2] = {};
  for (Index i = 0; i < 20000; ++i) {
    const double x = s.data.train.x(i, 0), y = s.data.train.x(i, 1);
    square += x * x + y * y;
    along[s.data.train.labels[static_cast<std::size_t>(i)]] += x + y;
    EXPECT_LE(std::hypot(x, y), M_PI + 0.5 * std::sqrt(2.0) / 3 + 1e-6);
  }
  // E |3 p|^2 = E turn^2 + E v^2 / 2 + E v E turn (sin turn - cos turn), turn = 3 pi sqrt(u), v uniform; the last by
  // integrating turn^2 (sin - cos) 2 / (9 pi^2) over [0, 3 pi]: (9 pi^2 - 4 + 6 pi) 2 / (9 pi^2).
  const double a = 9 * M_PI * M_PI, cross = 2 * (a - 4 + 6 * M_PI) / a;
  EXPECT_NEAR(9 * square / 20000, a / 2 + 1.0 / 6 + cross / 2, 4 * 30 / std::sqrt(20000.0));
  EXPECT_NEAR(along[0] + along[1], 0, 4 * 3 * std::sqrt(20000.0));  // point-symmetric
}

TEST(Synthetic, Refusals) {
  expect_error(Errc::invalid_argument, {"synthetic: ", "'swiss'", "8gaussians, moons"}, [] { synthetic("swiss"); });
  expect_error(Errc::invalid_argument, {"moons has 2 dimensions, not 3"}, [] { make("moons", 10, -1, 3); });
  expect_error(Errc::invalid_argument, {"points must be in"}, [] { make("moons", 0); });
  expect_error(Errc::invalid_argument, {"takes no noise"}, [] { make("convex", 10, 0.5); });
  expect_error(Errc::invalid_argument, {"dimensions must be positive"}, [] { make("convex", 10, -1, 0); });
}

// A map is the gradient of a convex function if its Jacobian is symmetric and positive semidefinite everywhere.
TEST(BrenierMap, IsTheGradientOfAConvexFunction) {
  constexpr Index d = 3;
  constexpr double h = 1e-5;
  for (const KnownMap kind : {KnownMap::affine, KnownMap::mixture, KnownMap::convex}) {
    const BrenierMap map(kind, d, 5);
    std::vector<double> x(d);
    for (std::uint64_t sample = 0; sample < 40; ++sample) {
      fill_normal(Rng{7}, sample * d, VectorView<double>(x));
      double jacobian[d][d];
      for (Index k = 0; k < d; ++k) {
        std::vector<double> up = x, down = x, high(d), low(d);
        up[static_cast<std::size_t>(k)] += h;
        down[static_cast<std::size_t>(k)] -= h;
        map(up.data(), high.data());
        map(down.data(), low.data());
        for (Index i = 0; i < d; ++i)
          jacobian[i][k] = (high[static_cast<std::size_t>(i)] - low[static_cast<std::size_t>(i)]) / (2 * h);
      }
      double scale = 0;
      for (auto& row : jacobian)
        for (const double value : row) scale = std::max(scale, std::abs(value));
      for (Index i = 0; i < d; ++i)
        for (Index k = 0; k < i; ++k) EXPECT_NEAR(jacobian[i][k], jacobian[k][i], 1e-5 * scale);
      for (std::uint64_t probe = 0; probe < 10; ++probe) {
        std::vector<double> v(d);
        fill_normal(Rng{8}, (10 * sample + probe) * d, VectorView<double>(v));
        double form = 0;
        for (Index i = 0; i < d; ++i)
          for (Index k = 0; k < d; ++k)
            form += v[static_cast<std::size_t>(i)] * jacobian[i][k] * v[static_cast<std::size_t>(k)];
        EXPECT_GT(form, 0);
      }
    }
  }
}

// In one dimension the mixture's map is the quantile function itself: below T(x) lies what is below x.
TEST(BrenierMap, MixtureKeepsShares) {
  const BrenierMap map(KnownMap::mixture, 1, 1);
  const auto below = [](double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); };
  for (double x = -6; x < 0; x += 0.25) {
    double y = 0;
    map(&x, &y);
    EXPECT_NEAR(0.5 * (below((y + 2) / 0.5) + below((y - 2) / 0.5)) / below(x), 1, 1e-9) << x;
    const double minus = -x;
    double mirrored = 0;
    map(&minus, &mirrored);
    EXPECT_EQ(mirrored, -y);
  }
}

TEST(BrenierMap, CostIsThatOfTheSamples) {
  constexpr Index n = 40000;
  for (const char* name : {"gaussian", "gaussian-mixture"}) {
    const Synthetic s = make(name, n, -1, 4);
    double sum = 0, square = 0;
    for (Index i = 0; i < n; ++i) {
      double distance = 0;
      for (Index k = 0; k < 4; ++k) distance += std::pow(s.data.train.x(i, k) - s.pairs.x0(i, k), 2);
      sum += distance / n;
      square += distance * distance / n;
    }
    EXPECT_NEAR(sum, s.squared_w2, 4 * std::sqrt((square - sum * sum) / n)) << name;
  }
  EXPECT_TRUE(std::isnan(make("convex", 10).squared_w2));
}

TEST(Synthetic, PairsAreTheMapOfTheirNoise) {
  const Synthetic s = make("gaussian-mixture", 500, -1, 3);
  const BrenierMap map(KnownMap::mixture, 3, 3);
  ASSERT_EQ(s.pairs.size(), 500);
  EXPECT_EQ(s.pairs.dataset_digest, s.data.digest);
  for (Index i = 0; i < 500; ++i) {
    const double x[3] = {s.pairs.x0(i, 0), s.pairs.x0(i, 1), s.pairs.x0(i, 2)};
    double y[3];
    map(x, y);
    for (Index k = 0; k < 3; ++k) EXPECT_EQ(s.data.train.x(i, k), static_cast<float>(y[k]));
    EXPECT_EQ(s.pairs.atoms[static_cast<std::size_t>(i)], i);
    EXPECT_EQ(s.data.train.labels[static_cast<std::size_t>(i)], map.label(x));
  }
}

TEST(Pairs, RoundTripAndRefusals) {
  const test::TemporaryFolder folder;
  const auto path = folder / "pairs.h5";
  Synthetic s = make("convex", 50, -1, 3);
  save_pairs(s.pairs, path);
  const Pairs back = load_pairs(path);
  EXPECT_EQ(back.atoms, s.pairs.atoms);
  EXPECT_EQ(back.dataset_digest, s.data.digest);
  EXPECT_TRUE(std::equal(back.x0.data(), back.x0.data() + 150, s.pairs.x0.data()));
  EXPECT_TRUE(back.labels.empty());
  s.pairs.labels.assign(50, 3);
  s.pairs.labels[49] = -8;
  save_pairs(s.pairs, path);
  EXPECT_EQ(load_pairs(path).labels, s.pairs.labels);
  s.pairs.labels.pop_back();
  expect_error(Errc::invalid_argument, {"49 labels for 50"}, [&] { save_pairs(s.pairs, path); });
  s.pairs.labels.clear();
  s.pairs.atoms[7] = -1;
  expect_error(Errc::invalid_argument, {"save_pairs", "element 7"}, [&] { save_pairs(s.pairs, path); });
  s.pairs.atoms.pop_back();
  expect_error(Errc::invalid_argument, {"49 atoms for 50"}, [&] { save_pairs(s.pairs, path); });
  s.pairs.atoms = back.atoms;
  s.pairs.x0(3, 1) = NAN;
  expect_error(Errc::not_finite, {"save_pairs: x0", "row 3, column 1"}, [&] { save_pairs(s.pairs, path); });
  save_dataset(make("moons", 10).data, path);
  expect_error(Errc::bad_file, {"load_pairs", "is monge-dataset, not monge-pairs"}, [&] { load_pairs(path); });
}

TEST(Synthetic, KnownDensitiesAreThoseOfTheirPoints) {
  for (const auto& [name, noise] : {std::pair{"8gaussians", -1.0}, {"8gaussians", 1.0}, {"checkerboard", -1.0}}) {
    const Synthetic s = synthetic(name, {.points = 20000, .test_points = 0, .noise = noise});
    const auto log_density = known_log_density(s.data.source);
    ASSERT_TRUE(log_density) << s.data.source;
    // On a grid: the density sums to one, and -log of it has the mean that the points have.
    constexpr double h = 0.04;
    double mass = 0, entropy = 0, square = 0, mean = 0, variance = 0;
    for (double x = -11 + h / 2; x < 11; x += h) {
      for (double y = -11 + h / 2; y < 11; y += h) {
        const float at[2] = {static_cast<float>(x), static_cast<float>(y)};
        const double log_p = log_density({at, 2}), p = std::exp(log_p) * h * h;
        mass += p;
        if (p > 0) entropy -= p * log_p, square += p * log_p * log_p;
      }
    }
    EXPECT_NEAR(mass, 1, 1e-3) << s.data.source;  // cells of the board end between cells of the grid
    for (Index i = 0; i < 20000; ++i) mean -= log_density({s.data.train.x.view().row(i), 2}) / 20000;
    variance = std::max(0.0, square - entropy * entropy);
    EXPECT_NEAR(mean, entropy, 4 * std::sqrt(variance / 20000) + 5e-3) << s.data.source;
  }
  for (const char* source :
       {"moons, seed 0", "8gaussians, seed 0, noise 0", "checkerboard, seed 3, noise 0.1", "", "8gaussians"})
    EXPECT_FALSE(known_log_density(source)) << source;
}

}  // namespace
}  // namespace monge::data
