// Distances between samples: MMD, and those of features.
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>
#include <vector>

#include "monge/flow/features.h"
#include "monge/flow/mmd.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

Matrix<float> normal(Index n, Index d, std::uint64_t seed, double scale = 1, double shift = 0) {
  Matrix<float> x(n, d);
  fill_normal(Rng{seed}, 0, {x.data(), n * d});
  for (Index i = 0; i < n * d; ++i) x.data()[i] = static_cast<float>(scale * x.data()[i] + shift);
  return x;
}

double distance(const Matrix<float>& x, Index i, const Matrix<float>& y, Index j) {
  double sum = 0;
  for (Index k = 0; k < x.cols(); ++k) sum += std::pow(static_cast<double>(x(i, k)) - y(j, k), 2);
  return std::sqrt(sum);
}

// The unbiased mean of a kernel of two rows, as naive as can be.
using Kernel = std::function<double(const Matrix<float>&, Index, const Matrix<float>&, Index)>;
double naive_mean(const Matrix<float>& x, const Matrix<float>& y, const Kernel& kernel) {
  double sum = 0;
  Index count = 0;
  for (Index i = 0; i < x.rows(); ++i)
    for (Index j = 0; j < y.rows(); ++j) {
      if (&x == &y && i == j) continue;
      sum += kernel(x, i, y, j);
      ++count;
    }
  return sum / static_cast<double>(count);
}
double naive_mmd(const Matrix<float>& x, const Matrix<float>& y, const Kernel& kernel) {
  return naive_mean(x, x, kernel) + naive_mean(y, y, kernel) - 2 * naive_mean(x, y, kernel);
}

TEST(Mmd, IsTheNaiveMean) {
  const Matrix<float> x = normal(331, 5, 1), y = normal(1187, 5, 2, 1.2, 0.3);  // more than a tile, and no whole tiles
  EXPECT_NEAR(energy_distance(x.view(), y.view()), -naive_mmd(x, y, distance), 1e-6);  // float distances
  const auto rbf = [](const Matrix<float>& a, Index i, const Matrix<float>& b, Index j) {
    const double r = distance(a, i, b, j);
    return 0.5 * (std::exp(-r * r / 2) + std::exp(-r * r / 18));
  };
  EXPECT_NEAR(mmd_rbf(x.view(), y.view(), {.bandwidths = {1, 3}}), naive_mmd(x, y, rbf), 1e-6);
}

// Closed forms on a line, X ~ N(0, 1), Y ~ N(m, 1): E |Z| of a normal Z, and E exp(-Z^2 / (2 h^2)).
TEST(Mmd, ClosedFormsOfGaussians) {
  constexpr Index n = 3000;
  constexpr double m = 0.8, h = 1.5;
  const Matrix<float> x = normal(n, 1, 3), y = normal(n, 1, 4, 1, m);
  const auto absolute = [](double mean) {  // of N(mean, 2)
    return 2 / std::sqrt(M_PI) * std::exp(-mean * mean / 4) + mean * std::erf(mean / 2);
  };
  const auto kernel = [](double mean) { return h / std::sqrt(h * h + 2) * std::exp(-mean * mean / (2 * (h * h + 2))); };
  // Both estimates are about means of n functions of a point with spread below 1 and 0.5: four standard deviations.
  EXPECT_NEAR(energy_distance(x.view(), y.view()), 2 * absolute(m) - 2 * absolute(0), 4 * std::sqrt(2.0 / n));
  EXPECT_NEAR(mmd_rbf(x.view(), y.view(), {.bandwidths = {h}}), 2 * kernel(0) - 2 * kernel(m),
              4 * 0.5 * std::sqrt(2.0 / n));
}

// Equal laws: zero in the mean, on either side of it.
TEST(Mmd, IsUnbiased) {
  double energy = 0, energy_square = 0, rbf = 0, rbf_square = 0;
  constexpr int repeats = 200;
  for (std::uint64_t r = 0; r < repeats; ++r) {
    const Matrix<float> x = normal(20, 2, 100 + r), y = normal(30, 2, 1000 + r);
    const double e = energy_distance(x.view(), y.view()), k = mmd_rbf(x.view(), y.view(), {.bandwidths = {1}});
    energy += e / repeats, energy_square += e * e / repeats;
    rbf += k / repeats, rbf_square += k * k / repeats;
  }
  EXPECT_NEAR(energy, 0, 4 * std::sqrt(energy_square / repeats));
  EXPECT_NEAR(rbf, 0, 4 * std::sqrt(rbf_square / repeats));
}

