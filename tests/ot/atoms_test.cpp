// Clouds made ready for solvers: moments, principal directions, merged atoms.
#include "monge/ot/atoms.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"
#include "monge/ot/moments.h"
#include "monge/ot/pca.h"

namespace monge::ot {
namespace {

Matrix<float> normal(Index rows, Index cols, std::uint64_t seed, double scale = 1) {
  Matrix<float> x(rows, cols);
  fill_normal(Rng{seed}, 0, {x.data(), rows * cols});
  for (Index k = 0; k < rows * cols; ++k) x.data()[k] = static_cast<float>(scale * (x.data()[k] + 0.5));
  return x;
}

std::vector<double> some_weights(Index n) {
  std::vector<double> b(static_cast<std::size_t>(n));
  double total = 0;
  for (Index i = 0; i < n; ++i) total += b[static_cast<std::size_t>(i)] = 1 + static_cast<double>(i % 7);
  for (double& w : b) w /= total;
  return b;
}

TEST(Moments, AreThoseOfPlainSumsAtAnyScale) {
  constexpr Index n = 5000, d = 12;
  const std::vector<double> b = some_weights(n);
  for (const double scale : {1.0, 1e-30, 1e30}) {
    SCOPED_TRACE(scale);
    const Matrix<float> y = normal(n, d, 1, scale);
    const Moments moments = cloud_moments(y.view(), b, {});
    for (Index i = 0; i < d; ++i) {
      double mean = 0;
      for (Index r = 0; r < n; ++r) mean += b[static_cast<std::size_t>(r)] * (y(r, i) / scale);
      EXPECT_NEAR(moments.mean[static_cast<std::size_t>(i)] / scale, mean, 1e-12);
    }
    for (Index i = 0; i < d; ++i) {
      for (Index j = 0; j < d; ++j) {
        double sum = 0;
        for (Index r = 0; r < n; ++r)
          sum += b[static_cast<std::size_t>(r)] * (y(r, i) - moments.mean[static_cast<std::size_t>(i)]) / scale *
                 ((y(r, j) - moments.mean[static_cast<std::size_t>(j)]) / scale);
        EXPECT_NEAR(moments.covariance[static_cast<std::size_t>(i * d + j)] / scale / scale, sum, 2e-6) << i << j;
      }
    }
    const Moments again = cloud_moments(y.view(), b, {.threads = 1});
    EXPECT_EQ(again.covariance, moments.covariance);
  }
}

TEST(Pca, FindsTheDirectionsOfACloudAtAnyScale) {
  for (const double scale : {1.0, 1e-24, 1e21}) {
    SCOPED_TRACE(scale);
    Matrix<float> y = normal(3000, 6, 2);
    for (Index i = 0; i < 3000; ++i) {  // deviations 6, 5, ... along the axes
      for (Index k = 0; k < 6; ++k) y(i, k) *= static_cast<float>(scale * static_cast<double>(6 - k));
    }
    const Pca pca = fit_pca(y.view(), 2);
    for (Index i = 0; i < 2; ++i) {
      EXPECT_GT(pca.basis(i, i), 0.95);
      const double deviation = static_cast<double>(6 - i) * scale;
      EXPECT_NEAR(pca.variance[static_cast<std::size_t>(i)] / deviation / deviation, 1, 0.1);
    }
    EXPECT_NEAR(pca.lost_variance(), (16 + 9 + 4 + 1) / 91.0, 0.03);
  }
}

TEST(Pca, RefusesWhatItCannotUse) {
  Matrix<float> y = normal(10, 3, 3);
  const std::vector<double> few(9, 1.0), negative{1, 1, 1, 1, -1, 1, 1, 1, 1, 1};
  EXPECT_THROW(fit_pca(y.view(), 4), Error);
  EXPECT_THROW(fit_pca(y.view(), 2, few), Error);
  EXPECT_THROW(fit_pca(y.view(), 2, negative), Error);
  EXPECT_THROW(fit_pca({y.data(), 0, 3}, 2), Error);
  const Pca pca = fit_pca(y.view(), 2);
  Matrix<float> out(10, 3);
  EXPECT_THROW(project(pca, y.view(), out.view()), Error);
  EXPECT_THROW(project(pca, y.view(), {out.data(), 9, 2}), Error);
  y(7, 1) = NAN;
  EXPECT_THROW(fit_pca(y.view(), 2), Error);
}

TEST(Atoms, WeightsOfDuplicatesAddUpAndZeroWeightsAreDropped) {
  Matrix<float> y(6, 2);
  const float points[6][2] = {{1, 2}, {3, 4}, {1, 2}, {-0.0f, 5}, {0.0f, 5}, {9, 9}};
  std::copy_n(points[0], 12, y.data());
  const AtomSet atoms = make_atoms("test", y.view(), std::vector<double>{1, 2, 3, 2, 2, 0}, {}, {});
  EXPECT_EQ(atoms.size(), 3);
  EXPECT_EQ(atoms.merged(), 2);
  EXPECT_EQ(atoms.dropped(), 1);
  EXPECT_NEAR(atoms.b[0], 0.4, 1e-15);
  EXPECT_NEAR(atoms.b[1], 0.2, 1e-15);
  EXPECT_NEAR(atoms.b[2], 0.4, 1e-15);
  EXPECT_EQ(atoms.member(0, 0.2), 0);  // a quarter of its weight
  EXPECT_EQ(atoms.member(0, 0.3), 2);
  EXPECT_NEAR(atoms.squared_norm(0), 5, 1e-5);
}

// A grid, turned, seen along one axis: its columns are one atom each, whatever rounding makes of their projections.
TEST(Atoms, WhatCoincidesAfterProjectionIsOneAtom) {
  constexpr Index side = 20;
  Matrix<float> plane(side * side, 2);
  const double c = std::cos(0.4), s = std::sin(0.4);
  for (Index i = 0; i < side * side; ++i) {
    const double u = 3.1 * static_cast<double>(i / side), v = 0.7 * static_cast<double>(i % side);
    plane(i, 0) = static_cast<float>(c * u - s * v);
    plane(i, 1) = static_cast<float>(s * u + c * v);
  }
  const std::optional<Pca> pca = fit_pca(plane.view(), 1);
  const AtomSet atoms = make_atoms("test", plane.view(), {}, pca, {});
  EXPECT_EQ(atoms.size(), side);
  EXPECT_EQ(atoms.merged(), side * side - side);
  double total = 0;
  for (Index j = 0; j < atoms.size(); ++j) {
    total += atoms.b[static_cast<std::size_t>(j)];
    EXPECT_NEAR(atoms.b[static_cast<std::size_t>(j)], 1.0 / side, 1e-12);
    EXPECT_EQ(atoms.member(j, 0) / side, atoms.member(j, 0.999) / side);  // of one column
  }
  EXPECT_NEAR(total, 1, 1e-12);

  // And the solver, which could not tell them apart, converges.
  const SemidiscreteResult r = semidiscrete(plane.view(), {}, {.pca = 1});
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_EQ(r.merged, side * side - side);
}

TEST(Atoms, ProjectionsThatDifferStayApart) {
  const Matrix<float> y = normal(3000, 30, 5);
  const std::optional<Pca> pca = fit_pca(y.view(), 3);
  EXPECT_EQ(make_atoms("test", y.view(), {}, pca, {}).merged(), 0);
}

}  // namespace
}  // namespace monge::ot
