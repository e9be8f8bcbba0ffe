#include "monge/ot/assignment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "assignment_truth.h"

namespace monge::ot {
namespace {

using namespace exact_test;

// Ties of every kind: the same point many times, lattices, costs that are all equal.
TEST(AssignmentEdge, DegenerateInputs) {
  const Index n = 150;
  const Cloud<float> same{std::vector<float>(n * 3, 0.7f), n, 3};
  const AssignmentResult zero = assign(same.view(), same.view());
  EXPECT_EQ(zero.cost, 0);
  EXPECT_EQ(zero.certificate.lower, 0);
  EXPECT_LE(zero.certificate.upper, 1e-300);

  std::mt19937_64 random(11);
  Cloud<float> lattice{std::vector<float>(n * 2), n, 2}, other = lattice;
  for (float& v : lattice.values) v = static_cast<float>(random() % 4);
  for (float& v : other.values) v = static_cast<float>(random() % 4);
  expect_sound(assign(lattice.view(), other.view()), lattice.view(), other.view());

  const std::vector<float> equal(n * (n + 9), 2.5f);
  for (const Index m : {n, n + 9}) {
    const AssignmentResult r = assign(MatrixView<const float>(equal.data(), n, m));
    EXPECT_EQ(r.cost, 2.5);
    expect_sound(r, n, m, [](Index, Index) { return 2.5; });
  }
  const std::vector<double> zeros(n * n, 0.0);
  EXPECT_EQ(assign(MatrixView<const double>(zeros.data(), n, n)).cost, 0);
}

TEST(AssignmentEdge, Scales) {
  const Index n = 120, d = 4;
  const AssignmentResult unit = assign(gaussian<double>(n, d, 12).view(), gaussian<double>(n, d, 13).view());
  for (const int power : {-1000, -400, -100, 100, 500}) {  // powers of two: the very same problem
    const double scale = std::ldexp(1.0, power);
    const AssignmentResult r =
        assign(gaussian<double>(n, d, 12, scale).view(), gaussian<double>(n, d, 13, scale).view());
    EXPECT_EQ(r.columns, unit.columns) << power;
    EXPECT_EQ(r.cost, std::ldexp(unit.cost, 2 * power));
    EXPECT_LE(r.certificate.lower, r.cost);
    EXPECT_GE(r.certificate.upper, r.cost);
  }
  for (const float scale : {1e-30f, 1e30f}) {
    const auto x = gaussian<float>(n, d, 12, scale), y = gaussian<float>(n, d, 13, scale);
    expect_sound(assign(x.view(), y.view()), x.view(), y.view());
  }
  // One point far out must not drown the others.
  auto x = gaussian<double>(n, d, 14), y = gaussian<double>(n, d, 15);
  x.values[0] = 1e7;
  expect_sound(assign(x.view(), y.view()), x.view(), y.view());

  std::vector<double> cost(n * n);
  std::mt19937_64 random(16);
  for (double& c : cost) c = std::uniform_real_distribution<double>(-1, 1)(random);
  const AssignmentResult base = assign(MatrixView<const double>(cost.data(), n, n));
  for (const int power : {-1000, -100, 100, 1000}) {
    std::vector<double> scaled(cost);
    for (double& c : scaled) c = std::ldexp(c, power);
    const AssignmentResult r = assign(MatrixView<const double>(scaled.data(), n, n));
    EXPECT_EQ(r.columns, base.columns) << power;
    EXPECT_EQ(r.cost, std::ldexp(base.cost, power));
  }
  // The optimum is a double, the potentials it takes are not.
  const double most = std::numeric_limits<double>::max();
  const std::vector<double> steep{most, -most, -most, -most / 2, most, -most, most, most, -most};
  try {
    const AssignmentResult r = assign(MatrixView<const double>(steep.data(), 3, 3));
    for (Index i = 0; i < 3; ++i) EXPECT_TRUE(std::isfinite(r.f[i]) && std::isfinite(r.g[i]));
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Errc::invalid_argument);
  }
  EXPECT_EQ(code_of([&] { assign(gaussian<double>(9, 2, 1, 1e200).view(), gaussian<double>(9, 2, 2, 1e200).view()); }),
            Errc::invalid_argument);
}

TEST(AssignmentEdge, ForbiddenPairs) {
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
  const AssignmentResult r = assign(MatrixView<const double>(banded.data(), n, n));
  EXPECT_NEAR(r.cost, assign(MatrixView<const double>(priced.data(), n, n)).cost, 1e-9);
  expect_sound(r, n, n, [&](Index i, Index j) { return banded[i * n + j]; });

  std::vector<double> identity(n * n, kInfinity);
  for (Index i = 0; i < n; ++i) identity[i * n + (i + 7) % n] = 3;
  EXPECT_EQ(assign(MatrixView<const double>(identity.data(), n, n)).cost, 3);
}

TEST(AssignmentEdge, Infeasible) {
  const Index n = 20;
  std::vector<float> cost(n * n, 1.0f);
  const float never = std::numeric_limits<float>::infinity();
  const MatrixView<const float> view(cost.data(), n, n);
  // A row, then a column, without any pair; then three rows that share two columns (Hall's condition fails).
  std::fill_n(cost.begin() + 5 * n, n, never);
  EXPECT_EQ(code_of([&] { assign(view); }), Errc::infeasible);
  std::fill(cost.begin(), cost.end(), 1.0f);
  for (Index i = 0; i < n; ++i) cost[i * n + 3] = never;
  EXPECT_EQ(code_of([&] { assign(view); }), Errc::infeasible);
  std::fill(cost.begin(), cost.end(), 1.0f);
  for (Index i = 4; i < 7; ++i)
    for (Index j = 2; j < n; ++j) cost[i * n + j] = never;
  EXPECT_EQ(code_of([&] { assign(view); }), Errc::infeasible);
  EXPECT_EQ(code_of([&] { assign(view.rows_from(4, 3)); }), Errc::infeasible);
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

TEST(AssignmentEdge, SparsePatterns) {
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
      const AssignmentResult r = assign(view);
      ASSERT_TRUE(std::isfinite(r.cost));
      EXPECT_LE(r.certificate.upper - r.certificate.lower, 1e-12);
    } else {
      ++infeasible;
      EXPECT_EQ(code_of([&] { assign(view); }), Errc::infeasible) << n << " x " << m;
    }
  }
  EXPECT_GT(feasible, 50);
  EXPECT_GT(infeasible, 50);
}

