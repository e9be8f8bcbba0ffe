#include "monge/ot/semidiscrete.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "monge/ot/core/error.h"
#include "monge/ot/matcher.h"
#include "semidiscrete_truth.h"

namespace monge::ot {
namespace {

using truth::expect_error;
using truth::Line;
using truth::normal_cloud;

TEST(Semidiscrete, OneDimensionMatchesTheQuantileSolution) {
  const std::vector<float> y = {-2.0f, -0.5f, 0.1f, 0.9f, 1.4f, 3.0f};
  const std::vector<double> b = {0.1, 0.25, 0.05, 0.3, 0.2, 0.1};
  const Line exact(y, b);
  const SemidiscreteResult r = semidiscrete({y.data(), 6, 1}, b, {.tolerance = 1e-3, .seed = 3});
  ASSERT_EQ(r.status, Status::converged);
  EXPECT_LE(r.marginal.upper, 1e-3);
  for (std::size_t j = 0; j + 1 < y.size(); ++j) {
    const double boundary = (r.potentials.g[j] - r.potentials.g[j + 1]) / (y[j + 1] - y[j]);
    EXPECT_NEAR(boundary, exact.z[j], 0.06) << j;  // a chi-square of 1e-3 leaves a mass of 0.1 free by 0.01
  }
  EXPECT_EQ(r.certificate.kind, Certificate::Kind::confidence);
  EXPECT_LE(r.certificate.lower, exact.cost);
  EXPECT_GE(r.certificate.upper, exact.cost);
  EXPECT_LT(r.certificate.upper - r.certificate.lower, 0.05 * std::abs(exact.cost));
}

TEST(Semidiscrete, SquaredEuclideanIsTheSameProblemInOtherUnits) {
  const std::vector<float> y = {4.0f, 5.5f, 7.0f, 7.2f};
  const std::vector<double> b = {0.4, 0.3, 0.2, 0.1};
  const Line exact(y, b);
  double cost = 1 + 2 * exact.cost;  // E x^2 + sum b y^2 - 2 E<x, T(x)>
  for (std::size_t j = 0; j < y.size(); ++j) cost += b[j] * y[j] * y[j];
  const SemidiscreteResult r =
      semidiscrete({y.data(), 4, 1}, b, {.cost = Cost::squared_euclidean, .tolerance = 1e-3, .seed = 1});
  ASSERT_EQ(r.status, Status::converged);
  EXPECT_NEAR(r.cost, cost, 0.01 * cost);
  EXPECT_LE(r.certificate.lower, cost);
  EXPECT_GE(r.certificate.upper, cost);
  for (std::size_t j = 0; j + 1 < y.size(); ++j) {  // |x - y_j|^2 - g_j = |x - y_j+1|^2 - g_j+1 at the boundary
    const auto [p, q] = std::pair<double, double>(y[j], y[j + 1]);
    const double boundary = (q * q - p * p - r.potentials.g[j + 1] + r.potentials.g[j]) / (2 * (q - p));
    EXPECT_NEAR(boundary, exact.z[j], 0.06) << j;  // a chi-square of 1e-3 leaves a mass of 0.1 free by 0.01
  }
}

struct FitCase {
  const char* name;
  Index n, d;
  double epsilon;
  Index pca;
  bool weighted;
};

class Fits : public testing::TestWithParam<FitCase> {};

// The stated interval against the marginal of the matcher on noise the fit has never seen.
TEST_P(Fits, ReachTheToleranceOnFreshNoise) {
  const FitCase c = GetParam();
  Matrix<float> y = normal_cloud(c.n, c.d, 5);
  for (Index i = 0; i < c.n; ++i) {
    for (Index k = 0; k < c.d; ++k)
      y(i, k) = y(i, k) * (1 + static_cast<float>(i % 5)) / std::sqrt(1.0f + static_cast<float>(k)) + 7;
  }
  std::vector<double> b;
  for (Index j = 0; c.weighted && j < c.n; ++j) b.push_back(std::exp(std::sin(static_cast<double>(j))));
  SemidiscreteOptions options{.epsilon = c.epsilon, .pca = c.pca, .seed = 9};
  const SemidiscreteResult r = semidiscrete(y.view(), b, options);
  ASSERT_EQ(r.status, Status::converged);
  EXPECT_LE(r.marginal.upper, options.tolerance);
  EXPECT_LE(r.certificate.lower, r.certificate.upper);
  EXPECT_GT(r.samples_per_atom, r.gemm_rows_per_atom * 0.999);
  const auto matcher = pass_matcher(y.view(), r.potentials);
  const MarginalError fresh = marginal_error(*matcher, c.n, c.d, 40000, 1234, b);
  // Two independent 95% intervals of one number miss each other once in 180 times; the same with both twice as wide
  // never, for what a test is.
  EXPECT_LE(fresh.chi2 - 2 * (fresh.chi2 - fresh.lower), r.marginal.chi2 + 2 * (r.marginal.upper - r.marginal.chi2));
  EXPECT_GE(fresh.chi2 + 2 * (fresh.upper - fresh.chi2), r.marginal.chi2 - 2 * (r.marginal.chi2 - r.marginal.lower));
  EXPECT_LE(fresh.lower, 0.05);  // what convergence promises
}

INSTANTIATE_TEST_SUITE_P(Problems, Fits,
                         testing::Values(FitCase{"plain", 1500, 16, 0, 0, false},
                                         FitCase{"weights", 800, 8, 0, 0, true}, FitCase{"pca", 1000, 40, 0, 10, false},
                                         FitCase{"two", 2, 3, 0, 0, false},
                                         FitCase{"small_epsilon", 700, 12, 0.2, 0, false},
                                         FitCase{"large_epsilon", 500, 6, 8.0, 0, true}),
                         [](const auto& info) { return info.param.name; });

TEST(Semidiscrete, OtherSourceLaws) {
  // Uniform on [0, 1)^2, far from centred and from normal.
  const SourceLaw uniform = [](const Rng& rng, std::uint64_t first, MatrixView<float> out) {
    for (Index i = 0; i < out.rows; ++i) {
      const Rng::Block w = rng.bits(first + static_cast<std::uint64_t>(i));
      for (Index k = 0; k < out.cols; ++k) out(i, k) = Rng::uniform(w.w[k]);
    }
  };
  Matrix<float> y = normal_cloud(300, 2, 8, 0.2f, 3.0f);
  const SemidiscreteResult r = semidiscrete(y.view(), {}, {.cost = Cost::squared_euclidean, .seed = 2}, uniform);
  ASSERT_EQ(r.status, Status::converged);
  const auto matcher = pass_matcher(y.view(), r.potentials);
  const MarginalError fresh = marginal_error(*matcher, 300, 2, 60000, 77, {}, uniform);
  EXPECT_LE(fresh.chi2, 0.055);
  EXPECT_LE(r.certificate.lower, r.cost);  // T(x) is nearly optimal
  EXPECT_GE(r.certificate.upper, r.cost * 0.98);
}

TEST(Semidiscrete, DuplicatesShareTheirMassAndZeroWeightsGetNone) {
  Matrix<float> y = normal_cloud(60, 4, 3);
  for (Index k = 0; k < 4; ++k) y(10, k) = y(11, k) = y(12, k) = y(0, k);
  std::vector<double> b(60, 1.0);
  b[20] = 0;
  b[11] = 3;
  const SemidiscreteResult r = semidiscrete(y.view(), b, {.tolerance = 0.02, .seed = 4});
  EXPECT_EQ(r.merged, 3);
  EXPECT_EQ(r.dropped, 1);
  EXPECT_EQ(r.potentials.g[20], -std::numeric_limits<double>::infinity());
  EXPECT_EQ(r.potentials.g[0], r.potentials.g[12]);
  const auto matcher = pass_matcher(y.view(), r.potentials);
  const Index samples = 100000;
  Matrix<float> x = normal_cloud(samples, 4, 99);
  std::vector<std::int32_t> partner(samples);
  matcher->match(x.view(), Rng{5}, 0, partner);
  std::vector<double> counts(60, 0.0);
  for (std::int32_t j : partner) counts[static_cast<std::size_t>(j)] += 1;
  EXPECT_EQ(counts[20], 0);
  // The fit says what all four get together, if not that it is what they should; a hit goes to one of weight w with
  // probability w / 6, which leaves a count c off by sqrt(c).
  const double together = counts[0] + counts[10] + counts[11] + counts[12];
  for (std::size_t j : {0u, 10u, 11u, 12u}) {
    const double share = b[j] / 6;
    EXPECT_NEAR(counts[j], share * together, 4.5 * std::sqrt(share * (1 - share) * together)) << j;
  }
  // The marginal's chi-square is at most 0.02, of which this atom's part is (m - b)^2 / b.
  const double weight = 6.0 / 61;  // of 59 atoms, one of weight 3
  EXPECT_NEAR(together / samples, weight, std::sqrt(0.02 * weight) + 4.5 * std::sqrt(weight / samples));
}

TEST(Semidiscrete, OneAtomIsTrivial) {
  const std::vector<float> y = {3.0f, -1.0f};
  const SemidiscreteResult r = semidiscrete({y.data(), 1, 2}, {}, {});
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_NEAR(r.marginal.chi2, 0, 1e-12);
  EXPECT_NEAR(r.cost, 0, 1e-6);  // the mean of -<x, y> is zero
}

TEST(Semidiscrete, SameBitsAtOneAndTwoThreads) {
  const Matrix<float> y = normal_cloud(900, 12, 2);
  for (const double epsilon : {0.0, 3.0}) {
    const auto one = semidiscrete(y.view(), {}, {.epsilon = epsilon, .seed = 1, .context = {.threads = 1}});
    const auto two = semidiscrete(y.view(), {}, {.epsilon = epsilon, .seed = 1, .context = {.threads = 2}});
    EXPECT_EQ(one.potentials.g, two.potentials.g);
    EXPECT_EQ(one.marginal.chi2, two.marginal.chi2);
    EXPECT_EQ(one.certificate.upper, two.certificate.upper);
  }
}

TEST(Semidiscrete, FaissFlatAgreesAndApproximateRecallIsMeasured) {
  const Matrix<float> y = normal_cloud(2000, 24, 6);
  const SemidiscreteResult r = semidiscrete(y.view(), {}, {.seed = 6});
  const auto exact = pass_matcher(y.view(), r.potentials);
  EXPECT_GT(recall(*faiss_matcher(y.view(), r.potentials), *exact, 24, 2000, 1), 0.999);
  const double ivf =
      recall(*faiss_matcher(y.view(), r.potentials, {.index = FaissIndex::ivf, .probes = 1}), *exact, 24, 2000, 1);
  EXPECT_GT(ivf, 0.02);
  EXPECT_LT(ivf, 0.98);
  const double hnsw = recall(*faiss_matcher(y.view(), r.potentials, {.index = FaissIndex::hnsw}), *exact, 24, 2000, 1);
  EXPECT_GT(hnsw, 0.5);
}

TEST(Semidiscrete, StopsWhenAsked) {
  const Matrix<float> y = normal_cloud(500, 5, 1);
  int calls = 0;
  SemidiscreteOptions options;
  options.on_step = [&](const SemidiscreteStep&) { return ++calls < 3; };
  const SemidiscreteResult r = semidiscrete(y.view(), {}, options);
  EXPECT_EQ(r.status, Status::stopped_by_caller);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(r.certificate.kind, Certificate::Kind::none);
  EXPECT_EQ(r.potentials.g.size(), 500u);
  options.on_step = {};
  options.max_samples_per_atom = 3;
  EXPECT_EQ(semidiscrete(y.view(), {}, options).status, Status::iteration_limit);
}

// Before the directions are known there is nothing to save but potentials of no use; they are valid all the same.
TEST(Semidiscrete, StopsBeforePrincipalDirectionsAreKnown) {
  const Matrix<float> y = normal_cloud(500, 5, 1);
  int calls = 0;
  SemidiscreteOptions options{.pca = 2};
  options.on_step = [&](const SemidiscreteStep&) { return ++calls, false; };
  const SemidiscreteResult r = semidiscrete(y.view(), {}, options);
  EXPECT_EQ(r.status, Status::stopped_by_caller);
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(r.potentials.pca);
  EXPECT_EQ(r.certificate.kind, Certificate::Kind::none);
  EXPECT_EQ(r.potentials.g, std::vector<double>(500, 0.0));
  std::vector<std::int32_t> partner(500);
  pass_matcher(y.view(), r.potentials)->match(y.view(), Rng{}, 0, partner);
  const auto stop = [](const SemidiscreteStep&) { return false; };
  EXPECT_EQ(semidiscrete(y.view(), {}, {.pca = 2, .tau = 1, .on_step = stop}).status, Status::stopped_by_caller);
}

TEST(Semidiscrete, ExtremeScalesStayFinite) {
  for (const float scale : {1e-18f, 1e15f}) {
    const Matrix<float> y = normal_cloud(300, 6, 4, scale);
    const SemidiscreteResult r = semidiscrete(y.view(), {}, {.seed = 1});
    EXPECT_EQ(r.status, Status::converged) << scale;
    for (double g : r.potentials.g) ASSERT_TRUE(std::isfinite(g));
  }
}

TEST(Semidiscrete, RefusesBadInput) {
  Matrix<float> y = normal_cloud(20, 3, 1);
  expect_error(Errc::invalid_argument, "empty", [&] { semidiscrete({y.data(), 0, 3}); });
  expect_error(Errc::invalid_argument, "19 weights for 20",
               [&] { semidiscrete(y.view(), std::vector<double>(19, 1.0)); });
  std::vector<double> b(20, 1.0);
  b[7] = -1;
  expect_error(Errc::invalid_argument, "weight 7", [&] { semidiscrete(y.view(), b); });
  b[7] = std::nan("");
  expect_error(Errc::not_finite, "weight 7", [&] { semidiscrete(y.view(), b); });
  expect_error(Errc::invalid_argument, "all weights are zero",
               [&] { semidiscrete(y.view(), std::vector<double>(20, 0.0)); });
  expect_error(Errc::invalid_argument, "epsilon", [&] { semidiscrete(y.view(), {}, {.epsilon = -1}); });
  expect_error(Errc::invalid_argument, "tolerance", [&] { semidiscrete(y.view(), {}, {.tolerance = 0}); });
  expect_error(Errc::invalid_argument, "pca", [&] { semidiscrete(y.view(), {}, {.pca = 4}); });
  y(13, 2) = std::numeric_limits<float>::infinity();
  expect_error(Errc::not_finite, "row 13, column 2", [&] { semidiscrete(y.view()); });
  y(13, 2) = 0;
  const SourceLaw broken = [](const Rng&, std::uint64_t, MatrixView<float> out) {
    for (Index i = 0; i < out.rows; ++i) std::fill_n(out.row(i), out.cols, std::nanf(""));
  };
  expect_error(Errc::not_finite, "source", [&] { semidiscrete(y.view(), {}, {}, broken); });
}

TEST(Matcher, RefusesWhatDoesNotFit) {
  const Matrix<float> y = normal_cloud(50, 3, 1);
  const SemidiscreteResult r = semidiscrete(y.view(), {}, {.epsilon = 0.5});
  expect_error(Errc::invalid_argument, "pass_matcher", [&] { faiss_matcher(y.view(), r.potentials); });
  expect_error(Errc::invalid_argument, "50 potentials for 40 atoms",
               [&] { pass_matcher(y.view().rows_from(0, 40), r.potentials); });
  const auto matcher = pass_matcher(y.view(), r.potentials);
  std::vector<std::int32_t> partner(2);
  const Matrix<float> x = normal_cloud(2, 4, 1);
  expect_error(Errc::invalid_argument, "4 dimensions", [&] { matcher->match(x.view(), Rng{}, 0, partner); });
}

TEST(Semidiscrete, WeightsOfAnyScaleGiveTheSamePrincipalDirections) {
  Matrix<float> y(300, 4);
  fill_normal(Rng{1}, 0, {y.data(), 1200});
  std::vector<double> b(300), more(300);
  for (std::size_t j = 0; j < b.size(); ++j) b[j] = 1.0 + static_cast<double>(j % 3), more[j] = 8 * b[j];
  const SemidiscreteOptions options{.pca = 2};
  EXPECT_EQ(semidiscrete(y.view(), b, options).potentials.g, semidiscrete(y.view(), more, options).potentials.g);
  y(13, 2) = NAN;
  EXPECT_THROW(semidiscrete(y.view(), b, options), Error);
  y(13, 2) = 0;
  EXPECT_THROW(semidiscrete(y.view(), VectorView<const double>(b.data(), 10), options), Error);
}

}  // namespace
}  // namespace monge::ot
