#include "monge/ot/closed_form.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>

#include "monge/ot/assignment.h"
#include "monge/ot/core/error.h"

namespace monge::ot {
namespace {

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

// Whole weights that add up to `total`; some are zero.
std::vector<double> whole_weights(Index n, int total, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<double> w(n, 0.0);
  for (int k = 0; k < total; ++k) ++w[random() % n];
  return w;
}

// Whole weights spelled out: as many copies of each point, sorted, matched in order.
long double spelled_out(const std::vector<double>& x, const std::vector<double>& a, const std::vector<double>& y,
                        const std::vector<double>& b, double p) {
  std::vector<double> u, v;
  for (std::size_t i = 0; i < x.size(); ++i) u.insert(u.end(), static_cast<std::size_t>(a[i]), x[i]);
  for (std::size_t j = 0; j < y.size(); ++j) v.insert(v.end(), static_cast<std::size_t>(b[j]), y[j]);
  std::sort(u.begin(), u.end());
  std::sort(v.begin(), v.end());
  long double sum = 0;
  for (std::size_t k = 0; k < u.size(); ++k) sum += std::pow(std::abs(static_cast<long double>(u[k]) - v[k]), p);
  return sum;
}

TEST(Wasserstein1d, WholeWeights) {
  for (const double p : {1.0, 1.5, 2.0, 3.0, 7.0})
    for (const auto& [n, m, total] :
         {std::tuple<Index, Index, int>{1, 1, 3}, {1, 9, 20}, {30, 17, 97}, {40, 40, 500}}) {
      const auto x = normals(n, 1), y = normals(m, 2, 2, 0.5), a = whole_weights(n, total, 3),
                 b = whole_weights(m, total, 4);
      const auto r = wasserstein_1d(x, y, {.p = p}, a, b);
      const auto expected = static_cast<double>(spelled_out(x, a, y, b, p));
      EXPECT_NEAR(r.cost, expected, 1e-13 * expected) << n << " " << m << " p = " << p;
      EXPECT_NEAR(r.distance, std::pow(expected, 1 / p), 1e-13 * r.distance);
      EXPECT_TRUE(r.coupling.empty());
      const double share = 1.0 / 7;  // any scale of the masses
      std::vector<double> c(a), d(b);
      for (double& w : c) w *= share;
      for (double& w : d) w *= share;
      EXPECT_NEAR(wasserstein_1d(x, y, {.p = p}, c, d).cost, expected * share, 1e-13 * expected);
    }
}

// Empty weights are equal shares of the other side's total.
TEST(Wasserstein1d, UniformSides) {
  const Index n = 12, m = 18;
  const auto x = normals(n, 5), y = normals(m, 6, 3);
  const std::vector<double> a(n, 3.0), b(m, 2.0);
  const auto expected = static_cast<double>(spelled_out(x, a, y, b, 2));
  EXPECT_NEAR(wasserstein_1d(x, y).cost, expected / 36, 1e-14 * expected);
  EXPECT_NEAR(wasserstein_1d(x, y, {}, a).cost, expected, 1e-14 * expected);
  EXPECT_NEAR(wasserstein_1d(x, y, {}, {}, b).cost, expected, 1e-14 * expected);
}

TEST(Wasserstein1d, AgreesWithExact) {
  const Index n = 150;
  const auto x = normals(n, 7), y = normals(n, 8, 2, 1);
  const double cost = assign(MatrixView<const double>(x.data(), n, 1), MatrixView<const double>(y.data(), n, 1)).cost;
  EXPECT_NEAR(wasserstein_1d(x, y).cost, cost, 1e-12 * cost);
  std::vector<double> matrix(n * n);  // p = 1, where many plans are optimal
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) matrix[i * n + j] = std::abs(x[i] - y[j]);
  const double absolute = assign(MatrixView<const double>(matrix.data(), n, n)).cost;
  EXPECT_NEAR(wasserstein_1d(x, y, {.p = 1}).cost, absolute, 1e-12 * absolute);
}

TEST(Wasserstein1d, Coupling) {
  const Index n = 40, m = 23;
  const auto x = normals(n, 9), y = normals(m, 10);
  auto a = whole_weights(n, 100, 11), b = whole_weights(m, 100, 12);
  for (double& w : a) w *= 0.1;
  for (double& w : b) w *= 0.1 * (1 + 5e-10);  // equal within what is allowed
  const auto r = wasserstein_1d(x, y, {.coupling = true}, a, b);
  ASSERT_LE(static_cast<Index>(r.coupling.size()), n + m - 1);
  std::vector<double> rows(n, 0.0), columns(m, 0.0);
  double cost = 0;
  for (std::size_t k = 0; k < r.coupling.size(); ++k) {
    const auto& [i, j, mass] = r.coupling[k];
    EXPECT_GT(mass, 0);
    rows[i] += mass;
    columns[j] += mass;
    cost += mass * (x[i] - y[j]) * (x[i] - y[j]);
    if (k > 0) {
      EXPECT_LE(x[r.coupling[k - 1].i], x[i]);
      EXPECT_LE(y[r.coupling[k - 1].j], y[j]);
    }
  }
  EXPECT_NEAR(r.cost, cost, 1e-13 * cost);
  for (Index i = 0; i < n; ++i) EXPECT_NEAR(rows[i], a[i], 1e-14);
  for (Index j = 0; j < m; ++j) EXPECT_NEAR(columns[j], b[j], 1e-9 * b[j] + 1e-14);
}

// An atom of 1e-25 counts next to one of 1, and keeps its mass to the last digits.
TEST(Wasserstein1d, LightAtoms) {
  const std::vector<double> x{0, 1e20}, y{0, 1}, a{1, 1e-25}, b{1, 0};
  const auto r = wasserstein_1d(x, y, {.coupling = true}, a, b);
  EXPECT_NEAR(r.cost, 1e15, 1);
  ASSERT_EQ(r.coupling.size(), 2u);
  EXPECT_EQ(r.coupling[1].mass, 1e-25);
  EXPECT_EQ(r.coupling[1].j, 0);
}

TEST(Wasserstein1d, Scales) {
  const Index n = 50;
  const auto x = normals(n, 13), y = normals(n, 14);
  for (const double p : {1.0, 2.0, 3.0, 40.0, 2000.0}) {
    const double unit = wasserstein_1d(x, y, {.p = p}).distance;
    for (const int power : {-1000, -300, 300, 1000}) {
      auto u = x, v = y;
      for (double& e : u) e = std::ldexp(e, power);
      for (double& e : v) e = std::ldexp(e, power);
      EXPECT_NEAR(std::ldexp(wasserstein_1d(u, v, {.p = p}).distance, -power), unit, 1e-13 * unit) << p << " " << power;
      EXPECT_FALSE(std::isnan(wasserstein_1d(u, v, {.p = p}).cost));
    }
  }
  // W_p grows to the largest step.
  double largest = 0;
  auto u = x, v = y;
  std::sort(u.begin(), u.end());
  std::sort(v.begin(), v.end());
  for (Index i = 0; i < n; ++i) largest = std::max(largest, std::abs(u[i] - v[i]));
  EXPECT_NEAR(wasserstein_1d(x, y, {.p = 2000}).distance, largest * std::pow(1.0 / n, 1 / 2000.0), 1e-3 * largest);
  EXPECT_EQ(wasserstein_1d(x, x).distance, 0);
}

TEST(Wasserstein1d, RefusesBadInput) {
  const std::vector<double> x{0, 1, 2}, y{0, 1};
  std::string what;
  EXPECT_EQ(code_of([&] { wasserstein_1d(std::vector<double>{0, kNan}, y); }, &what), Errc::not_finite);
  EXPECT_NE(what.find("wasserstein_1d: x is nan at index 1"), std::string::npos) << what;
  EXPECT_EQ(code_of([&] { wasserstein_1d(x, std::vector<double>{0, 1, -HUGE_VAL}); }, &what), Errc::not_finite);
  EXPECT_NE(what.find("y is -inf at index 2"), std::string::npos) << what;
  EXPECT_EQ(code_of([&] { wasserstein_1d(x, y, {}, std::vector<double>{1, 1, -1}); }, &what), Errc::invalid_argument);
  EXPECT_NE(what.find("a is negative, -1, at index 2"), std::string::npos) << what;
  EXPECT_EQ(code_of([&] { wasserstein_1d(x, y, {}, {}, std::vector<double>{kNan, 1}); }, &what), Errc::not_finite);
  EXPECT_NE(what.find("b is nan at index 0"), std::string::npos) << what;
  for (const auto& b : {std::vector<double>{1, 2 + 1e-8}, {0, 0}, {1, 1, 1}})
    EXPECT_EQ(code_of([&] { wasserstein_1d(x, y, {}, std::vector<double>{1, 1, 1}, b); }), Errc::invalid_argument);
  EXPECT_EQ(code_of([&] { wasserstein_1d(x, std::vector<double>{}); }), Errc::invalid_argument);
  for (const double p : {0.5, kNan, HUGE_VAL})
    EXPECT_EQ(code_of([&] { wasserstein_1d(x, y, {.p = p}); }), Errc::invalid_argument);
}

}  // namespace
}  // namespace monge::ot