// Machol and Wien's family c_ij = i j, on which row reduction achieves nothing; the optimum reverses the order.
TEST(AssignmentEdge, HardForRowReduction) {
  const Index n = 300;
  std::vector<double> cost(n * n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) cost[i * n + j] = static_cast<double>((i + 1) * (j + 1));
  const AssignmentResult r = assign(MatrixView<const double>(cost.data(), n, n));
  for (Index i = 0; i < n; ++i) ASSERT_EQ(r.columns[i], n - 1 - i);
  expect_sound(r, n, n, [&](Index i, Index j) { return cost[i * n + j]; });
}

TEST(AssignmentEdge, RefusesBadInput) {
  std::string what;
  auto x = gaussian<float>(6, 3, 18);
  const auto y = gaussian<float>(7, 3, 19);
  x.values[4 * 3 + 2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code_of([&] { assign(x.view(), y.view()); }, &what), Errc::not_finite);
  EXPECT_NE(what.find("row 4, column 2"), std::string::npos) << what;
  x.values[4 * 3 + 2] = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(code_of([&] { assign(x.view(), y.view()); }), Errc::not_finite);

  std::vector<double> cost(12, 1.0);
  cost[7] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(code_of([&] { assign(MatrixView<const double>(cost.data(), 3, 4)); }, &what), Errc::not_finite);
  EXPECT_NE(what.find("row 1, column 3"), std::string::npos) << what;
  cost[7] = -kInfinity;
  EXPECT_EQ(code_of([&] { assign(MatrixView<const double>(cost.data(), 3, 4)); }), Errc::not_finite);

  const auto good = gaussian<float>(6, 3, 18), narrow = gaussian<float>(6, 2, 18);
  EXPECT_EQ(code_of([&] { assign(y.view(), good.view()); }), Errc::invalid_argument);
  EXPECT_EQ(code_of([&] { assign(good.view(), narrow.view()); }), Errc::invalid_argument);
  EXPECT_EQ(code_of([&] { assign(good.first(0), y.view()); }), Errc::invalid_argument);
  MatrixView<const float> elsewhere = good.view();
  elsewhere.device = {DeviceType::cuda, 0};
  EXPECT_EQ(code_of([&] { assign(elsewhere, y.view()); }), Errc::backend_unavailable);
}

