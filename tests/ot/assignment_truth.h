#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "monge/ot/assignment.h"
#include "monge/ot/core/error.h"

// Problems, and what must hold of their solutions, for the tests of exact solvers.
namespace monge::ot::exact_test {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T>
struct Cloud {
  std::vector<T> values;
  Index rows, cols;
  MatrixView<const T> view() const { return {values.data(), rows, cols}; }
  MatrixView<const T> first(Index n) const { return {values.data(), n, cols}; }
};

template <class T>
Cloud<T> gaussian(Index n, Index d, unsigned seed, double scale = 1, double shift = 0) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Cloud<T> c{std::vector<T>(n * d), n, d};
  for (T& v : c.values) v = static_cast<T>(shift + scale * normal(random));
  return c;
}

// Around 16 centres, 3 apart or so, which `places` says; as many points of each as it comes.
template <class T>
Cloud<T> clustered(Index n, Index d, unsigned seed, unsigned places, double deviation) {
  const auto centres = gaussian<T>(16, d, places, 3);
  std::mt19937_64 random(seed);
  Cloud<T> c = gaussian<T>(n, d, seed + 1, deviation);
  for (Index i = 0; i < n; ++i)
    for (Index k = 0, own = static_cast<Index>(random() % 16); k < d; ++k)
      c.values[i * d + k] += centres.values[own * d + k];
  return c;
}

// long double, from the points as given.
template <class T>
long double naive_distance(MatrixView<const T> x, Index i, MatrixView<const T> y, Index j) {
  long double sum = 0;
  for (Index k = 0; k < x.cols; ++k) {
    const long double step = static_cast<long double>(x(i, k)) - static_cast<long double>(y(j, k));
    sum += step * step;
  }
  return sum;
}

template <class T>
std::vector<double> naive_matrix(MatrixView<const T> x, MatrixView<const T> y) {
  std::vector<double> c(x.rows * y.rows);
  for (Index i = 0; i < x.rows; ++i)
    for (Index j = 0; j < y.rows; ++j) c[i * y.rows + j] = static_cast<double>(naive_distance(x, i, y, j));
  return c;
}

// The cheapest mean over all injections of n rows into m columns.
inline double brute_force(const std::vector<double>& cost, Index n, Index m) {
  std::vector<Index> order(m);
  std::iota(order.begin(), order.end(), 0);
  double best = kInfinity;
  do {
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum += cost[i * m + order[i]];
    best = std::min(best, sum / n);
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

// What must hold of any converged result: an assignment, feasible and tight potentials, a bracket that is closed.
template <class CostAt>
void expect_sound(const AssignmentResult& r, Index n, Index m, CostAt cost, double tolerance = 1e-9) {
  ASSERT_EQ(r.status, Status::converged);
  ASSERT_EQ(static_cast<Index>(r.columns.size()), n);
  ASSERT_EQ(static_cast<Index>(r.f.size()), n);
  ASSERT_EQ(static_cast<Index>(r.g.size()), m);
  std::vector<bool> taken(m, false);
  long double sum = 0;
  double size = 0;  // of the potentials: what rounding is relative to
  for (const double f : r.f) size = std::max(size, std::abs(f));
  for (const double g : r.g) size = std::max(size, std::abs(g));
  for (Index i = 0; i < n; ++i) {
    const Index j = r.columns[i];
    ASSERT_GE(j, 0);
    ASSERT_LT(j, m);
    ASSERT_FALSE(taken[j]) << "column " << j << " twice";
    taken[j] = true;
    sum += cost(i, j);
    EXPECT_NEAR(r.f[i] + r.g[j], static_cast<double>(cost(i, j)), 1e-10 * size) << "row " << i;
    for (Index l = 0; l < m; ++l)
      ASSERT_LE(r.f[i] + r.g[l], static_cast<double>(cost(i, l)) + 1e-12 * size) << i << " " << l;
  }
  if (n < m)
    for (Index j = 0; j < m; ++j) {
      EXPECT_LE(r.g[j], 0);
      EXPECT_TRUE(taken[j] || r.g[j] == 0);
    }
  const double mean = static_cast<double>(sum / n);
  EXPECT_NEAR(r.cost, mean, 1e-14 * std::abs(mean));
  ASSERT_EQ(r.certificate.kind, Certificate::Kind::proven);
  EXPECT_LE(r.certificate.lower, r.cost);
  EXPECT_LE(r.cost, r.certificate.upper);
  EXPECT_LE(r.certificate.lower, sum / n);  // in long double: what rounding must not have crossed
  EXPECT_GE(r.certificate.upper, sum / n);
  EXPECT_LE(r.certificate.upper - r.certificate.lower, tolerance * std::abs(r.certificate.upper));
}

template <class T>
void expect_sound(const AssignmentResult& r, MatrixView<const T> x, MatrixView<const T> y) {
  expect_sound(r, x.rows, y.rows, [&](Index i, Index j) { return naive_distance(x, i, y, j); });
}

inline Errc code_of(const std::function<void()>& call, std::string* what = nullptr) {
  try {
    call();
  } catch (const Error& e) {
    if (what) *what = e.what();
    return e.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return Errc::io;
}

}  // namespace monge::ot::exact_test
