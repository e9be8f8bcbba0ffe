#include "monge/ot/closed_form.h"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>

#include "monge/ot/core/error.h"

namespace monge::ot {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Errc code_of(const std::function<void()>& call, std::string* what = nullptr) {
  try {
    call();
  } catch (const Error& e) {
    if (what) *what = e.what();
    return e.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return Errc::io;
}

std::vector<double> normals(Index n, unsigned seed, double scale = 1, double shift = 0) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> v(n);
  for (double& e : v) e = shift + scale * normal(random);
  return v;
}

// Gaussians, with what they are made of kept in Eigen's terms.
struct Law {
  VectorXd mean;
  MatrixXd covariance;  // symmetric, so the order of storage does not matter
  Gaussian view() const {
    return {{mean.data(), mean.size()}, {covariance.data(), covariance.rows(), covariance.cols()}};
  }
};

MatrixXd random_matrix(Index rows, Index cols, unsigned seed) {
  const auto v = normals(rows * cols, seed);
  return Eigen::Map<const MatrixXd>(v.data(), rows, cols);
}

Law random_law(Index d, Index rank, unsigned seed) {
  const MatrixXd factor = random_matrix(d, rank, seed);
  return {random_matrix(d, 1, seed + 1000), factor * factor.transpose()};
}

MatrixXd as_eigen(const Matrix<double>& m) {
  return Eigen::Map<const Eigen::Matrix<double, -1, -1, Eigen::RowMajor>>(m.data(), m.rows(), m.cols());
}

// tr (A B)^1/2 from the eigenvalues of the unsymmetric product, which are real and not negative.
double fidelity(const MatrixXd& a, const MatrixXd& b) {
  double sum = 0;
  for (const auto& v : (a * b).eval().eigenvalues()) sum += std::sqrt(std::max(0.0, v.real()));
  return sum;
}

double bures(const Law& a, const Law& b) {
  return (a.mean - b.mean).squaredNorm() + a.covariance.trace() + b.covariance.trace() -
         2 * fidelity(a.covariance, b.covariance);
}

TEST(Bures, KnownValues) {
  const Index d = 4;
  const Law a = random_law(d, d, 20);
  Law b = a;
  b.mean.array() += 0.5;
  EXPECT_NEAR(bures_w2(a.view(), b.view()).squared, d * 0.25, 1e-13);
  b = a;
  b.covariance *= 9;  // (3 - 1)^2 tr A
  EXPECT_NEAR(bures_w2(a.view(), b.view()).squared, 4 * a.covariance.trace(), 1e-12);
  for (const Index rank : {Index{1}, Index{2}, d}) {
    b = random_law(d, rank, 21);
    const BuresResult r = bures_w2(a.view(), b.view());
    EXPECT_NEAR(r.squared, bures(a, b), 1e-7 * r.squared) << rank;  // the reference takes roots of rounded zeros
    EXPECT_NEAR(r.distance * r.distance, r.squared, 1e-14 * r.squared);
    EXPECT_NEAR(bures_w2(b.view(), a.view()).squared, r.squared, 1e-13 * r.squared);
  }
  const Law point{VectorXd::Zero(d), MatrixXd::Zero(d, d)};
  EXPECT_NEAR(bures_w2(a.view(), point.view()).squared, a.mean.squaredNorm() + a.covariance.trace(), 1e-13);
  EXPECT_EQ(bures_w2(point.view(), point.view()).distance, 0);
}

// Differences far below the square root of the rounding of tr A + tr B - 2 tr (...)^1/2, and scales of every size.
TEST(Bures, CloseAndScaled) {
  const Index d = 5;
  const Law a{VectorXd::Zero(d), VectorXd::LinSpaced(d, 1, 5).asDiagonal()};
  Law b = a;
  b.covariance *= (1 + 1e-10) * (1 + 1e-10);
  EXPECT_NEAR(bures_w2(a.view(), b.view()).distance, 1e-10 * std::sqrt(15), 1e-14);
  const Law c = random_law(d, d, 22), e = random_law(d, 3, 23);
  const double unit = bures_w2(c.view(), e.view()).distance;
  for (const int power : {-400, 400}) {
    const Law u{c.mean * std::ldexp(1, power), c.covariance * std::ldexp(1, 2 * power)};
    const Law v{e.mean * std::ldexp(1, power), e.covariance * std::ldexp(1, 2 * power)};
    EXPECT_NEAR(std::ldexp(bures_w2(u.view(), v.view()).distance, -power), unit, 1e-13 * unit);
  }
}

TEST(GaussianMap, CarriesAOntoB) {
  const Index d = 5;
  // Ranks of a and b; below full rank a must reach all of b's range, which ranks alone settle for a random pair.
  for (const auto& [rank_a, rank_b] : {std::pair<Index, Index>{5, 5}, {5, 2}, {3, 3}, {3, 1}, {5, 0}}) {
    const Law a = random_law(d, rank_a, 24), b = random_law(d, rank_b, 25);
    const AffineMap map = gaussian_map(a.view(), b.view());
    const MatrixXd t = as_eigen(map.linear);
    EXPECT_EQ((t - t.transpose()).norm(), 0);
    EXPECT_GT(Eigen::SelfAdjointEigenSolver<MatrixXd>(t).eigenvalues()(0), -1e-12 * (1 + t.norm()));
    EXPECT_LT((t * a.covariance * t - b.covariance).norm(), 1e-7 * (1 + b.covariance.norm())) << rank_a << rank_b;
    // What it costs is the distance: E |x - T x|^2.
    const MatrixXd rest = MatrixXd::Identity(d, d) - t;
    EXPECT_NEAR((a.mean - b.mean).squaredNorm() + (rest * a.covariance * rest).trace(),
                bures_w2(a.view(), b.view()).squared, 1e-7 * (1 + b.covariance.norm()));
    // apply, by rows, with a stride, in place.
    const Index n = 300;
    const auto x = normals(n * (d + 1), 26);
    auto out = x;
    apply(map, {out.data(), n, d, d + 1}, {out.data(), n, d, d + 1}, {.threads = 2});
    const Eigen::Map<const VectorXd, 0, Eigen::InnerStride<>> first(x.data() + 299 * (d + 1), d,
                                                                    Eigen::InnerStride<>(1));
    const VectorXd expected = b.mean + t * (first - a.mean);
    for (Index k = 0; k < d; ++k) EXPECT_NEAR(out[299 * (d + 1) + k], expected(k), 1e-12 * (1 + t.norm()));
    EXPECT_EQ(out[299 * (d + 1) + d], x[299 * (d + 1) + d]);
  }
}

TEST(GaussianMap, RefusesWhatItCannotReach) {
  const Law a = random_law(4, 2, 27), b = random_law(4, 3, 28);
  EXPECT_EQ(code_of([&] { gaussian_map(a.view(), b.view()); }), Errc::infeasible);
  const Law flat{VectorXd::Zero(2), VectorXd::Unit(2, 0).asDiagonal()},
      up{VectorXd::Zero(2), VectorXd::Unit(2, 1).asDiagonal()};
  EXPECT_EQ(code_of([&] { gaussian_map(flat.view(), up.view()); }), Errc::infeasible);
}

// Samples of two Gaussians are as far apart as the Gaussians are, up to what n samples can tell.
TEST(Bures, SampledGaussians) {
  const Index n = 20000;
  const auto x = normals(n, 29), y = normals(n, 30, 3, 2);
  const Law a{VectorXd::Zero(1), MatrixXd::Constant(1, 1, 1)}, b{VectorXd::Constant(1, 2), MatrixXd::Constant(1, 1, 9)};
  const double truth = bures_w2(a.view(), b.view()).squared;
  EXPECT_NEAR(truth, 4 + 4, 1e-12);
  // W2^2 = (m_x - m_y)^2 + (s_x - s_y)^2 of the samples, up to the bias of their tails: each is off by about
  // 2 2 sqrt(10 / n) and 2 2 sqrt(10 / 2 n).
  EXPECT_NEAR(wasserstein_1d(x, y).cost, truth, 5 * 4 * std::sqrt(15.0 / n) + 0.01);
}

TEST(Gaussians, RefuseBadInput) {
  std::string what;
  const Law good = random_law(3, 3, 31), small = random_law(2, 2, 32);
  Law bad = good;
  bad.covariance(1, 2) += 0.1;
  EXPECT_EQ(code_of([&] { bures_w2(bad.view(), good.view()); }, &what), Errc::invalid_argument);
  EXPECT_NE(what.find("bures_w2: a: the covariance is not symmetric"), std::string::npos) << what;
  bad = good;
  bad.covariance(0, 0) = -bad.covariance(0, 0);
  EXPECT_EQ(code_of([&] { gaussian_map(good.view(), bad.view()); }, &what), Errc::invalid_argument);
  EXPECT_NE(what.find("gaussian_map: b: the covariance is not positive semidefinite"), std::string::npos) << what;
  bad = good;
  bad.covariance(1, 1) = kNan;
  EXPECT_EQ(code_of([&] { bures_w2(good.view(), bad.view()); }, &what), Errc::not_finite);
  EXPECT_NE(what.find("row 1, column 1"), std::string::npos) << what;
  bad = good;
  bad.mean(2) = HUGE_VAL;
  EXPECT_EQ(code_of([&] { bures_w2(bad.view(), good.view()); }), Errc::not_finite);
  EXPECT_EQ(code_of([&] { bures_w2(good.view(), small.view()); }), Errc::invalid_argument);
  EXPECT_EQ(code_of([&] { bures_w2({}, {}); }), Errc::invalid_argument);
  for (const double epsilon : {0.0, -1.0, kNan, HUGE_VAL})
    EXPECT_EQ(code_of([&] { entropic_gaussians(good.view(), good.view(), epsilon); }), Errc::invalid_argument);
}

// Sinkhorn's iterations on a grid fine enough that sums are integrals of Gaussians to the last digits.
struct Discretised {
  double value, cost, cross;
};
Discretised discretised(double mean_a, double sd_a, double mean_b, double sd_b, double epsilon) {
  constexpr int n = 181;
  VectorXd x(n), y(n), a(n), b(n);
  for (int i = 0; i < n; ++i) {
    const double z = -9 + 18.0 * i / (n - 1);
    x(i) = mean_a + sd_a * z;
    y(i) = mean_b + sd_b * z;
    a(i) = b(i) = std::exp(-z * z / 2);
  }
  a /= a.sum();
  b /= b.sum();
  MatrixXd c(n, n);
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) c(i, j) = (x(i) - y(j)) * (x(i) - y(j));
  VectorXd f = VectorXd::Zero(n), g = VectorXd::Zero(n);
  const auto softmin = [&](const MatrixXd& cost, const VectorXd& h, const VectorXd& weights) {
    VectorXd out(n);
    for (int i = 0; i < n; ++i) {
      const Eigen::ArrayXd s = (h - cost.col(i)).array() / epsilon + weights.array().log();
      out(i) = -epsilon * (s.maxCoeff() + std::log((s - s.maxCoeff()).exp().sum()));
    }
    return out;
  };
  const MatrixXd ct = c.transpose();
  for (int iteration = 0; iteration < 60; ++iteration) {
    f = softmin(ct, g, b);
    g = softmin(c, f, a);
  }
  Discretised r{a.dot(f) + b.dot(g), 0, 0};
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) {
      const double mass = a(i) * b(j) * std::exp((f(i) + g(j) - c(i, j)) / epsilon);
      r.cost += mass * c(i, j);
      r.cross += mass * (x(i) - mean_a) * (y(j) - mean_b);
    }
  return r;
}