TEST(Mmd, BandwidthsComeFromTheReference) {
  Matrix<float> y(5, 1);
  for (Index i = 0; i < 5; ++i) y(i, 0) = static_cast<float>(i * i);  // |0 - 4|, |1 - 9|
  EXPECT_EQ(median_distance(y.view()), 8);
  const Matrix<float> x = normal(40, 1, 1);
  EXPECT_EQ(mmd_rbf(x.view(), y.view()), mmd_rbf(x.view(), y.view(), {.bandwidths = {2, 4, 8, 16, 32}}));
}

TEST(Mmd, SameBitsAtAnyThreadCount) {
  const Matrix<float> x = normal(700, 4, 1), y = normal(2100, 4, 2);
  EXPECT_EQ(energy_distance(x.view(), y.view(), {.threads = 1}), energy_distance(x.view(), y.view(), {.threads = 3}));
  EXPECT_EQ(mmd_rbf(x.view(), y.view(), {.context = {.threads = 1}}),
            mmd_rbf(x.view(), y.view(), {.context = {.threads = 3}}));
}

TEST(Mmd, Refusals) {
  const Matrix<float> x = normal(10, 2, 1), one = normal(1, 2, 1), flat = normal(10, 3, 1);
  Matrix<float> same(10, 2), bad = normal(10, 2, 1);
  std::fill_n(same.data(), 20, 1.0f);
  bad(4, 1) = NAN;
  EXPECT_THROW(energy_distance(x.view(), one.view()), Error);
  EXPECT_THROW(energy_distance(x.view(), flat.view()), Error);
  EXPECT_THROW(energy_distance(bad.view(), x.view()), Error);
  EXPECT_THROW(mmd_rbf(x.view(), same.view()), Error);
  EXPECT_THROW(mmd_rbf(x.view(), x.view(), {.bandwidths = {0}}), Error);
}

// tr (A B)^1/2 from the eigenvalues of A B, which is not symmetric: another way to the same number.
TEST(Features, FrechetDistance) {
  const Matrix<float> x = normal(300, 6, 1, 1.5, 0.2);
  Matrix<float> y = normal(200, 6, 2);
  for (Index i = 0; i < 200; ++i) y(i, 3) += 2 * y(i, 1) - y(i, 5);
  const auto moments = [](const Matrix<float>& points) {
    using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const Eigen::MatrixXd m = Eigen::Map<const Rows>(points.data(), points.rows(), points.cols()).cast<double>();
    const Eigen::RowVectorXd mean = m.colwise().mean();
    const Eigen::MatrixXd centred = m.rowwise() - mean;
    return std::pair<Eigen::RowVectorXd, Eigen::MatrixXd>(
        mean, centred.transpose() * centred / (static_cast<double>(m.rows()) - 1));
  };
  const auto [mean_x, a] = moments(x);
  const auto [mean_y, b] = moments(y);
  double root = 0;
  const Eigen::VectorXcd values = Eigen::EigenSolver<Eigen::MatrixXd>(a * b).eigenvalues();
  for (const std::complex<double>& value : values) root += std::sqrt(value.real());
  const double truth = (mean_x - mean_y).squaredNorm() + a.trace() + b.trace() - 2 * root;
  EXPECT_NEAR(frechet_distance(x.view(), y.view()), truth, 1e-9 * truth);
  EXPECT_NEAR(frechet_distance(x.view(), x.view()), 0, 1e-9);
}

TEST(Features, KernelDistanceIsTheNaiveMeanOfItsBlocks) {
  const Matrix<float> x = normal(250, 7, 1, 1, 0.2), y = normal(310, 7, 2);
  const Kernel cubic = [](const Matrix<float>& a, Index i, const Matrix<float>& b, Index j) {
    double dot = 0;
    for (Index k = 0; k < 7; ++k) dot += static_cast<double>(a(i, k)) * b(j, k);
    return std::pow(dot / 7 + 1, 3);
  };
  const auto part = [](const Matrix<float>& m, Index first, Index count) {
    Matrix<float> rows(count, m.cols());
    std::copy_n(m.view().row(first), count * m.cols(), rows.data());
    return rows;
  };
  const double first = naive_mmd(part(x, 0, 100), part(y, 0, 100), cubic);
  const double second = naive_mmd(part(x, 100, 100), part(y, 100, 100), cubic);
  const KernelDistance k = kernel_distance(x.view(), y.view(), {.block = 100});
  EXPECT_EQ(k.blocks, 2);
  EXPECT_NEAR(k.value, (first + second) / 2, 1e-11);
  EXPECT_NEAR(k.standard_error, std::abs(first - second) / 2, 1e-11);
  const KernelDistance one = kernel_distance(x.view(), y.view());
  EXPECT_EQ(one.blocks, 1);
  EXPECT_NEAR(one.value, naive_mmd(x, y, cubic), 1e-11);
  EXPECT_TRUE(std::isnan(one.standard_error));
}

