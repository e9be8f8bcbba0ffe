#include "monge/ot/pca.h"

#include <gtest/gtest.h>

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <utility>

#include "monge/ot/blocks.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/eigenpairs.h"
#include "monge/ot/moments.h"

namespace monge::ot {
namespace {

// Deviations 1, 1/2, 1/3, ... along random orthogonal directions, `offset` deviations away from the origin.
Matrix<float> cloud(Index n, Index d, double scale, double offset = 0.5) {
  Matrix<float> random(n + d, d);
  fill_normal(Rng{2}, 0, {random.data(), (n + d) * d});
  Eigen::MatrixXd square(d, d);
  for (Index k = 0; k < d; ++k)
    for (Index l = 0; l < d; ++l) square(k, l) = random(n + k, l);
  const Eigen::MatrixXd turn = square.householderQr().householderQ();
  Matrix<float> y(n, d);
  for (Index i = 0; i < n; ++i) {
    Eigen::VectorXd point(d);
    for (Index k = 0; k < d; ++k) point(k) = random(i, k) / static_cast<double>(k + 1);
    const Eigen::VectorXd turned = turn * point;
    for (Index k = 0; k < d; ++k) y(i, k) = static_cast<float>(scale * (turned(k) + offset));
  }
  return y;
}

std::vector<double> some_weights(Index n) {
  std::vector<double> b(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) b[static_cast<std::size_t>(i)] = static_cast<double>(i % 5);
  return b;
}

struct Truth {
  Eigen::VectorXd mean, variance;  // ascending
  Eigen::MatrixXd directions;      // columns
};

// In double, of points brought to scale one.
Truth truth(MatrixView<const float> y, const std::vector<double>& b, double scale) {
  Eigen::MatrixXd points(y.rows, y.cols);
  Eigen::VectorXd weight(y.rows);
  for (Index i = 0; i < y.rows; ++i) {
    weight(i) = b.empty() ? 1 : b[static_cast<std::size_t>(i)];
    for (Index k = 0; k < y.cols; ++k) points(i, k) = y(i, k) / scale;
  }
  weight /= weight.sum();
  const Eigen::VectorXd mean = points.transpose() * weight;
  points.rowwise() -= mean.transpose();
  const Eigen::MatrixXd covariance = points.transpose() * weight.asDiagonal() * points;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(covariance);
  return {mean, eigen.eigenvalues(), eigen.eigenvectors()};
}

TEST(Pca, IsTheEigenproblemInDoubleAtAnyScale) {
  constexpr Index d = 20, k = 6;
  for (const Index n : {1500, 15})  // more points than dimensions, and fewer
    for (const double scale : {1.0, 1e-30, 1e-24, 1e21, 1e30})
      for (const bool weighted : {false, true}) {
        SCOPED_TRACE(testing::Message() << n << " points, " << scale << (weighted ? ", weighted" : ""));
        const Matrix<float> y = cloud(n, d, scale);
        const std::vector<double> b = weighted ? some_weights(n) : std::vector<double>{};
        const Truth expected = truth(y.view(), b, scale);
        const Pca pca = fit_pca(y.view(), k, b);
        for (Index c = 0; c < d; ++c)
          EXPECT_NEAR(pca.mean[static_cast<std::size_t>(c)] / scale, expected.mean(c), 1e-7);
        for (Index i = 0; i < k; ++i) {
          EXPECT_NEAR(pca.variance[static_cast<std::size_t>(i)] / scale / scale, expected.variance(d - 1 - i), 1e-13);
          const Eigen::VectorXd direction = expected.directions.col(d - 1 - i);
          Index largest = 0;
          direction.cwiseAbs().maxCoeff(&largest);
          const double sign = direction(largest) < 0 ? -1 : 1;
          for (Index c = 0; c < d; ++c) EXPECT_NEAR(pca.basis(i, c), sign * direction(c), 1e-7) << i << " " << c;
        }
        EXPECT_NEAR(pca.total_variance / scale / scale, expected.variance.sum(), 1e-13);
        EXPECT_NEAR(pca.lost_variance(), expected.variance.head(d - k).sum() / expected.variance.sum(), 1e-12);
      }
}

TEST(Pca, DoesNotDependOnTheScaleOfWeightsNorOnThreads) {
  const Matrix<float> y = cloud(5000, 12, 1);
  std::vector<double> b = some_weights(5000);
  const Pca pca = fit_pca(y.view(), 3, b, {.threads = 1});
  for (double& w : b) w *= 0x1p-900;
  const Pca again = fit_pca(y.view(), 3, b, {.threads = 2});
  EXPECT_EQ(pca.variance, again.variance);
  for (Index i = 0; i < 3 * 12; ++i) EXPECT_EQ(pca.basis.data()[i], again.basis.data()[i]);
}

// Fewer points than directions, or none that differ: an orthonormal basis all the same, and no variance lost.
TEST(Pca, OfCloudsThatAreFlat) {
  for (const Index n : {1, 4}) {
    const Matrix<float> y = cloud(n, 8, 1);
    const Pca pca = fit_pca(y.view(), 5);
    for (Index i = 0; i < 5; ++i)
      for (Index j = 0; j < 5; ++j) {
        double product = 0;
        for (Index c = 0; c < 8; ++c) product += static_cast<double>(pca.basis(i, c)) * pca.basis(j, c);
        EXPECT_NEAR(product, i == j, 5e-7);
      }
    EXPECT_NEAR(pca.lost_variance(), 0, 1e-12);
  }
}

// Points of many dimensions, enough and fewer than these: what is iterated spans what LAPACK finds.
TEST(Pca, OfManyDimensions) {
  constexpr Index k = 8;
  for (const auto& [n, d] : {std::pair<Index, Index>{1250, 1100}, {1100, 1250}}) {
    SCOPED_TRACE(testing::Message() << n << " points in " << d << " dimensions");
    Matrix<float> y(n, d);
    fill_normal(Rng{4}, 0, {y.data(), n * d});
    for (Index i = 0; i < n; ++i)
      for (Index c = 0; c < d; ++c) y(i, (c * 7) % d) *= std::pow(static_cast<float>(c + 1), -0.7f);
    const Pca pca = fit_pca(y.view(), k, {}, {.threads = 1});

    Moments moments = cloud_moments(y.view(), {}, {});
    const detail::Eigenpairs expected = detail::dense_eigenpairs({moments.covariance.data(), d, d}, d, {});
    double total = 0;
    for (const double v : expected.values) total += v;
    EXPECT_NEAR(pca.total_variance, total, 1e-12 * total);
    for (Index i = 0; i < k; ++i) {
      const auto at = static_cast<std::size_t>(i);
      EXPECT_NEAR(pca.variance[at], expected.values[at], 1e-12 * expected.values[0]);
      double outside = 1;
      for (Index j = 0; j < k; ++j)
        outside -= std::pow(dot(pca.basis.view().row(i), expected.vectors.view().row(j), d), 2);
      EXPECT_LT(outside, 4 * 0x1p-24) << i;  // d components, each of them rounded to a float
    }
    const Pca again = fit_pca(y.view(), k, {}, {.threads = 2});
    EXPECT_EQ(pca.variance, again.variance);
    EXPECT_TRUE(std::equal(pca.basis.data(), pca.basis.data() + k * d, again.basis.data()));
  }
}

TEST(Pca, HeedsAStop) {
  const Stop stop({});
  stop.request();
  for (const Index n : {100, 5}) {
    const Matrix<float> y = cloud(n, 8, 1);
    EXPECT_FALSE(finishes([&] { fit_pca(y.view(), 2, {}, {.stop = &stop}); })) << n;
  }
}

TEST(Project, IsTheProductWithTheBasis) {
  for (const double scale : {1.0, 1e-30, 1e30}) {
    const Matrix<float> y = cloud(700, 33, scale);  // blocks of rows and some
    const Pca pca = fit_pca(y.view(), 7);
    Matrix<float> wide(700, 10);  // rows further apart than they are long
    std::fill_n(wide.data(), 7000, -1.0f);
    project(pca, y.view(), {wide.data(), 700, 7, 10});
    for (Index i = 0; i < 700; ++i) {
      for (Index k = 0; k < 7; ++k) {
        double sum = 0, size = 0;
        for (Index c = 0; c < 33; ++c)
          sum += static_cast<double>(pca.basis(k, c)) * y(i, c), size += std::abs(pca.basis(k, c) * y(i, c) / scale);
        ASSERT_NEAR(wide(i, k) / scale, sum / scale, 33 * 0x1p-24 * size) << i << " " << k;
      }
      for (Index k = 7; k < 10; ++k) ASSERT_EQ(wide(i, k), -1);
    }
  }
}

template <class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Pca, RefusesWhatItCannotUse) {
  Matrix<float> y = cloud(10, 3, 1);
  EXPECT_EQ(message_of([&] { fit_pca(y.view(), 4); }), "fit_pca: asked for 4 directions of a cloud in 3 dimensions");
  EXPECT_EQ(message_of([&] { fit_pca({y.data(), 0, 3}, 2); }), "fit_pca: the cloud is empty");
  const auto with_weights = [&](std::vector<double> b) { return message_of([&] { fit_pca(y.view(), 2, b); }); };
  EXPECT_EQ(with_weights(std::vector<double>(9, 1)).rfind("fit_pca: ", 0), 0);
  EXPECT_EQ(with_weights(std::vector<double>(10, 0)).rfind("fit_pca: ", 0), 0);
  EXPECT_EQ(with_weights({1, 1, 1, 1, -1, 1, 1, 1, 1, 1}).rfind("fit_pca: ", 0), 0);
  EXPECT_EQ(with_weights({1, 1, 1, 1, NAN, 1, 1, 1, 1, 1}).rfind("fit_pca: ", 0), 0);
  const Pca pca = fit_pca(y.view(), 2);
  Matrix<float> out(10, 3);
  EXPECT_EQ(message_of([&] { project(pca, y.view(), out.view()); }),
            "project: 10 points on 2 directions, room for 10 x 3");
  EXPECT_EQ(message_of([&] {
              project(pca, y.view(), {out.data(), 9, 2});
            }),
            "project: 10 points on 2 directions, room for 9 x 2");
  EXPECT_EQ(message_of([&] {
              project(pca, {y.data(), 10, 2}, out.view());
            }),
            "project: points have 2 dimensions, the basis 3");
  y(7, 1) = NAN;
  EXPECT_EQ(message_of([&] { fit_pca(y.view(), 2); }), "fit_pca: y is nan in row 7, column 1");
}

}  // namespace
}  // namespace monge::ot