TEST(EntropicGaussians, AgreesWithSinkhornOnAGrid) {
  for (const auto& [mean, sd, epsilon] : {std::tuple{1.0, 0.5, 1.0}, {-0.3, 1.5, 3.0}, {0.0, 1.0, 20.0}}) {
    const Law a{VectorXd::Constant(1, 0.25), MatrixXd::Constant(1, 1, 1)};
    const Law b{VectorXd::Constant(1, mean), MatrixXd::Constant(1, 1, sd * sd)};
    const Discretised ab = discretised(0.25, 1, mean, sd, epsilon), aa = discretised(0, 1, 0, 1, epsilon),
                      bb = discretised(0, sd, 0, sd, epsilon);
    const EntropicGaussian r = entropic_gaussians(a.view(), b.view(), epsilon);
    EXPECT_NEAR(r.value, ab.value, 1e-9) << epsilon;
    EXPECT_NEAR(r.cost, ab.cost, 1e-9) << epsilon;
    EXPECT_NEAR(r.kl, (ab.value - ab.cost) / epsilon, 1e-9) << epsilon;
    EXPECT_NEAR(r.cross_covariance(0, 0), ab.cross, 1e-9) << epsilon;
    EXPECT_NEAR(r.divergence, ab.value - (aa.value + bb.value) / 2, 1e-9) << epsilon;
  }
}