// A run that is stopped still hands back an assignment, and a bracket that holds.
TEST(AssignmentEdge, StopsWhenAsked) {
  const Index n = 400;
  const auto x = gaussian<double>(n, 3, 20), y = gaussian<double>(n, 3, 21, 2);
  const double optimum = assign(x.view(), y.view()).cost;
  AssignmentOptions options;
  options.progress = [](const AssignmentProgress& p) { return p.assigned < p.rows / 2; };
  AssignmentResult r = assign(x.view(), y.view(), options);
  EXPECT_EQ(r.status, Status::stopped_by_caller);
  EXPECT_EQ(r.certificate.kind, Certificate::Kind::proven);
  EXPECT_LE(r.certificate.lower, optimum);
  EXPECT_GE(r.certificate.upper, optimum);
  EXPECT_GT(r.certificate.upper, optimum * (1 + 1e-6));  // it did stop early
  std::sort(r.columns.begin(), r.columns.end());
  for (Index i = 0; i < n; ++i) ASSERT_EQ(r.columns[i], i);

  // Nobody is asked once every row has its column: here the rows' minima are an assignment.
  std::vector<double> diagonal(9, 1.0);
  for (Index i = 0; i < 3; ++i) diagonal[i * 4] = 0;
  options.progress = [](const AssignmentProgress&) { return false; };
  EXPECT_EQ(assign(MatrixView<const double>(diagonal.data(), 3, 3), options).status, Status::converged);

  options = {};
  options.max_seconds = std::nan("");
  EXPECT_EQ(code_of([&] { assign(x.view(), y.view(), options); }), Errc::invalid_argument);
  options.max_seconds = 0;
  EXPECT_EQ(assign(x.view(), y.view(), options).status, Status::time_limit);

  // With forbidden pairs the completion may be stuck: said, not guessed.
  std::vector<double> shift(16, kInfinity);
  for (Index i = 0; i < 4; ++i) shift[i * 4 + i] = shift[i * 4 + (i + 1) % 4] = i + 1;
  options.progress = [](const AssignmentProgress&) { return false; };
  r = assign(MatrixView<const double>(shift.data(), 4, 4), options);
  EXPECT_EQ(r.status, Status::stopped_by_caller);
  EXPECT_EQ(r.columns.size(), 4u);
  const bool complete = std::count(r.columns.begin(), r.columns.end(), -1) == 0;
  EXPECT_EQ(r.certificate.kind, complete ? Certificate::Kind::proven : Certificate::Kind::none);
  EXPECT_EQ(std::isfinite(r.cost), complete);
}

TEST(AssignmentEdge, SameBitsAtAnyThreadCount) {
  const auto x = gaussian<float>(700, 50, 22), y = gaussian<float>(900, 50, 23);
  AssignmentOptions one, two;
  one.context.threads = 1;
  two.context.threads = 2;
  const AssignmentResult a = assign(x.view(), y.view(), one), b = assign(x.view(), y.view(), two);
  EXPECT_EQ(a.columns, b.columns);
  EXPECT_EQ(a.f, b.f);
  EXPECT_EQ(a.g, b.g);
  EXPECT_EQ(a.cost, b.cost);
  EXPECT_EQ(a.certificate.lower, b.certificate.lower);
  EXPECT_EQ(a.certificate.upper, b.certificate.upper);
}

// A row that can go to one column alone, at any price, leaves the others the optimum of what is left.
TEST(AssignmentEdge, AFewRowsWithOneColumnInReach) {
  for (const Index n : {33, 40, 120})
    for (const double far : {1e6, 1e12, 1e18, HUGE_VAL}) {
      std::mt19937_64 random(11);
      std::uniform_real_distribution<double> uniform;
      Matrix<double> cost(n, n), rest(n - 1, n - 1);
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) cost(i, j) = uniform(random);
      for (Index j = 0; j < n; ++j) cost(n - 1, j) = j == 0 ? 0 : far;
      for (Index i = 0; i + 1 < n; ++i)
        for (Index j = 0; j + 1 < n; ++j) rest(i, j) = cost(i, j + 1);
      const double optimum = hungarian(std::as_const(rest).view()).cost * static_cast<double>(n - 1);
      std::vector<AssignmentResult> results{hungarian(std::as_const(cost).view())};
      if (far != 1e18) results.push_back(assign(std::as_const(cost).view()));  // whose floats know nothing of the rest
      for (const AssignmentResult& r : results) {
        EXPECT_EQ(r.columns[static_cast<std::size_t>(n - 1)], 0);
        EXPECT_NEAR(r.cost * static_cast<double>(n), optimum, 1e-12) << n << ", " << far;
      }
    }
}

}  // namespace
}  // namespace monge::ot