// A kernel of closed form: for X ~ N(m 1, I) in one dimension E (X Y + 1)^3 is a polynomial of the means.
TEST(Features, KernelDistanceOfGaussians) {
  constexpr Index n = 100000;
  constexpr double m = 0.5;
  const Matrix<float> x = normal(n, 1, 5), y = normal(n, 1, 6, 1, m);
  // With moments 1, m, 1 + m^2, m^3 + 3 m the distance is the sum over powers p of C(3, p) (E X^p - E Y^p)^2.
  const double truth = 3 * m * m + 3 * m * m * m * m + std::pow(m * m * m + 3 * m, 2);
  const KernelDistance k = kernel_distance(x.view(), y.view());
  EXPECT_EQ(k.blocks, 100);
  EXPECT_NEAR(k.value, truth, 4 * k.standard_error);
  EXPECT_LT(k.standard_error, 0.05 * truth);
}

TEST(Features, PrecisionAndRecallAreTheNaiveOnes) {
  const Matrix<float> x = normal(150, 3, 1, 0.6, 0.5), y = normal(210, 3, 2);
  const auto radii = [](const Matrix<float>& points, Index k) {
    std::vector<double> out;
    for (Index i = 0; i < points.rows(); ++i) {
      std::vector<double> others;
      for (Index j = 0; j < points.rows(); ++j)
        if (j != i) others.push_back(distance(points, i, points, j));
      std::sort(others.begin(), others.end());
      out.push_back(others[static_cast<std::size_t>(k - 1)]);
    }
    return out;
  };
  const auto share = [&](const Matrix<float>& a, const Matrix<float>& b, Index k) {
    const std::vector<double> r = radii(b, k);
    double inside = 0;
    for (Index i = 0; i < a.rows(); ++i)
      for (Index j = 0; j < b.rows(); ++j)
        if (distance(a, i, b, j) <= r[static_cast<std::size_t>(j)]) {
          ++inside;
          break;
        }
    return inside / static_cast<double>(a.rows());
  };
  for (const Index k : {1, 3, 10}) {
    const PrecisionRecall p = precision_recall(x.view(), y.view(), k);
    EXPECT_NEAR(p.precision, share(x, y, k), 1e-12);
    EXPECT_NEAR(p.recall, share(y, x, k), 1e-12);
    EXPECT_GT(p.precision, p.recall);  // x is the narrower set
  }
  EXPECT_EQ(precision_recall(x.view(), x.view()).precision, 1);
  const PrecisionRecall apart = precision_recall(normal(50, 3, 1, 1, 100).view(), y.view());
  EXPECT_EQ(apart.precision, 0);
  EXPECT_EQ(apart.recall, 0);
}

TEST(Features, SameBitsAtAnyThreadCount) {
  const Matrix<float> x = normal(500, 20, 1), y = normal(400, 20, 2, 1.1);
  EXPECT_EQ(frechet_distance(x.view(), y.view(), {.threads = 1}), frechet_distance(x.view(), y.view(), {.threads = 3}));
  EXPECT_EQ(kernel_distance(x.view(), y.view(), {.block = 60, .context = {.threads = 1}}).value,
            kernel_distance(x.view(), y.view(), {.block = 60, .context = {.threads = 3}}).value);
  EXPECT_EQ(precision_recall(x.view(), y.view(), 3, {.threads = 1}).recall,
            precision_recall(x.view(), y.view(), 3, {.threads = 3}).recall);
}

TEST(Features, Refusals) {
  const Matrix<float> x = normal(10, 2, 1), one = normal(1, 2, 1), flat = normal(10, 3, 1);
  EXPECT_THROW(frechet_distance(x.view(), one.view()), Error);
  EXPECT_THROW(frechet_distance(x.view(), flat.view()), Error);
  EXPECT_THROW(kernel_distance(x.view(), x.view(), {.block = 1}), Error);
  EXPECT_THROW(precision_recall(x.view(), x.view(), 0), Error);
  EXPECT_THROW(precision_recall(x.view(), x.view(), 10), Error);
}

}  // namespace
}  // namespace monge::flow