// In more dimensions: the objective of a Gaussian plan as a function of its cross-covariance K, from determinants, is
// what is reported at the K reported, and larger at every other K.
TEST(EntropicGaussians, MinimisesOverCrossCovariances) {
  const Index d = 3;
  const Law a = random_law(d, d, 33), b = random_law(d, d, 34);
  const double epsilon = 0.7;
  const auto cost = [&](const MatrixXd& k) {
    return (a.mean - b.mean).squaredNorm() + a.covariance.trace() + b.covariance.trace() - 2 * k.trace();
  };
  const auto objective = [&](const MatrixXd& k) {
    MatrixXd joint(2 * d, 2 * d);
    joint << a.covariance, k, k.transpose(), b.covariance;
    const double kl = -std::log(joint.determinant() / a.covariance.determinant() / b.covariance.determinant()) / 2;
    return cost(k) + epsilon * kl;
  };
  const EntropicGaussian r = entropic_gaussians(a.view(), b.view(), epsilon);
  const MatrixXd k = as_eigen(r.cross_covariance);
  EXPECT_NEAR(r.cost, cost(k), 1e-12 * r.cost);
  EXPECT_NEAR(r.value, objective(k), 1e-9 * r.value);
  EXPECT_NEAR(r.value, r.cost + epsilon * r.kl, 1e-12 * r.value);
  for (unsigned seed = 0; seed < 20; ++seed) {
    const MatrixXd step = random_matrix(d, d, 100 + seed).normalized() * 1e-3;
    const double up = objective(k + step), down = objective(k - step);
    EXPECT_GT(up, r.value);
    EXPECT_NEAR(up - down, 0, 0.05 * (up + down - 2 * r.value));  // stationary: the first order is gone
  }
}

