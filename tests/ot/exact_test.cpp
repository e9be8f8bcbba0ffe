// Every exact solver on the same hard cases: ties, scales, heavy tails, forbidden pairs, bad input; and its choice.
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
Matrix<T> filled(Index rows, Index cols, const std::function<double()>& value) {
  Matrix<T> out(rows, cols);
  for (Index k = 0; k < rows * cols; ++k) out.data()[k] = static_cast<T>(value());
  return out;
}

template <class T>
Matrix<T> filled(Index rows, Index cols, double value) {
  return filled<T>(rows, cols, [=] { return value; });
}

// Optimal by every solver, in few seconds. `off`: what rounding may do, in units of the mean of |c|.
template <class T>
void expect_proven(const Problem<T>& p, const std::string& what, Real off = 1e-11L) {
  const Reals costs = true_costs(p);
  Real mean = 0;
  for (const Real c : costs) mean += std::isfinite(c) ? std::abs(c) / costs.size() : 0;
  for (const Solver solver : all_solvers) {
    if (p.rows() > p.cols() && assigns(solver)) continue;
    ExactOptions options;
    options.max_seconds = 30;
    const ExactResult r = solve(solver, p, options);
    EXPECT_EQ(r.status, Status::converged) << name_of(solver) << ", " << what;
    const bool assignment = assigns(solver) && p.rows() < p.cols();
    const Verdict v = judge(costs, static_cast<std::size_t>(p.rows()), static_cast<std::size_t>(p.cols()), assignment,
                            r, off * mean + 1e-300L);
    EXPECT_EQ(v.fault, "") << name_of(solver) << ", " << what << ", in " << sizeof(T) << " bytes";
  }
}
template <class T>
void expect_proven(const Matrix<T>& cost, const std::string& what, Real off = 1e-11L) {
  expect_proven(Problem<T>{.cost_matrix = cost.view()}, what, off);
}
template <class T>
void expect_proven(const Matrix<T>& x, const Matrix<T>& y, const std::string& what, Real off = 1e-11L) {
  expect_proven(Problem<T>{.x = x.view(), .y = y.view()}, what, off);
}

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

void expect_error(const std::function<void()>& call, Errc code, const std::string& words) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
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

// Where there is a choice, it is as is_assignment() says; other problems, and malformed ones, are not assignments.
TEST(Exact, ChoosesAssignment) {
  std::mt19937_64 random(2);
  std::normal_distribution<double> normal;
  const auto cloud = [&](Index n) { return filled<double>(n, 3, [&] { return normal(random); }); };
  const Matrix<double> x = cloud(120), y = cloud(120), z = cloud(140);
  const Problem<double> square{.x = x.view(), .y = y.view()};
  EXPECT_TRUE(is_assignment(square));
  const ExactResult one_to_one = exact(square);
  EXPECT_EQ(one_to_one.columns.size(), 120u);
  EXPECT_EQ(one_to_one.cost, assign(x.view(), y.view()).cost);
  EXPECT_NEAR(network_simplex(square).cost, one_to_one.cost, 1e-14);

  std::vector<double> w(120, 1.0 / 120);
  w[3] *= 1.25, w[4] *= 0.75;
  const std::vector<std::int32_t> labels(120, 0);
  Problem<double> weighted = square, labelled = square, other = square;
  weighted.a = w;
  labelled.x_labels = labelled.y_labels = labels;
  other.cost = Cost::l1;
  for (const Problem<double>& p : {Problem<double>{.x = x.view(), .y = z.view()}, weighted, labelled, other}) {
    EXPECT_FALSE(is_assignment(p));
    const ExactResult r = exact(p);
    EXPECT_TRUE(r.columns.empty());
    EXPECT_EQ(r.cost, network_simplex(p).cost);
  }
  labelled.x_labels = {};
  expect_error([&] { exact(labelled); }, Errc::invalid_argument, "exact: labels are given for one side only");
}

