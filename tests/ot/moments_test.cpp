#include "monge/ot/moments.h"

#include <gtest/gtest.h>

#include <cmath>

#include "monge/ot/core/random.h"

namespace monge::ot {
namespace {

// Columns of different spread, `offset` spreads away from the origin, correlated.
Matrix<float> cloud(Index n, Index d, double scale, double offset = 0.5) {
  Matrix<float> y(n, d);
  fill_normal(Rng{1}, 0, {y.data(), n * d});
  for (Index i = 0; i < n; ++i) {
    for (Index k = d - 1; k > 0; --k) y(i, k) += 0.7f * y(i, k - 1);
    for (Index k = 0; k < d; ++k)
      y(i, k) = static_cast<float>(scale * (y(i, k) * (1 + static_cast<double>(k % 5)) + offset));
  }
  return y;
}

// Sum to one; some are zero, the largest 10^9 times the least.
std::vector<double> uneven_weights(Index n) {
  std::vector<double> b(static_cast<std::size_t>(n));
  double total = 0;
  for (Index i = 0; i < n; ++i)
    total += b[static_cast<std::size_t>(i)] = i % 7 == 3 ? 0 : std::pow(10.0, -static_cast<double>(i % 10));
  for (double& w : b) w /= total;
  return b;
}

// From the definitions, in long double.
void expect_moments_of(MatrixView<const float> y, const std::vector<double>& b, const Moments& moments) {
  const Index n = y.rows, d = y.cols;
  const auto weight = [&](Index i) {
    return b.empty() ? 1.0L / static_cast<long double>(n) : static_cast<long double>(b[static_cast<std::size_t>(i)]);
  };
  std::vector<long double> mean(static_cast<std::size_t>(d), 0.0L), size(mean), covariance(mean.size() * mean.size());
  for (Index k = 0; k < d; ++k) {
    for (Index i = 0; i < n; ++i)
      mean[k] += weight(i) * y(i, k), size[k] = std::max(size[k], std::abs(static_cast<long double>(y(i, k))));
    EXPECT_NEAR(moments.mean[k], static_cast<double>(mean[k]), static_cast<double>(1e-14L * size[k])) << k;
  }
  for (Index k = 0; k < d; ++k)
    for (Index l = 0; l < d; ++l)
      for (Index i = 0; i < n; ++i) covariance[k * d + l] += weight(i) * (y(i, k) - mean[k]) * (y(i, l) - mean[l]);
  // The mean is known to 1e-14 of the coordinates' size, whose square is the error; and 1e-13 for the sums.
  for (Index k = 0; k < d; ++k)
    for (Index l = 0; l < d; ++l) {
      const long double spread = std::sqrt(covariance[k * d + k] * covariance[l * d + l]);
      EXPECT_NEAR(moments.covariance[k * d + l], static_cast<double>(covariance[k * d + l]),
                  static_cast<double>(1e-13L * spread + 1e-28L * size[k] * size[l]))
          << k << " " << l;
    }
}

TEST(Moments, AreThoseOfTheDefinitionsAtAnyScale) {
  for (const double scale : {1.0, 1e-30, 1e-24, 1e21, 1e30})
    for (const bool weighted : {false, true}) {
      SCOPED_TRACE(testing::Message() << scale << (weighted ? ", weighted" : ""));
      const Matrix<float> y = cloud(2500, 9, scale);  // two blocks of rows and some
      const std::vector<double> b = weighted ? uneven_weights(2500) : std::vector<double>{};
      expect_moments_of(y.view(), b, cloud_moments(y.view(), b, {}));
    }
}

TEST(Moments, OfColumnsOfAllScalesAndFarFromTheOrigin) {
  Matrix<float> y = cloud(1500, 5, 1);
  for (Index i = 0; i < y.rows(); ++i) y(i, 0) *= 1e-30f, y(i, 1) *= 1e30f, y(i, 2) += 1e6f;
  expect_moments_of(y.view(), {}, cloud_moments(y.view(), {}, {}));
}

TEST(Moments, PointsWithoutWeightDoNotCountHoweverFar) {
  Matrix<float> y = cloud(1000, 3, 1);
  std::vector<double> b(1000, 1.0 / 999);
  b[17] = 0;
  for (Index k = 0; k < 3; ++k) y(17, k) = 3e38f;
  const Moments moments = cloud_moments(y.view(), b, {});
  for (Index k = 0; k < 3; ++k) y(17, k) = 0;
  const Moments expected = cloud_moments(y.view(), b, {});
  EXPECT_EQ(moments.mean, expected.mean);
  EXPECT_EQ(moments.covariance, expected.covariance);
}

TEST(Moments, OfOnePointAndOfEqualOnes) {
  Matrix<float> y(50, 2);
  for (Index i = 0; i < 50; ++i) y(i, 0) = 3e38f, y(i, 1) = -1e-40f;
  for (const Index n : {1, 50}) {
    const Moments moments = cloud_moments(y.view().rows_from(0, n), {}, {});
    EXPECT_NEAR(moments.mean[0] / 3e38f, 1, 1e-14);
    EXPECT_NEAR(moments.mean[1] / -1e-40f, 1, 1e-14);
    for (const Index entry : {0, 1, 2, 3}) EXPECT_LE(std::abs(moments.covariance[entry]), 1e-28 * 3e38 * 3e38);
  }
}

TEST(Moments, SameBitsAtOneAndTwoThreads) {
  const Matrix<float> y = cloud(9000, 30, 1);  // three waves
  const std::vector<double> b = uneven_weights(9000);
  const Moments one = cloud_moments(y.view(), b, {.threads = 1}), two = cloud_moments(y.view(), b, {.threads = 2});
  EXPECT_EQ(one.mean, two.mean);
  EXPECT_EQ(one.covariance, two.covariance);
}

}  // namespace
}  // namespace monge::ot
