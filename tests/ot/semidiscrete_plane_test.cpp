// Fits in few dimensions: found through a tree, by steps that leave no long waves.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "monge/ot/matcher.h"
#include "monge/ot/score_tree.h"
#include "monge/ot/semidiscrete.h"
#include "semidiscrete_truth.h"

namespace monge::ot {
namespace {

using truth::chi2_of;
using truth::naive_hits;
using truth::normal_cloud;

enum class Shape { gaussians, moons, curve };

Matrix<float> plane_cloud(Shape shape, Index n) {
  Matrix<float> y(n, 2);
  std::mt19937_64 random(5);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform;
  for (Index j = 0; j < n; ++j) {
    if (shape == Shape::gaussians) {
      const double angle = static_cast<double>(random() % 8) * M_PI / 4;
      y(j, 0) = 5 * static_cast<float>(std::cos(angle)) + 0.3f * normal(random);
      y(j, 1) = 5 * static_cast<float>(std::sin(angle)) + 0.3f * normal(random);
    } else if (shape == Shape::curve) {
      const float t = 3 * static_cast<float>(M_PI) * (uniform(random) - 0.5f);
      y(j, 0) = 1.5f * (std::sin(t) + 0.05f * normal(random));
      y(j, 1) = 1.5f * ((t > 0 ? 1 : -1) * (std::cos(t) - 1) + 0.05f * normal(random));
    } else {
      const float angle = static_cast<float>(M_PI) * uniform(random);
      const bool other = random() % 2 == 0;
      y(j, 0) = 2 * ((other ? 1 - std::cos(angle) : std::cos(angle)) + 0.05f * normal(random));
      y(j, 1) = 2 * ((other ? 0.5f - std::sin(angle) : std::sin(angle)) + 0.05f * normal(random));
    }
  }
  return y;
}

// Hits of `groups` groups of as many atoms: slices of the plane, each cut again.
std::vector<double> hits_of_groups(const Matrix<float>& y, const std::vector<double>& hits, Index groups) {
  const auto n = hits.size(), side = static_cast<std::size_t>(std::sqrt(groups));
  std::vector<std::size_t> order(n);
  for (std::size_t j = 0; j < n; ++j) order[j] = j;
  const auto sort = [&](std::size_t begin, std::size_t end, Index k) {
    std::sort(order.begin() + static_cast<std::ptrdiff_t>(begin), order.begin() + static_cast<std::ptrdiff_t>(end),
              [&](std::size_t i, std::size_t j) { return y(static_cast<Index>(i), k) < y(static_cast<Index>(j), k); });
  };
  sort(0, n, 0);
  for (std::size_t s = 0; s < side; ++s) sort(s * n / side, (s + 1) * n / side, 1);
  std::vector<double> sums(static_cast<std::size_t>(groups), 0.0);
  for (std::size_t p = 0; p < n; ++p) sums[p * sums.size() / n] += hits[order[p]];
  return sums;
}

// Steps of each atom for itself took 1586 noise vectors per atom for a curve of 1000, and left waves over many cells:
// groups of atoms had a chi-square three (gaussians) to fourteen times as large as if atoms had erred independently.
TEST(SemidiscretePlane, CloudsOfManyShapesHaveNoLongWaves) {
  for (const Shape shape : {Shape::gaussians, Shape::moons, Shape::curve}) {
    const Index n = 1600, groups = 64, rows = 30000;
    const Matrix<float> y = plane_cloud(shape, n);
    const SemidiscreteResult r = semidiscrete(y.view(), {}, {.seed = 1});
    EXPECT_EQ(r.status, Status::converged) << static_cast<int>(shape);
    EXPECT_LT(r.samples_per_atom, 150) << static_cast<int>(shape);
    const std::vector<double> hits = naive_hits(y, r.potentials.g, rows);
    // Standard errors of sqrt(2 n) / rows = 0.002 and sqrt(2 groups) / rows = 0.0004, and what the tolerance leaves.
    EXPECT_LT(chi2_of(hits), 0.05 + 0.006) << static_cast<int>(shape);
    EXPECT_LT(chi2_of(hits_of_groups(y, hits, groups)), 0.05 * groups / n + 0.0012) << static_cast<int>(shape);
  }
}

TEST(SemidiscretePlane, SharpTolerances) {
  const Matrix<float> y = plane_cloud(Shape::curve, 1000);
  const SemidiscreteResult r = semidiscrete(y.view(), {}, {.tolerance = 0.005, .seed = 1});
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_LT(r.samples_per_atom, 1500);
  EXPECT_LT(r.marginal.upper, 0.005);
}

// Clusters far apart, the centres `spread` times normal, of deviation sd.
Matrix<float> clusters(Index n, Index d, Index count, float spread, float sd, std::uint64_t seed) {
  const Matrix<float> centres = normal_cloud(count, d, seed, spread);
  Matrix<float> y = normal_cloud(n, d, seed + 100, sd);
  std::mt19937_64 random(seed);
  for (Index j = 0; j < n; ++j) {
    const auto c = static_cast<Index>(random() % static_cast<std::uint64_t>(count));
    for (Index k = 0; k < d; ++k) y(j, k) += centres(c, k);
  }
  return y;
}

// A cell that is lost has no borders: steps by measured curvature alone took its atom thousands of gaps too far, and
// these ended with chi-squares of 0.2 to 4.
TEST(SemidiscretePlane, ClustersFarApart) {
  for (const Index d : {2, 3})
    for (const Index n : {20, 50, 200, 2000})
      for (const std::uint64_t seed : {0, 1, 2, 3}) {
        const Matrix<float> y = clusters(n, d, n < 100 ? 2 : 4, 7, 0.07f, seed);
        const SemidiscreteResult r = semidiscrete(y.view(), {}, {.seed = seed});
        EXPECT_EQ(r.status, Status::converged) << d << " " << n << " " << seed;
        EXPECT_LT(r.samples_per_atom, 300 + 8e4 / static_cast<double>(n)) << d << " " << n << " " << seed;
        if (n > 200) continue;
        // Standard errors of 0.001 and less, and what the tolerance leaves.
        EXPECT_LT(chi2_of(naive_hits(y, r.potentials.g, 40000)), 0.05 + 0.01) << d << " " << n << " " << seed;
      }
}

// One temperature cannot tell the borders of cells of all sizes: Newton's steps went astray, and ended with chi-squares
// of 2 to 30.
TEST(SemidiscretePlane, SizesOverThreeDecades) {
  for (const Index d : {2, 3})
    for (const std::uint64_t seed : {0, 1, 2}) {
      SCOPED_TRACE(concat("d ", d, ", seed ", seed));
      Matrix<float> y = normal_cloud(1500, d, seed);
      for (Index j = 0; j < y.rows(); ++j) {
        const double size = std::pow(10.0, -1.5 + 3 * static_cast<double>(j) / static_cast<double>(y.rows()));
        for (Index k = 0; k < d; ++k) y(j, k) *= static_cast<float>(size);
      }
      const SemidiscreteResult r = semidiscrete(y.view(), {}, {.tolerance = 0.1, .seed = seed});
      EXPECT_EQ(r.status, Status::converged);
      EXPECT_LT(chi2_of(naive_hits(y, r.potentials.g, 40000)), 0.1 + 0.02);
    }
}

TEST(SemidiscretePlane, OneAtomFarOff) {
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    Matrix<float> y = normal_cloud(30, 2, seed);
    for (Index k = 0; k < 2; ++k) y(0, k) *= 1e4f;
    const SemidiscreteResult r = semidiscrete(y.view(), {}, {.seed = seed});
    EXPECT_EQ(r.status, Status::converged) << seed;
    EXPECT_LT(chi2_of(naive_hits(y, r.potentials.g, 40000)), 0.05 + 0.01) << seed;
  }
}

// Masses that may stray and labels start from far off.
TEST(SemidiscretePlane, OtherProblems) {
  const Matrix<float> y = plane_cloud(Shape::curve, 1200);
  std::vector<std::int32_t> labels;
  for (Index j = 0; j < y.rows(); ++j) labels.push_back(y(j, 1) > 0 ? 3 : 8);
  for (const SemidiscreteOptions& options :
       {SemidiscreteOptions{.tau = 0.5, .seed = 2}, SemidiscreteOptions{.labels = labels, .seed = 2}}) {
    const SemidiscreteResult r = semidiscrete(y.view(), {}, options);
    EXPECT_EQ(r.status, Status::converged);
    EXPECT_LT(r.samples_per_atom, 200);
    EXPECT_LT(r.marginal.upper, 0.05);
  }
}

TEST(SemidiscretePlane, SpaceToo) {
  const Matrix<float> y = normal_cloud(2500, 3, 3);
  ASSERT_TRUE(ScoreTree::pays(2500, 3));
  const SemidiscreteResult r = semidiscrete(y.view(), {}, {.seed = 2});
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_LT(chi2_of(naive_hits(y, r.potentials.g, 20000)), 0.05 + 0.011);  // three standard errors of 0.0036
}

// From two moons to eight Gaussians: steps that take borders over thin noise at one go lead astray.
TEST(SemidiscretePlane, FromPointsInClusters) {
  constexpr Index points = 200000, rows = 100000;
  Matrix<float> x = plane_cloud(Shape::moons, points);
  const Matrix<float> noise = normal_cloud(points, 2, 8), y = plane_cloud(Shape::gaussians, 2500);
  for (Index i = 0; i < 2 * points; ++i) x.data()[i] = 1.5f * x.data()[i] + 0.6f * noise.data()[i];
  const SourceLaw source = source_of_points(std::as_const(x).view());
  const SemidiscreteResult r = semidiscrete(y.view(), {}, {.tolerance = 0.02, .seed = 2}, source);
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_LT(r.samples_per_atom, 600);
  Matrix<float> fresh(rows, 2);
  draw(source, Rng{77}, 0, fresh.view(), {});
  std::vector<std::int32_t> partners(rows);
  pass_matcher(y.view(), r.potentials)->match(fresh.view(), Rng{1}, 0, partners);
  std::vector<double> hits(2500, 0.0);
  for (const std::int32_t j : partners) hits[static_cast<std::size_t>(j)] += 1;
  EXPECT_LT(chi2_of(hits), 0.02 + 0.0025);  // three standard errors of 0.0008
}

// On a line cells are intervals, whose masses the normal law has in closed form. y: in rising order.
double chi2_on_line(const Matrix<float>& y, const std::vector<double>& b, const SemidiscretePotentials& p) {
  const bool squared = p.cost == Cost::squared_euclidean;
  double chi2 = -1, before = 0, total = 0;
  for (Index j = 0; j < y.rows(); ++j) total += b.empty() ? 1.0 : b[static_cast<std::size_t>(j)];
  for (Index j = 0; j < y.rows(); ++j) {
    const auto at = static_cast<std::size_t>(j);
    double boundary = HUGE_VAL;
    if (j + 1 < y.rows()) {
      const double low = static_cast<double>(y(j, 0)), high = static_cast<double>(y(j + 1, 0));
      const double prices = p.g[at] - p.g[at + 1];
      boundary = (squared ? 0.5 * (prices + high * high - low * low) : prices) / (high - low);
    }
    const double share = truth::normal_share(boundary), mass = std::max(0.0, share - before);
    chi2 += mass * mass * total / (b.empty() ? 1.0 : b[at]);
    before = std::max(before, share);
  }
  return chi2;
}

enum class LineShape { normal, far_off, cauchy, lognormal, clusters };
Matrix<float> sorted_line(LineShape shape, Index n) {
  const Matrix<float> x = normal_cloud(n, 1, 7), z = normal_cloud(n, 1, 8);
  std::vector<float> y;
  for (Index j = 0; j < n; ++j) {
    const float u = x(j, 0);
    y.push_back(shape == LineShape::far_off     ? u + 100
                : shape == LineShape::cauchy    ? u / z(j, 0)
                : shape == LineShape::lognormal ? std::exp(2 * u)
                : shape == LineShape::clusters  ? static_cast<float>(20 * (j % 7)) + 0.01f * u
                                                : u);
  }
  std::sort(y.begin(), y.end());
  y.erase(std::unique(y.begin(), y.end()), y.end());
  Matrix<float> line(static_cast<Index>(y.size()), 1);
  std::copy(y.begin(), y.end(), line.data());
  return line;
}

// Floats would not tell thousands of neighbours apart, nor those of sizes and masses that differ by decades.
TEST(SemidiscretePlane, ALineNeedsNoAscent) {
  for (const LineShape shape :
       {LineShape::normal, LineShape::far_off, LineShape::cauchy, LineShape::lognormal, LineShape::clusters})
    for (const Index n : {50, 1000, 20000})
      for (const double decades : {0, 3}) {
        SCOPED_TRACE(concat("shape ", static_cast<int>(shape), ", n ", n, ", decades ", decades));
        const Matrix<float> y = sorted_line(shape, n);
        std::vector<double> b;
        for (Index j = 0; j < y.rows() && decades > 0; ++j)
          b.push_back(std::pow(10, decades * static_cast<double>(j * 7919 % 1000) / 1000));
        const Cost cost = shape == LineShape::far_off ? Cost::squared_euclidean : Cost::negative_dot;
        const SemidiscreteResult r = semidiscrete(y.view(), b, {.cost = cost, .seed = 3});
        EXPECT_EQ(r.status, Status::converged);
        EXPECT_LT(r.samples_per_atom, n < 100 ? 200 : 20);  // looks at the start alone
        EXPECT_LT(chi2_on_line(y, b, r.potentials), 0.01);
        EXPECT_LT(marginal_error(*pass_matcher(y.view(), r.potentials), y.rows(), 1, 100000, 5, b).lower, 0.01);
      }
}

TEST(SemidiscretePlane, ALineOfAnotherLaw) {
  const SourceLaw level = [](const Rng& rng, std::uint64_t first, MatrixView<float> out) {
    for (Index i = 0; i < out.rows; ++i) {
      const Rng::Block w = rng.bits(first + static_cast<std::uint64_t>(i));
      out(i, 0) = static_cast<float>(Rng::uniform(w.w[0], w.w[1]));
    }
  };
  const Matrix<float> y = normal_cloud(400, 1, 8);
  const SemidiscreteResult r = semidiscrete(y.view(), {}, {.seed = 4}, level);
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_LT(r.samples_per_atom, 60);
}

TEST(SemidiscretePlane, SameBitsAtOneAndTwoThreads) {
  const Matrix<float> y = plane_cloud(Shape::moons, 3000);
  SemidiscreteOptions options{.tolerance = 0.2, .seed = 6, .context = {.threads = 1}};
  const SemidiscreteResult one = semidiscrete(y.view(), {}, options);
  options.context.threads = 2;
  const SemidiscreteResult two = semidiscrete(y.view(), {}, options);
  EXPECT_EQ(one.samples_per_atom, two.samples_per_atom);
  for (std::size_t j = 0; j < one.potentials.g.size(); ++j) ASSERT_EQ(one.potentials.g[j], two.potentials.g[j]) << j;
}

}  // namespace
}  // namespace monge::ot