TEST(EntropicGaussians, Limits) {
  const Index d = 4;
  const Law a = random_law(d, d, 35), b = random_law(d, 2, 36);  // b singular
  const double squared = bures_w2(a.view(), b.view()).squared, shift = (a.mean - b.mean).squaredNorm();
  const EntropicGaussian none = entropic_gaussians(a.view(), b.view(), 1e-9);
  EXPECT_NEAR(none.cost, squared, 1e-8);
  EXPECT_NEAR(none.divergence, squared, 1e-6);
  const EntropicGaussian all = entropic_gaussians(a.view(), b.view(), 1e9);  // the product plan
  EXPECT_NEAR(all.cost, shift + a.covariance.trace() + b.covariance.trace(), 1e-6);
  EXPECT_NEAR(all.divergence, shift, 1e-6);
  EXPECT_LT(as_eigen(all.cross_covariance).norm(), 1e-6);
  for (const double epsilon : {1e-200, 1e-3, 1.0, 1e300}) {
    const EntropicGaussian self = entropic_gaussians(a.view(), a.view(), epsilon);
    EXPECT_NEAR(self.divergence, 0, 1e-13 * a.covariance.trace()) << epsilon;
    EXPECT_TRUE(std::isfinite(self.value) && std::isfinite(self.kl)) << epsilon;
  }
  const Law point{VectorXd::Zero(d), MatrixXd::Zero(d, d)};
  const EntropicGaussian to_point = entropic_gaussians(a.view(), point.view(), 2);
  EXPECT_NEAR(to_point.value, a.mean.squaredNorm() + a.covariance.trace(), 1e-12);
  EXPECT_EQ(to_point.kl, 0);
}

}  // namespace
}  // namespace monge::ot
