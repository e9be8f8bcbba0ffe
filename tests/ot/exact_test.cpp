// Every exact solver on the same hard cases: ties, scales, heavy tails, forbidden pairs, bad input.
#include "monge/ot/exact.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <utility>

#include "exact_solvers.h"

namespace monge::ot {
namespace {

template <class T>
class ExactOf : public ::testing::Test {
 protected:
  std::mt19937_64 random{1};
  std::normal_distribution<double> normal;
  std::cauchy_distribution<double> cauchy;
};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ExactOf, Types);

// Beasley's OR-Library: the optima are published, and whole numbers.
TYPED_TEST(ExactOf, OrLibraryIsSolved) {
  using T = TypeParam;
  const std::filesystem::path folder = MONGE_TEST_FILES;
  for (const auto& [n, optimum] : {std::pair{100, 305}, {200, 475}, {300, 626}, {400, 804}}) {
    std::ifstream in(folder / ("assign" + std::to_string(n) + ".txt"));
    Index size = 0;
    in >> size;
    ASSERT_EQ(size, n);
    const Matrix<T> cost = filled<T>(n, n, [&] {
      double c = 0;
      in >> c;
      return c;
    });
    for (const Solver solver : all_solvers) {
      const ExactResult r = solve(solver, Problem<T>{.cost_matrix = cost.view()});
      EXPECT_NEAR(r.cost * n, optimum, 1e-10) << name_of(solver) << " " << n;
      EXPECT_NEAR(r.certificate.lower * n, optimum, 1e-9) << name_of(solver) << " " << n;
    }
    std::vector<Index> offsets;
    std::vector<std::int32_t> columns;
    for (Index i = 0; i <= n; ++i) offsets.push_back(i * n);
    for (Index k = 0; k < n * n; ++k) columns.push_back(static_cast<std::int32_t>(k % n));
    const SparseCost<T> graph{n, n, offsets, columns, {cost.data(), n * n}};
    EXPECT_NEAR(assign(graph).cost * n, optimum, 1e-10);
    EXPECT_NEAR(network_simplex(graph, {}, {}).cost * n, optimum, 1e-10);
  }
}

TYPED_TEST(ExactOf, MatricesOfTiesAreSolved) {
  using T = TypeParam;
  for (const Index n : {1, 2, 60}) {
    for (const double value : {0.0, 2.5, -3.0, 1e-30, 1e30})
      expect_proven(filled<T>(n, n, value), concat("all ", value));
  }
  for (const int values : {2, 3, 10})
    expect_proven(filled<T>(70, 70, [&] { return static_cast<double>(this->random() % values); }), "integers");
  // A few units of the last place apart.
  const double ulp = std::numeric_limits<T>::epsilon();
  const auto near_one = [&] { return 1 + ulp * static_cast<double>(this->random() % 3); };
  expect_proven(filled<T>(120, 120, near_one), "near ties");
  Matrix<T> products(100, 100);  // row reduction achieves nothing (Machol and Wien)
  for (Index i = 0; i < 100; ++i)
    for (Index j = 0; j < 100; ++j) products(i, j) = static_cast<T>((i + 1) * (j + 1));
  expect_proven(products, "i j");
}

TYPED_TEST(ExactOf, MatricesOfAnyScaleAreSolved) {
  using T = TypeParam;
  for (const double scale : {1e-30, 1e30}) {
    expect_proven(filled<T>(60, 60, [&] { return scale * this->normal(this->random); }), concat("scale ", scale));
    expect_proven(filled<T>(20, 60, [&] { return scale * this->normal(this->random); }), concat("wide, scale ", scale));
  }
  // Some pairs cost next to nothing, the others are beyond all bounds but have to be paid once.
  Matrix<T> mixed = filled<T>(60, 60, [&] { return this->random() % 4 == 0 ? 1e-30 : 1e30; });
  for (Index i = 0; i < 60; ++i) mixed(i, i) = static_cast<T>(1e-30), mixed(i, 0) = static_cast<T>(1e30);
  expect_proven(mixed, "1e-30 and 1e30");
  for (const Solver solver : all_solvers)
    EXPECT_NEAR(solve(solver, Problem<T>{.cost_matrix = mixed.view()}).cost, 1e30 / 60, 1e23) << name_of(solver);
  mixed(0, 0) = static_cast<T>(1e-30);
  for (const Solver solver : all_solvers)
    EXPECT_LE(solve(solver, Problem<T>{.cost_matrix = mixed.view()}).cost, 1.001e-30) << name_of(solver);
}

TYPED_TEST(ExactOf, OneRowTakesItsBest) {
  using T = TypeParam;
  const Matrix<T> cost = filled<T>(1, 90, [&] { return this->normal(this->random); });
  const double least = *std::min_element(cost.data(), cost.data() + 90);
  double mean = 0;
  for (Index j = 0; j < 90; ++j) mean += static_cast<double>(cost(0, j)) / 90;
  for (const Solver solver : all_solvers) {
    const ExactResult r = solve(solver, Problem<T>{.cost_matrix = cost.view()});
    EXPECT_NEAR(r.cost, assigns(solver) ? least : mean, 1e-15) << name_of(solver);
  }
  expect_proven(cost, "1 x 90");
  const Matrix<T> x = filled<T>(1, 3, 1.5), y = filled<T>(40, 3, [&] { return this->normal(this->random); });
  expect_proven(x, y, "1 onto 40 points");
}

TYPED_TEST(ExactOf, CloudsOfTiesAreSolved) {
  using T = TypeParam;
  const auto whole = [&](int values) {
    return [&, values] { return static_cast<double>(this->random() % static_cast<std::uint64_t>(values)); };
  };
  expect_proven(filled<T>(60, 3, 0.75), filled<T>(60, 3, 0.75), "one point");
  expect_proven(filled<T>(60, 3, 0.75), filled<T>(60, 3, -0.25), "two points");
  for (const int values : {2, 5})
    expect_proven(filled<T>(80, 2, whole(values)), filled<T>(80, 2, whole(values)), concat("lattice of ", values));
  // Every point several times, and on both sides.
  const Matrix<T> few = filled<T>(7, 4, [&] { return this->normal(this->random); });
  Matrix<T> x(70, 4), y(70, 4);
  for (Index i = 0; i < 70; ++i) {
    std::copy_n(few.view().row(i % 7), 4, x.view().row(i));
    std::copy_n(few.view().row(i % 5), 4, y.view().row(i));
  }
  expect_proven(x, y, "duplicates");
}

TYPED_TEST(ExactOf, CloudsOfAnyScaleAreSolved) {
  using T = TypeParam;
  for (const double scale : {1e-30, 1e30}) {
    const auto value = [&] { return scale * this->normal(this->random); };
    expect_proven(filled<T>(60, 4, value), filled<T>(60, 4, value), concat("scale ", scale));
    expect_proven(filled<T>(30, 12, value), filled<T>(50, 12, value), concat("wide, scale ", scale));
  }
  for (const Cost cost : {Cost::squared_euclidean, Cost::negative_dot}) {  // costs that double does not hold
    const auto value = [&] { return 1e-170 * this->normal(this->random); };
    const Matrix<T> x = filled<T>(6, 2, value), y = filled<T>(7, 2, value);
    ExactOptions options;
    options.max_seconds = 10;
    const ExactResult r = network_simplex(Problem<T>{.x = x.view(), .y = y.view(), .cost = cost}, options);
    EXPECT_EQ(r.status, Status::converged);
    EXPECT_LE(std::abs(r.cost) + r.certificate.upper - r.certificate.lower, 1e-280);
  }
  // Far from the origin: for float a lattice.
  const auto far = [&] { return 1e8 + 100 * this->normal(this->random); };
  expect_proven(filled<T>(80, 3, far), filled<T>(80, 3, far), "far out");
  const auto tails = [&] { return this->cauchy(this->random); };
  expect_proven(filled<T>(150, 2, tails), filled<T>(150, 2, tails), "Cauchy");
  // Points of size 1e-15 beside points of size 1e15.
  const auto mixed = [&] { return std::ldexp(this->normal(this->random), this->random() % 2 ? 50 : -50); };
  expect_proven(filled<T>(60, 3, mixed), filled<T>(60, 3, mixed), "mixed");
}

// All 2 x 2 matrices of some values.
TYPED_TEST(ExactOf, TwoByTwoAgreesWithBothChoices) {
  using T = TypeParam;
  const std::vector<double> values{0, 1, -1, 2.5, 1e-30, 1e30, HUGE_VAL};
  const std::size_t count = values.size();
  for (std::size_t k = 0; k < count * count * count * count; ++k) {
    const double c[] = {values[k % count], values[k / count % count], values[k / count / count % count],
                        values[k / count / count / count]};
    Matrix<T> cost(2, 2);
    for (int e = 0; e < 4; ++e) cost.data()[e] = static_cast<T>(c[e]);
    const double straight = 0.5 * static_cast<double>(cost(0, 0)) + 0.5 * static_cast<double>(cost(1, 1)),
                 crossed = 0.5 * static_cast<double>(cost(0, 1)) + 0.5 * static_cast<double>(cost(1, 0));
    const double best = std::min(straight, crossed);
    double size = 0;
    for (const double e : c) size = std::isfinite(e) ? std::max(size, std::abs(e)) : size;
    for (const Solver solver : all_solvers) {
      try {
        const ExactResult r = solve(solver, Problem<T>{.cost_matrix = cost.view()});
        ASSERT_NEAR(r.cost, best, 1e-15 * size) << name_of(solver) << " " << k;
        ASSERT_LE(r.certificate.lower, best);
        ASSERT_GE(r.certificate.upper, best);
        ASSERT_LE(r.certificate.upper - r.certificate.lower, 2e-14 * size + 1e-300);  // 16 u of ten terms
      } catch (const Error& error) {
        ASSERT_EQ(error.code(), Errc::infeasible) << error.what();
        ASSERT_EQ(best, HUGE_VAL) << name_of(solver) << " " << k;
      }
    }
  }
}

// Each error is of the function that was called.
TYPED_TEST(ExactOf, BadInputIsRefusedByName) {
  using T = TypeParam;
  for (const Index n : {6, 60}) {  // small matrices are searched whole
    for (const Solver solver : all_solvers) {
      const std::string who = name_of(solver) + ": ";
      Matrix<T> cost = filled<T>(n, n, [&] { return this->normal(this->random); });
      const auto dense = [&] { solve(solver, Problem<T>{.cost_matrix = cost.view()}); };
      for (const Index i : {1, 3, 4}) {  // three rows for two columns
        for (Index j = 2; j < n; ++j) cost(i, j) = std::numeric_limits<T>::infinity();
      }
      expect_error(dense, Errc::infeasible, who + "infeasible: ");
      for (Index j = 0; j < n; ++j) cost(3, j) = std::numeric_limits<T>::infinity();
      expect_error(dense, Errc::infeasible, who + "infeasible: ");
      cost(2, 5) = std::numeric_limits<T>::quiet_NaN();
      expect_error(dense, Errc::not_finite, who + "cost is nan in row 2, column 5");
      cost(2, 5) = -std::numeric_limits<T>::infinity();
      expect_error(dense, Errc::not_finite, who + "cost is -inf in row 2, column 5");

      Matrix<T> x = filled<T>(n, 3, [&] { return this->normal(this->random); });
      const Matrix<T> y = filled<T>(n, 3, [&] { return this->normal(this->random); });
      x(4, 2) = std::numeric_limits<T>::quiet_NaN();
      expect_error([&] { solve(solver, Problem<T>{.x = x.view(), .y = y.view()}); }, Errc::not_finite,
                   who + "x is nan in row 4, column 2");
      x(4, 2) = std::numeric_limits<T>::infinity();
      expect_error([&] { solve(solver, Problem<T>{.x = y.view(), .y = x.view()}); }, Errc::not_finite,
                   who + "y is inf in row 4, column 2");
      expect_error([&] { solve(solver, Problem<T>{.x = y.view().rows_from(0, 0), .y = x.view()}); },
                   Errc::invalid_argument, who);
      ExactOptions options;
      for (const double bytes : {-1.0, std::nan("")}) {
        options.stored_bytes = bytes;
        expect_error([&] { solve(solver, Problem<T>{.x = y.view(), .y = y.view()}, options); }, Errc::invalid_argument,
                     concat(who, "stored_bytes is ", bytes));
      }
    }
  }
}

TYPED_TEST(ExactOf, EmptyCostsAreCalledSo) {
  using T = TypeParam;
  expect_error([] { exact(MatrixView<const T>{}); }, Errc::invalid_argument, "exact: cost is empty (0 x 0)");
  const Matrix<T> y = filled<T>(4, 2, 1);
  AssignmentOptions options;
  options.stored_bytes = -1;
  expect_error([&] { assign_batch(y.view(), y.view(), 2, options); }, Errc::invalid_argument,
               "assign_batch: stored_bytes is -1");
}

TYPED_TEST(ExactOf, ThreadsDoNotChangeABit) {
  using T = TypeParam;
  const auto value = [&] { return this->normal(this->random); };
  const Matrix<T> x = filled<T>(400, 20, value), y = filled<T>(400, 20, value), cost = filled<T>(300, 300, value);
  ExactOptions one, two;
  one.context.threads = 1, two.context.threads = 2;
  for (const Problem<T>& p : {Problem<T>{.x = x.view(), .y = y.view()}, Problem<T>{.cost_matrix = cost.view()}}) {
    for (const Solver solver : all_solvers) {
      const ExactResult a = solve(solver, p, one), b = solve(solver, p, two);
      EXPECT_EQ(a.plan.columns, b.plan.columns) << name_of(solver);
      EXPECT_EQ(a.plan.values, b.plan.values) << name_of(solver);
      EXPECT_EQ(a.f, b.f) << name_of(solver);
      EXPECT_EQ(a.g, b.g) << name_of(solver);
      EXPECT_EQ(a.cost, b.cost) << name_of(solver);
      EXPECT_EQ(a.certificate.lower, b.certificate.lower) << name_of(solver);
      EXPECT_EQ(a.certificate.upper, b.certificate.upper) << name_of(solver);
    }
  }
}

}  // namespace
}  // namespace monge::ot
