// What a semidiscrete fit does at the ends: clouds far away, sizes beyond floats, no time, changes of all weights.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "monge/ot/assignment.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"
#include "monge/ot/semidiscrete.h"
#include "monge/ot/source.h"

namespace monge::ot {
namespace {

Matrix<float> cloud(Index n, Index d, std::uint64_t seed, float scale = 1, float shift = 0) {
  Matrix<float> x(n, d);
  fill_normal(Rng{seed}, 0, {x.data(), n * d});
  for (Index i = 0; i < n * d; ++i) x.data()[i] = std::round(x.data()[i] * 256) / 256 * scale + shift;  // exact shifts
  return x;
}

SemidiscreteResult fit(const Matrix<float>& x, const Matrix<float>& y, const SemidiscreteOptions& options = {}) {
  SemidiscreteOptions squared = options;
  squared.cost = Cost::squared_euclidean;
  return semidiscrete(y.view(), {}, squared, source_of_points(x.view(), {}));
}

TEST(SemidiscreteLimits, CertificatesOfCloudsFarAwayAreAsTight) {
  const SemidiscreteResult near = fit(cloud(4000, 3, 1), cloud(100, 3, 2));
  const SemidiscreteResult far = fit(cloud(4000, 3, 1, 1, 1024), cloud(100, 3, 2, 1, 1024));
  const auto width = [](const SemidiscreteResult& r) { return r.certificate.upper - r.certificate.lower; };
  EXPECT_LT(width(far), 1.5 * width(near) + 0.02);
  EXPECT_NEAR(far.certificate.lower, near.certificate.lower, 0.05);
}

// Float scores of a cloud on itself are off by more than the cost, which is zero.
TEST(SemidiscreteLimits, CertificatesHoldRounding) {
  const Matrix<float> y = cloud(50, 2, 3, 1, 100);
  const SemidiscreteResult r = fit(y, y);
  EXPECT_LE(r.certificate.lower, 0);
  EXPECT_GE(r.certificate.upper, 0);
}

TEST(SemidiscreteLimits, SizesBeyondFloatsAreRefused) {
  for (const float scale : {1e-18f, 1e15f}) EXPECT_THROW(fit(cloud(500, 2, 1, scale), cloud(40, 2, 2, scale)), Error);
  for (const float scale : {1e-13f, 1e11f}) {
    const SemidiscreteResult r = fit(cloud(500, 2, 1, scale), cloud(40, 2, 2, scale));
    EXPECT_EQ(r.status, Status::converged);
    EXPECT_LE(r.certificate.lower, r.certificate.upper);
  }
}

// A tolerance whose check alone would take hours.
TEST(SemidiscreteLimits, TimeIsLimitedChecksIncluded) {
  SemidiscreteOptions options;
  options.tolerance = 1e-6;
  options.max_seconds = 0.4;
  const SemidiscreteResult r = semidiscrete(cloud(400, 2, 4).view(), {}, options);
  EXPECT_EQ(r.status, Status::time_limit);
  EXPECT_LT(r.seconds + r.check_seconds, 5);  // however busy the machine is: a check to the end takes hours
  EXPECT_GE(r.marginal.samples, 1024);
  EXPECT_TRUE(std::isfinite(r.certificate.upper));
}

TEST(SemidiscreteLimits, SamplesAreCountedPerAtomGiven) {
  const Matrix<float> once = cloud(300, 8, 5);
  Matrix<float> twice(600, 8);
  for (Index i = 0; i < 600; ++i) std::copy_n(once.view().row(i / 2), 8, twice.view().row(i));
  const SemidiscreteResult a = semidiscrete(once.view()), b = semidiscrete(twice.view());
  EXPECT_EQ(b.merged, 300);
  EXPECT_NEAR(b.samples_per_atom, a.samples_per_atom / 2, 0.2 * a.samples_per_atom);
}

// Half of the weights changed by a half: what was known is far off, and takes about as much noise as nothing known.
TEST(SemidiscreteLimits, RefitsOfQuiteAnotherCloudCostAboutAsMuchAsNewFits) {
  const Index n = 2000;
  double anew = 0, again = 0;
  for (const std::uint64_t seed : {6, 7, 8}) {
    const Matrix<float> y = cloud(n, 3, seed);
    const SemidiscreteResult before = semidiscrete(y.view());
    std::vector<std::int32_t> origin(static_cast<std::size_t>(n));
    std::iota(origin.begin(), origin.end(), 0);
    std::vector<double> b(origin.size(), 1.0);
    for (std::size_t j = 0; j < b.size(); j += 2) b[j] = 1.5;
    const SemidiscreteResult r = refit(y.view(), before.potentials, origin, b);
    EXPECT_EQ(r.status, Status::converged);
    again += r.samples_per_atom;
    anew += semidiscrete(y.view(), b).samples_per_atom;
  }
  EXPECT_LT(again, 1.6 * anew);
}

// Whatever ended the fit: some of these end at the limit with a marginal that will do.
TEST(SemidiscreteLimits, TheStatusIsWhatTheLastCheckSays) {
  const Matrix<float> y = cloud(1000, 8, 7);
  int short_of_the_end = 0;
  for (const double most : {12, 20, 24, 28, 32, 36}) {
    const SemidiscreteResult r = semidiscrete(y.view(), {}, {.max_samples_per_atom = most});
    EXPECT_EQ(r.status, r.marginal.upper <= 0.05 ? Status::converged : Status::iteration_limit) << most;
    short_of_the_end += r.status != Status::converged;
  }
  EXPECT_GT(short_of_the_end, 0);
}

}  // namespace
}  // namespace monge::ot
