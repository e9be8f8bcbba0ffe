#include "monge/ot/exact.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <string>

#include "monge/ot/core/error.h"

namespace monge::ot {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

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
double brute_force(const std::vector<double>& cost, Index n, Index m) {
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
void expect_sound(const ExactResult& r, Index n, Index m, CostAt cost, double tolerance = 1e-9) {
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
void expect_sound(const ExactResult& r, MatrixView<const T> x, MatrixView<const T> y) {
  expect_sound(r, x.rows, y.rows, [&](Index i, Index j) { return naive_distance(x, i, y, j); });
}

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

// Beasley's OR-Library, assignment problems.
TEST(Exact, OrLibrary) {
  const std::filesystem::path folder = MONGE_TEST_FILES;
  for (const auto& [n, optimum] : {std::pair{100, 305}, {200, 475}, {300, 626}, {400, 804}}) {
    std::ifstream in(folder / ("assign" + std::to_string(n) + ".txt"));
    Index size = 0;
    in >> size;
    ASSERT_EQ(size, n);
    std::vector<double> cost(size * size);
    for (double& c : cost) in >> c;
    ASSERT_TRUE(in.good() || in.eof());
    const ExactResult r = exact_cost(MatrixView<const double>(cost.data(), size, size));
    EXPECT_NEAR(r.cost * n, optimum, 1e-9);
    expect_sound(r, size, size, [&](Index i, Index j) { return cost[i * size + j]; });
    const std::vector<float> small(cost.begin(), cost.end());
    EXPECT_NEAR(exact_cost(MatrixView<const float>(small.data(), size, size)).cost * n, optimum, 1e-9);
  }
}

TEST(Exact, BruteForceOnMatrices) {
  std::mt19937_64 random(7);
  for (Index n = 1; n <= 6; ++n)
    for (Index m = n; m <= 8; ++m)
      for (int integers = 0; integers < 2; ++integers) {
        std::vector<double> cost(n * m);
        for (double& c : cost)  // negative ones too; integers of few values for ties
          c = integers ? static_cast<double>(random() % 4) : std::uniform_real_distribution<double>(-1, 1)(random);
        const ExactResult r = exact_cost(MatrixView<const double>(cost.data(), n, m));
        EXPECT_NEAR(r.cost, brute_force(cost, n, m), 1e-14) << n << " x " << m;
        EXPECT_LE(r.certificate.lower, brute_force(cost, n, m));
        EXPECT_GE(r.certificate.upper, brute_force(cost, n, m));
      }
}

TEST(Exact, BruteForceOnClouds) {
  for (const Index d : {1, 2, 3, 20})
    for (Index n = 1; n <= 8; n += d == 1 ? 1 : 2)
      for (Index m = n; m <= std::min<Index>(8, n + 2); ++m) {
        const auto x = gaussian<double>(n, d, 10 * n + d), y = gaussian<double>(m, d, 100 + 10 * m + d, 2, 0.5);
        const ExactResult r = exact(x.view(), y.view());
        const double optimum = brute_force(naive_matrix(x.view(), y.view()), n, m);
        EXPECT_NEAR(r.cost, optimum, 1e-13 * optimum) << n << " x " << m << ", d = " << d;
        EXPECT_LE(r.certificate.lower, optimum * (1 + 1e-15));
        EXPECT_GE(r.certificate.upper, optimum * (1 - 1e-15));
      }
}

// On a line the sorted coupling is optimal.
TEST(Exact, SortedOnALine) {
  const Index n = 700;
  auto x = gaussian<float>(n, 1, 1), y = gaussian<float>(n, 1, 2, 3, 1);
  const ExactResult r = exact(x.view(), y.view());
  expect_sound(r, x.view(), y.view());
  std::sort(x.values.begin(), x.values.end());
  std::sort(y.values.begin(), y.values.end());
  long double sum = 0;
  for (Index i = 0; i < n; ++i) sum += naive_distance(x.view(), i, y.view(), i);
  EXPECT_NEAR(r.cost, static_cast<double>(sum / n), 1e-12 * r.cost);
}

// A shifted, shuffled copy goes back to where it came from, also when the shift dwarfs the cloud.
TEST(Exact, TranslatedCopy) {
  const Index n = 300, d = 5;
  const auto x = gaussian<double>(n, d, 3);
  std::vector<Index> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(4));
  for (const double shift : {0.0, 1.0, 1e6}) {
    Cloud<double> y{std::vector<double>(n * d), n, d};
    for (Index i = 0; i < n; ++i)
      for (Index k = 0; k < d; ++k) y.values[order[i] * d + k] = x.values[i * d + k] + shift;
    const ExactResult r = exact(x.view(), y.view());
    for (Index i = 0; i < n; ++i) ASSERT_EQ(r.columns[i], order[i]) << "shift " << shift;
    EXPECT_NEAR(r.cost, d * shift * shift, 1e-9 * d * shift * shift);
    EXPECT_LE(r.certificate.lower, r.cost);
    EXPECT_LE(r.certificate.upper - r.certificate.lower, 1e-9 * r.cost + 1e-300);
  }
}

TEST(Exact, CloudsOfManyShapes) {
  for (const auto& [n, m, d] : {std::tuple<Index, Index, Index>{1, 1, 3},
                                {1, 50, 2},
                                {257, 257, 2},
                                {300, 300, 64},
                                {130, 517, 3},
                                {511, 513, 30},
                                {600, 600, 3}}) {
    const auto x = gaussian<float>(n, d, 5), y = gaussian<float>(m, d, 6, 0.5, 2);
    const ExactResult r = exact(x.view(), y.view());
    expect_sound(r, x.view(), y.view());
    // The dense solver on a matrix made by other means agrees.
    const std::vector<double> cost = naive_matrix(x.view(), y.view());
    const ExactResult dense = exact_cost(MatrixView<const double>(cost.data(), n, m));
    EXPECT_NEAR(r.cost, dense.cost, 1e-10 * dense.cost) << n << " x " << m << ", d = " << d;
  }
}

TEST(Exact, FloatAndDoubleAgree) {
  const auto x = gaussian<float>(200, 10, 8), y = gaussian<float>(250, 10, 9);
  const Cloud<double> x2{{x.values.begin(), x.values.end()}, x.rows, x.cols};
  const Cloud<double> y2{{y.values.begin(), y.values.end()}, y.rows, y.cols};
  const ExactResult a = exact(x.view(), y.view()), b = exact(x2.view(), y2.view());
  EXPECT_EQ(a.columns, b.columns);
  EXPECT_EQ(a.cost, b.cost);
  EXPECT_EQ(a.certificate.lower, b.certificate.lower);
}

TEST(Exact, RespectsTheStride) {
  const auto wide = gaussian<float>(40, 9, 10);
  const MatrixView<const float> x(wide.values.data(), 40, 4, 9), y(wide.values.data() + 4, 40, 5 - 1, 9);
  expect_sound(exact(x, y), x, y);
}

// Ties of every kind: the same point many times, lattices, costs that are all equal.
TEST(Exact, DegenerateInputs) {
  const Index n = 150;
  const Cloud<float> same{std::vector<float>(n * 3, 0.7f), n, 3};
  const ExactResult zero = exact(same.view(), same.view());
  EXPECT_EQ(zero.cost, 0);
  EXPECT_EQ(zero.certificate.lower, 0);
  EXPECT_LE(zero.certificate.upper, 1e-300);

  std::mt19937_64 random(11);
  Cloud<float> lattice{std::vector<float>(n * 2), n, 2}, other = lattice;
  for (float& v : lattice.values) v = static_cast<float>(random() % 4);
  for (float& v : other.values) v = static_cast<float>(random() % 4);
  expect_sound(exact(lattice.view(), other.view()), lattice.view(), other.view());

  const std::vector<float> equal(n * (n + 9), 2.5f);
  for (const Index m : {n, n + 9}) {
    const ExactResult r = exact_cost(MatrixView<const float>(equal.data(), n, m));
    EXPECT_EQ(r.cost, 2.5);
    expect_sound(r, n, m, [](Index, Index) { return 2.5; });
  }
  const std::vector<double> zeros(n * n, 0.0);
  EXPECT_EQ(exact_cost(MatrixView<const double>(zeros.data(), n, n)).cost, 0);
}

TEST(Exact, Scales) {
  const Index n = 120, d = 4;
  const ExactResult unit = exact(gaussian<double>(n, d, 12).view(), gaussian<double>(n, d, 13).view());
  for (const int power : {-1000, -400, -100, 100, 500}) {  // powers of two: the very same problem
    const double scale = std::ldexp(1.0, power);
    const ExactResult r = exact(gaussian<double>(n, d, 12, scale).view(), gaussian<double>(n, d, 13, scale).view());
    EXPECT_EQ(r.columns, unit.columns) << power;
    EXPECT_EQ(r.cost, std::ldexp(unit.cost, 2 * power));
    EXPECT_LE(r.certificate.lower, r.cost);
    EXPECT_GE(r.certificate.upper, r.cost);
  }
  for (const float scale : {1e-30f, 1e30f}) {
    const auto x = gaussian<float>(n, d, 12, scale), y = gaussian<float>(n, d, 13, scale);
    expect_sound(exact(x.view(), y.view()), x.view(), y.view());
  }
  // One point far out must not drown the others.
  auto x = gaussian<double>(n, d, 14), y = gaussian<double>(n, d, 15);
  x.values[0] = 1e7;
  expect_sound(exact(x.view(), y.view()), x.view(), y.view());

  std::vector<double> cost(n * n);
  std::mt19937_64 random(16);
  for (double& c : cost) c = std::uniform_real_distribution<double>(-1, 1)(random);
  const ExactResult base = exact_cost(MatrixView<const double>(cost.data(), n, n));
  for (const int power : {-1000, -100, 100, 1000}) {
    std::vector<double> scaled(cost);
    for (double& c : scaled) c = std::ldexp(c, power);
    const ExactResult r = exact_cost(MatrixView<const double>(scaled.data(), n, n));
    EXPECT_EQ(r.columns, base.columns) << power;
    EXPECT_EQ(r.cost, std::ldexp(base.cost, power));
  }
  EXPECT_EQ(code_of([&] { exact(gaussian<double>(9, 2, 1, 1e200).view(), gaussian<double>(9, 2, 2, 1e200).view()); }),
            Errc::invalid_argument);
}

TEST(Exact, ForbiddenPairs) {
  const Index n = 60;
  // Only a band is allowed; the optimum of a dense matrix that prices the rest out is the same.
  std::mt19937_64 random(17);
  std::vector<double> banded(n * n), priced(n * n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) {
      const double c = std::uniform_real_distribution<double>(0, 1)(random);
      const bool allowed = std::abs(i - j) <= 3;
      banded[i * n + j] = allowed ? c : kInfinity;
      priced[i * n + j] = allowed ? c : 1e4;
    }
  const ExactResult r = exact_cost(MatrixView<const double>(banded.data(), n, n));
  EXPECT_NEAR(r.cost, exact_cost(MatrixView<const double>(priced.data(), n, n)).cost, 1e-9);
  expect_sound(r, n, n, [&](Index i, Index j) { return banded[i * n + j]; });

  std::vector<double> identity(n * n, kInfinity);
  for (Index i = 0; i < n; ++i) identity[i * n + (i + 7) % n] = 3;
  EXPECT_EQ(exact_cost(MatrixView<const double>(identity.data(), n, n)).cost, 3);
}

TEST(Exact, Infeasible) {
  const Index n = 20;
  std::vector<float> cost(n * n, 1.0f);
  const float never = std::numeric_limits<float>::infinity();
  const MatrixView<const float> view(cost.data(), n, n);
  // A row, then a column, without any pair; then three rows that share two columns (Hall's condition fails).
  std::fill_n(cost.begin() + 5 * n, n, never);
  EXPECT_EQ(code_of([&] { exact_cost(view); }), Errc::infeasible);
  std::fill(cost.begin(), cost.end(), 1.0f);
  for (Index i = 0; i < n; ++i) cost[i * n + 3] = never;
  EXPECT_EQ(code_of([&] { exact_cost(view); }), Errc::infeasible);
  std::fill(cost.begin(), cost.end(), 1.0f);
  for (Index i = 4; i < 7; ++i)
    for (Index j = 2; j < n; ++j) cost[i * n + j] = never;
  EXPECT_EQ(code_of([&] { exact_cost(view); }), Errc::infeasible);
  EXPECT_EQ(code_of([&] { exact_cost(view.rows_from(4, 3)); }), Errc::infeasible);
}

// Whether an assignment exists, by plain augmenting paths over the allowed pairs.
bool assignable(const std::vector<float>& cost, Index n, Index m) {
  std::vector<Index> owner(m, -1);
  std::vector<bool> seen;
  const std::function<bool(Index)> place = [&](Index i) {
    for (Index j = 0; j < m; ++j) {
      if (std::isinf(cost[i * m + j]) || seen[j]) continue;
      seen[j] = true;
      if (owner[j] >= 0 && !place(owner[j])) continue;
      owner[j] = i;
      return true;
    }
    return false;
  };
  for (Index i = 0; i < n; ++i) {
    seen.assign(m, false);
    if (!place(i)) return false;
  }
  return true;
}

TEST(Exact, SparsePatterns) {
  std::mt19937_64 random(24);
  Index feasible = 0, infeasible = 0;
  for (Index trial = 0; trial < 600; ++trial) {
    const Index n = 1 + static_cast<Index>(random() % 12), m = n + static_cast<Index>(random() % 3);
    std::vector<float> cost(n * m);
    for (float& c : cost)
      c = random() % 100 < 30 ? static_cast<float>(random() % 5) : std::numeric_limits<float>::infinity();
    const MatrixView<const float> view(cost.data(), n, m);
    if (assignable(cost, n, m)) {
      ++feasible;
      const ExactResult r = exact_cost(view);
      ASSERT_TRUE(std::isfinite(r.cost));
      EXPECT_LE(r.certificate.upper - r.certificate.lower, 1e-12);
    } else {
      ++infeasible;
      EXPECT_EQ(code_of([&] { exact_cost(view); }), Errc::infeasible) << n << " x " << m;
    }
  }
  EXPECT_GT(feasible, 50);
  EXPECT_GT(infeasible, 50);
}

// Machol and Wien's family c_ij = i j, on which row reduction achieves nothing; the optimum reverses the order.
TEST(Exact, HardForRowReduction) {
  const Index n = 300;
  std::vector<double> cost(n * n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) cost[i * n + j] = static_cast<double>((i + 1) * (j + 1));
  const ExactResult r = exact_cost(MatrixView<const double>(cost.data(), n, n));
  for (Index i = 0; i < n; ++i) ASSERT_EQ(r.columns[i], n - 1 - i);
  expect_sound(r, n, n, [&](Index i, Index j) { return cost[i * n + j]; });
}

TEST(Exact, RefusesBadInput) {
  std::string what;
  auto x = gaussian<float>(6, 3, 18);
  const auto y = gaussian<float>(7, 3, 19);
  x.values[4 * 3 + 2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code_of([&] { exact(x.view(), y.view()); }, &what), Errc::not_finite);
  EXPECT_NE(what.find("row 4, column 2"), std::string::npos) << what;
  x.values[4 * 3 + 2] = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(code_of([&] { exact(x.view(), y.view()); }), Errc::not_finite);

  std::vector<double> cost(12, 1.0);
  cost[7] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(code_of([&] { exact_cost(MatrixView<const double>(cost.data(), 3, 4)); }, &what), Errc::not_finite);
  EXPECT_NE(what.find("row 1, column 3"), std::string::npos) << what;
  cost[7] = -kInfinity;
  EXPECT_EQ(code_of([&] { exact_cost(MatrixView<const double>(cost.data(), 3, 4)); }), Errc::not_finite);

  const auto good = gaussian<float>(6, 3, 18), narrow = gaussian<float>(6, 2, 18);
  EXPECT_EQ(code_of([&] { exact(y.view(), good.view()); }), Errc::invalid_argument);
  EXPECT_EQ(code_of([&] { exact(good.view(), narrow.view()); }), Errc::invalid_argument);
  EXPECT_EQ(code_of([&] { exact(good.first(0), y.view()); }), Errc::invalid_argument);
  MatrixView<const float> elsewhere = good.view();
  elsewhere.device = {DeviceType::cuda, 0};
  EXPECT_EQ(code_of([&] { exact(elsewhere, y.view()); }), Errc::backend_unavailable);
}

// A run that is stopped still hands back an assignment, and a bracket that holds.
TEST(Exact, StopsWhenAsked) {
  const Index n = 400;
  const auto x = gaussian<double>(n, 3, 20), y = gaussian<double>(n, 3, 21, 2);
  const double optimum = exact(x.view(), y.view()).cost;
  ExactOptions options;
  options.progress = [](const ExactProgress& p) { return p.assigned < p.rows / 2; };
  ExactResult r = exact(x.view(), y.view(), options);
  EXPECT_EQ(r.status, Status::stopped_by_caller);
  EXPECT_EQ(r.certificate.kind, Certificate::Kind::proven);
  EXPECT_LE(r.certificate.lower, optimum);
  EXPECT_GE(r.certificate.upper, optimum);
  EXPECT_GT(r.certificate.upper, optimum * (1 + 1e-6));  // it did stop early
  std::sort(r.columns.begin(), r.columns.end());
  for (Index i = 0; i < n; ++i) ASSERT_EQ(r.columns[i], i);

  options = {};
  options.max_seconds = 0;
  EXPECT_EQ(exact(x.view(), y.view(), options).status, Status::time_limit);

  // With forbidden pairs the completion may be stuck: said, not guessed.
  std::vector<double> shift(16, kInfinity);
  for (Index i = 0; i < 4; ++i) shift[i * 4 + i] = shift[i * 4 + (i + 1) % 4] = i + 1;
  options.progress = [](const ExactProgress&) { return false; };
  r = exact_cost(MatrixView<const double>(shift.data(), 4, 4), options);
  EXPECT_EQ(r.status, Status::stopped_by_caller);
  EXPECT_EQ(r.columns.size(), 4u);
  const bool complete = std::count(r.columns.begin(), r.columns.end(), -1) == 0;
  EXPECT_EQ(r.certificate.kind, complete ? Certificate::Kind::proven : Certificate::Kind::none);
  EXPECT_EQ(std::isfinite(r.cost), complete);
}

TEST(Exact, SameBitsAtAnyThreadCount) {
  const auto x = gaussian<float>(700, 50, 22), y = gaussian<float>(900, 50, 23);
  ExactOptions one, two;
  one.context.threads = 1;
  two.context.threads = 2;
  const ExactResult a = exact(x.view(), y.view(), one), b = exact(x.view(), y.view(), two);
  EXPECT_EQ(a.columns, b.columns);
  EXPECT_EQ(a.f, b.f);
  EXPECT_EQ(a.g, b.g);
  EXPECT_EQ(a.cost, b.cost);
  EXPECT_EQ(a.certificate.lower, b.certificate.lower);
  EXPECT_EQ(a.certificate.upper, b.certificate.upper);
}

}  // namespace
}  // namespace monge::ot