// Weights that are all the same make assignments: what a row weighs is the unit of masses, exactly.
TEST(Exact, EqualWeightsAreUniform) {
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  constexpr Index n = 90;
  const auto value = [&] { return normal(random); };
  const Matrix<double> x = filled<double>(n, 3, value), y = filled<double>(n, 3, value),
                       cost = filled<double>(n, n, value);
  for (const Problem<double>& plain : {Problem<double>{.x = x.view(), .y = y.view()},
                                       Problem<double>{.x = x.view(), .y = y.view(), .cost = Cost::negative_dot},
                                       Problem<double>{.cost_matrix = cost.view()}}) {
    const ExactResult uniform = exact(plain);
    const Reals costs = true_costs(plain);
    for (const double each : {1.0 / n, 0.1, 3.0, 1e-200, 1e200}) {
      const std::vector<double> a(n, each), b(n, each * (1 + 9e-7));  // b counts as scaled
      Problem<double> p = plain;
      p.a = a, p.b = b;
      ASSERT_TRUE(is_assignment(p));
      const ExactResult r = exact(p);
      EXPECT_EQ(r.columns, uniform.columns);
      Real primal = 0, dual = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const auto j = static_cast<std::size_t>(r.columns[i]);
        EXPECT_EQ(r.plan.values[i], each);
        primal += each * costs[i * n + j], dual += each * (static_cast<Real>(r.f[i]) + r.g[j]);
      }
      const Real noise = 1e-13L * each * n;  // costs are a few units in size
      EXPECT_LE(std::abs(primal - dual), noise) << each;
      EXPECT_LE(std::abs(primal - r.cost), noise) << each;
      EXPECT_LE(r.certificate.lower, primal) << each;
      EXPECT_GE(r.certificate.upper, primal) << each;
      EXPECT_LE(r.certificate.upper - r.certificate.lower, noise) << each;
    }
    // One side only: the other sums to 1.
    const std::vector<double> one(n, 1.0 / n), two(n, 2.0 / n);
    Problem<double> p = plain;
    p.b = one;
    EXPECT_TRUE(is_assignment(p));
    EXPECT_EQ(exact(p).cost, uniform.cost);
    p.b = two;
    EXPECT_FALSE(is_assignment(p));
    expect_error([&] { exact(p); }, Errc::invalid_argument, "exact: a sums to 1 and b to 2");
  }
}

// Large enough for a start by Sinkhorn, whose epsilon no float could hold beside the largest costs.
TEST(Exact, FewCostsBeyondAllOthers) {
  std::mt19937_64 random(4);
  const Matrix<float> cost = filled<float>(
      200, 190, [&] { return random() % 20 == 0 ? 1e30 : 1e-30 * static_cast<double>(1 + random() % 9); });
  const ExactResult r = network_simplex(Problem<float>{.cost_matrix = cost.view()});
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_LE(r.cost, 9e-30);
  EXPECT_GE(r.certificate.lower, 0);
}

// Masses whose units no double could hold are as good as any.
TEST(Exact, WeightsOfAnyScale) {
  std::mt19937_64 random(5);
  const Matrix<double> cost = filled<double>(40, 50, [&] { return 1 + static_cast<double>(random() % 1000); });
  std::vector<double> a(40), b(50, 40.0 / 50);
  for (double& w : a) w = 1;
  const Problem<double> plain{.cost_matrix = cost.view(), .a = a, .b = b};
  const ExactResult r = exact(plain);
  for (const double scale : {1e-290, 1e-100, 1e100, 1e290}) {
    std::vector<double> sa(a), sb(b);
    for (double& w : sa) w *= scale;
    for (double& w : sb) w *= scale;
    const ExactResult scaled = exact({.cost_matrix = cost.view(), .a = sa, .b = sb});
    EXPECT_NEAR(scaled.cost / scale, r.cost, 1e-13 * r.cost) << scale;
    EXPECT_NEAR(scaled.certificate.lower / scale, r.cost, 1e-12 * r.cost) << scale;
    EXPECT_NEAR(scaled.certificate.upper / scale, r.cost, 1e-12 * r.cost) << scale;
  }
  for (double& w : a) w *= 1e306;
  for (double& w : b) w *= 1e306;
  expect_error([&] { exact(plain); }, Errc::invalid_argument, "exact: the cost overflows double");
}

// Sums of which bits are lost to underflow are refused; masses times costs may underflow, and the bounds know it.
TEST(Exact, WeightsAndCostsThatUnderflow) {
  std::mt19937_64 random(9);
  for (int k = 0; k < 20; ++k) {
    const Matrix<double> cost = filled<double>(9, 8, [&] { return 1e-140 * static_cast<double>(1 + random() % 1000); });
    std::vector<double> a(9), b(8, 0.0);
    for (double& w : a) w = 1e-183 * static_cast<double>(8 + random() % 100);
    for (std::size_t i = 0; i < a.size(); ++i) b[i % 8] += a[i];
    const ExactResult r = exact({.cost_matrix = cost.view(), .a = a, .b = b});
    Real primal = 0;
    for (Index i = 0; i < 9; ++i)
      for (auto e = r.plan.offsets[i]; e < r.plan.offsets[i + 1]; ++e)
        primal += static_cast<Real>(r.plan.values[e]) * cost(i, r.plan.columns[e]);
    EXPECT_LE(r.certificate.lower, primal);
    EXPECT_GE(r.certificate.upper, primal);
  }
  const Matrix<double> cost = filled<double>(4, 4, [&] { return static_cast<double>(random() % 10); });
  for (const double each : {5e-324, 2e-291}) {
    std::vector<double> a(4, each), b(4, each);
    const Problem<double> p{.cost_matrix = cost.view(), .a = a, .b = b};
    const std::string sum = concat("weights sum to ", 4 * each, ", less than 1e-290");
    expect_error([&] { exact(p); }, Errc::invalid_argument, "exact: " + sum);
    expect_error([&] { network_simplex(p); }, Errc::invalid_argument, "network_simplex: " + sum);
    a[0] *= 2, b[3] *= 2;
    expect_error([&] { exact(p); }, Errc::invalid_argument, "exact: weights sum to ");
  }
}

