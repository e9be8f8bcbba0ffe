#include "monge/ot/atoms.h"

#include <gtest/gtest.h>

#include <cmath>

#include "monge/ot/core/random.h"
#include "monge/ot/pca.h"
#include "monge/ot/semidiscrete.h"

namespace monge::ot {
namespace {

Matrix<float> normal(Index rows, Index cols, std::uint64_t seed, double scale = 1, double offset = 0) {
  Matrix<float> x(rows, cols);
  fill_normal(Rng{seed}, 0, {x.data(), rows * cols});
  for (Index k = 0; k < rows * cols; ++k) x.data()[k] = static_cast<float>(scale * (x.data()[k] + offset));
  return x;
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
  const double c = std::cos(0.4), s = std::sin(0.4);
  for (const double scale : {1.0, 1e-30, 1e30})
    for (const double offset : {0.0, 1e4}) {
      SCOPED_TRACE(testing::Message() << scale << ", " << offset);
      Matrix<float> plane(side * side, 2);
      std::vector<double> b(side * side);
      for (Index i = 0; i < side * side; ++i) {
        const double u = 3.1 * static_cast<double>(i % side), v = 0.7 * static_cast<double>(i / side);
        plane(i, 0) = static_cast<float>(scale * (c * u - s * v + offset));
        plane(i, 1) = static_cast<float>(scale * (s * u + c * v + offset));
        b[static_cast<std::size_t>(i)] = 1 + static_cast<double>(i / side);  // 1 ... side in every column
      }
      const std::optional<Pca> pca = fit_pca(plane.view(), 1);
      const AtomSet atoms = make_atoms("test", plane.view(), b, pca, {});
      ASSERT_EQ(atoms.size(), side);
      EXPECT_EQ(atoms.merged(), side * side - side);
      for (Index j = 0; j < side; ++j) {
        EXPECT_NEAR(atoms.b[static_cast<std::size_t>(j)], 1.0 / side, 1e-14);
        // Drawing members by weight: point (u, v) has the share (v + 1) / (1 + ... + side).
        Index below = 0;
        for (Index v = 0; v < side; below += ++v)
          EXPECT_EQ(atoms.member(j, (static_cast<double>(below) + 0.5) / (side * (side + 1) / 2)), j + v * side);
        // The atom is where the basis sees its members.
        double z = 0;
        for (Index k = 0; k < 2; ++k)
          z += static_cast<double>(pca->basis(0, k)) * (plane(j, k) / scale - pca->mean[k] / scale);
        EXPECT_NEAR(atoms.y(j, 0) / scale, z, 1e-5 * side + 1e-7 * 2 * offset);  // that mean is in float
      }
    }
}

TEST(Atoms, PotentialsOfCoincidingAtomsAreTheSame) {
  Matrix<float> y(4, 2);
  const float points[4][2] = {{-5, 1}, {5, 1}, {-5, -1}, {5, -1}};
  std::copy_n(points[0], 8, y.data());
  const std::optional<Pca> pca = fit_pca(y.view(), 1);
  const AtomSet atoms = make_atoms("test", y.view(), {}, pca, {});
  ASSERT_EQ(atoms.size(), 2);
  for (const Cost cost : {Cost::negative_dot, Cost::squared_euclidean}) {
    const std::vector<double> g = to_potentials(atoms, {0.25, -1.5}, cost);
    EXPECT_EQ(g[0], g[2]);
    EXPECT_EQ(g[1], g[3]);
    const std::vector<double> v = to_biases(atoms, g, cost);
    EXPECT_NEAR(v[0], 0.25, 1e-14);
    EXPECT_NEAR(v[1], -1.5, 1e-14);
  }

  // And the solver, which could not tell them apart, converges.
  const SemidiscreteResult r = semidiscrete(y.view(), {}, {.pca = 1});
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_EQ(r.merged, 2);
}

// In many dimensions and one direction, close neighbours are many; only what rounding cannot tell apart is merged.
TEST(Atoms, ProjectionsThatDifferStayApart) {
  for (const double offset : {0.0, 10.0}) {
    Matrix<float> y = normal(5000, 200, 5, 1, offset);
    for (Index i = 0; i < 5000; ++i) y(i, 3) *= 10;
    const std::optional<Pca> pca = fit_pca(y.view(), 1);
    const AtomSet atoms = make_atoms("test", y.view(), {}, pca, {});
    double size = 0;  // of the largest point
    std::vector<double> z(5000, 0.0);
    for (Index i = 0; i < 5000; ++i) {
      double square = 0;
      for (Index k = 0; k < 200; ++k) {
        square += static_cast<double>(y(i, k)) * y(i, k);
        z[static_cast<std::size_t>(i)] += static_cast<double>(pca->basis(0, k)) * y(i, k);
      }
      size = std::max(size, std::sqrt(square));
    }
    for (Index j = 0; j < atoms.size(); ++j) {
      const Index first = atoms.first_member[static_cast<std::size_t>(j)];
      for (Index i = first; i < atoms.first_member[static_cast<std::size_t>(j) + 1]; ++i)
        EXPECT_NEAR(z[static_cast<std::size_t>(atoms.members[static_cast<std::size_t>(i)])],
                    z[static_cast<std::size_t>(atoms.members[static_cast<std::size_t>(first)])], 0x1p-20 * size);
    }
    EXPECT_LT(atoms.merged(), 50);  // n^2 t / (2 sqrt(pi) 10) pairs of a normal of deviation 10 are within t = 3e-5
  }
  // In three directions hardly any two are close, far from the origin or not.
  for (const double offset : {0.0, 3000.0}) {
    const Matrix<float> y = normal(3000, 30, 6, 1, offset);
    const std::optional<Pca> pca = fit_pca(y.view(), 3);
    EXPECT_EQ(make_atoms("test", y.view(), {}, pca, {}).merged(), 0);
  }
}

TEST(Atoms, SameAtOneAndTwoThreads) {
  Matrix<float> y = normal(3000, 7, 7);
  for (Index i = 0; i < 3000; ++i) y(i, 0) = static_cast<float>(i % 40 * 5);
  for (Index i = 1500; i < 3000; ++i) std::copy_n(y.view().row(i - 1500), 7, y.view().row(i));
  const std::optional<Pca> pca = fit_pca(y.view(), 2);
  for (const bool projected : {false, true}) {
    const std::optional<Pca> basis = projected ? std::optional<Pca>{pca->clone()} : std::nullopt;
    const AtomSet one = make_atoms("test", y.view(), {}, basis, {.threads = 1});
    const AtomSet two = make_atoms("test", y.view(), {}, basis, {.threads = 2});
    EXPECT_EQ(one.merged(), 1500);
    EXPECT_EQ(one.members, two.members);
    EXPECT_EQ(one.b, two.b);
    for (Index i = 0; i < one.size() * one.dimensions(); ++i) ASSERT_EQ(one.y.data()[i], two.y.data()[i]);
  }
}

}  // namespace
}  // namespace monge::ot