// A graph is a dense cost whose other pairs are forbidden, tall ones and weights too; a pair may be there twice.
TEST(Exact, GraphsTakeWeights) {
  constexpr Index n = 50, m = 30;
  std::mt19937_64 random(6);
  Matrix<double> cost = filled<double>(n, m, HUGE_VAL);
  std::vector<Index> offsets{0};
  std::vector<std::int32_t> columns;
  std::vector<double> costs, a(n, 0.0), b(m, 0.0);
  for (Index i = 0; i < n; ++i) {
    for (int k = 0; k < 6; ++k) {
      const auto j = static_cast<Index>(random() % m);
      columns.push_back(static_cast<std::int32_t>(j)), costs.push_back(static_cast<double>(random() % 50) - 10);
      cost(i, j) = std::min(cost(i, j), costs.back());
      const double mass = static_cast<double>(random() % 3);  // which shows that there is a plan
      a[static_cast<std::size_t>(i)] += mass, b[static_cast<std::size_t>(j)] += mass;
    }
    offsets.push_back(static_cast<Index>(columns.size()));
  }
  const SparseCost<double> graph{n, m, offsets, columns, costs};
  const ExactResult r = network_simplex(graph, a, b), dense = exact({.cost_matrix = cost.view(), .a = a, .b = b});
  EXPECT_EQ(r.cost, dense.cost);  // whole numbers
  EXPECT_NEAR(r.certificate.lower, dense.cost, 1e-10);
  EXPECT_NEAR(r.certificate.upper, dense.cost, 1e-10);

  const auto j = static_cast<std::size_t>(columns[0]);  // a column that gets more than its rows have
  for (std::size_t k = 0; k < b.size(); ++k) b[j] += k == j ? 0 : std::exchange(b[k], 0);
  expect_error([&] { network_simplex(graph, a, b); }, Errc::infeasible, "network_simplex: infeasible: ");
  costs[7] = std::numeric_limits<double>::quiet_NaN();
  expect_error([&] { network_simplex(graph, a, b); }, Errc::not_finite,
               concat("network_simplex: cost is nan in row 1, column ", columns[7]));
}

// A square graph of equal weights is assigned, others are not; each is what the dense cost says.
TEST(Exact, GraphsAreAssignedWhereTheyCanBe) {
  constexpr Index n = 60;
  std::mt19937_64 random(8);
  std::vector<Index> offsets{0};
  std::vector<std::int32_t> columns;
  std::vector<float> costs;
  Matrix<float> dense = filled<float>(n, n, HUGE_VAL);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < n; ++j) {
      if (i != j && random() % 8 > 0) continue;  // the diagonal is a plan
      columns.push_back(static_cast<std::int32_t>(j));
      costs.push_back(dense(i, j) = static_cast<float>(random() % 1000));
    }
    offsets.push_back(static_cast<Index>(columns.size()));
  }
  const SparseCost<float> graph{n, n, offsets, columns, costs};
  const ExactResult uniform = exact(graph), truth = network_simplex(Problem<float>{.cost_matrix = dense.view()});
  EXPECT_EQ(uniform.columns.size(), static_cast<std::size_t>(n));
  EXPECT_NEAR(uniform.cost, truth.cost, 1e-12);
  std::vector<double> a(n, 2.0), b(n, 2.0);
  const ExactResult twice = exact(graph, a, b);
  EXPECT_EQ(twice.columns, uniform.columns);
  EXPECT_NEAR(twice.cost, 2 * n * truth.cost, 1e-9);
  EXPECT_NEAR(twice.certificate.lower, 2 * n * truth.cost, 1e-9);
  EXPECT_NEAR(twice.certificate.upper, 2 * n * truth.cost, 1e-9);
  a[0] = b[0] = 3;  // along the diagonal
  const ExactResult weighted = exact(graph, a, b);
  EXPECT_TRUE(weighted.columns.empty());
  EXPECT_EQ(weighted.cost, network_simplex(graph, a, b).cost);
  a.pop_back();
  expect_error([&] { exact(graph, a, b); }, Errc::invalid_argument, "exact: a has 59 weights for 60 points");
  offsets[3] = -1;
  expect_error([&] { exact(graph); }, Errc::invalid_argument, "exact: offsets fall at row 2");
}

// What memory allows: nothing of n x m is kept, the answer is the same.
TEST(Exact, StoredScoresDoNotChangeTheOptimum) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  const Matrix<double> x = filled<double>(300, 20, [&] { return normal(random); }),
                       y = filled<double>(260, 20, [&] { return normal(random); });
  ExactOptions none;
  none.stored_bytes = 0;
  const Problem<double> p{.x = x.view(), .y = y.view()};
  EXPECT_NEAR(exact(p, none).cost, exact(p).cost, 1e-13);
}

}  // namespace
}  // namespace monge::ot
