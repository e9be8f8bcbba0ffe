// The network simplex: problems large enough for column generation, degenerate ones, refusals, early ends.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "monge/ot/core/error.h"
#include "monge/ot/exact.h"
#include "transport_truth.h"

namespace monge::ot {
namespace {

Matrix<double> normal(Index n, Index d, std::uint64_t seed, double shift = 0) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> law(shift, 1);
  Matrix<double> x(n, d);
  for (Index k = 0; k < n * d; ++k) x.data()[k] = law(random);
  return x;
}

// Positive, with some zeros, over `decades` decades; sums to one.
std::vector<double> weights(Index n, std::uint64_t seed, double decades = 0.3) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> law(-decades, 0);
  std::vector<double> w(static_cast<std::size_t>(n));
  double sum = 0;
  for (double& e : w) e = random() % 20 == 0 ? 0 : std::pow(10, law(random)), sum += e;
  for (double& e : w) e /= sum;
  return w;
}

// Optimal, by weak duality in long double over all pairs: the plan has the marginals, the potentials are feasible, and
// both have the same value. `off` is what rounding may do, in units of the mean cost.
template <class T>
void expect_optimal(const Problem<T>& p, const ExactResult& r, Real off = 1e-12L) {
  ASSERT_EQ(r.status, Status::converged);
  const Reals costs = true_costs(p);
  const auto n = static_cast<std::size_t>(p.rows()), m = static_cast<std::size_t>(p.cols());
  Reals a(n, 1.0L / n), b(m, 1.0L / m);
  if (!p.a.empty()) a.assign(p.a.begin(), p.a.end());
  if (!p.b.empty()) b.assign(p.b.begin(), p.b.end());
  Real mass = 0, mass_b = 0, mean = 0, primal = 0, dual = 0, violation = 0, slack = 0;
  for (const Real w : a) mass += w;
  for (const Real w : b) mass_b += w;
  for (Real& w : b) w *= mass / mass_b;
  for (const Real c : costs) mean += std::isfinite(c) ? std::abs(c) / (n * m) : 0;
  Reals rows(a), cols(b);
  ASSERT_EQ(r.plan.offsets.size(), n + 1);
  EXPECT_LT(r.plan.values.size(), n + m);
  for (std::size_t i = 0; i < n; ++i) {
    for (auto k = r.plan.offsets[i]; k < r.plan.offsets[i + 1]; ++k) {
      const auto j = static_cast<std::size_t>(r.plan.columns[k]);
      EXPECT_GT(r.plan.values[k], 0);
      rows[i] -= r.plan.values[k], cols[j] -= r.plan.values[k];
      primal += r.plan.values[k] * costs[i * m + j];
      slack = std::max(slack, std::abs(costs[i * m + j] - r.f[i] - r.g[j]));
    }
    dual += a[i] * r.f[i];
    for (std::size_t j = 0; j < m; ++j)
      violation = std::max<Real>(violation, static_cast<Real>(r.f[i]) + r.g[j] - costs[i * m + j]);
    EXPECT_LE(std::abs(rows[i]), 1e-15L * a[i]);
  }
  for (std::size_t j = 0; j < m; ++j) {
    dual += b[j] * r.g[j];
    EXPECT_LE(std::abs(cols[j]), 1e-14L * b[j] + 1e-20L * mass);
  }
  EXPECT_LE(violation, 1e-14L * mean);
  constexpr Real dust = 1e-300L;
  EXPECT_LE(slack, off * mean + dust);
  EXPECT_LE(std::abs(primal - dual), off * mean * mass + dust);
  EXPECT_NEAR(r.cost, static_cast<double>(primal), static_cast<double>(1e-14L * mean * mass));
  EXPECT_EQ(r.certificate.kind, Certificate::Kind::proven);
  EXPECT_LE(r.certificate.lower, primal);
  EXPECT_GE(r.certificate.upper, dual);
  EXPECT_LE(r.certificate.upper - r.certificate.lower, off * mean * mass + dust);
  EXPECT_LT(r.marginal_error, 1e-14L * mass);
}

bool same(const ExactResult& a, const ExactResult& b) {
  return a.cost == b.cost && a.f == b.f && a.g == b.g && a.plan.columns == b.plan.columns &&
         a.plan.values == b.plan.values && a.plan.offsets == b.plan.offsets && a.iterations == b.iterations &&
         a.certificate.lower == b.certificate.lower && a.certificate.upper == b.certificate.upper;
}

class NetworkSimplexCost : public ::testing::TestWithParam<Cost> {};
INSTANTIATE_TEST_SUITE_P(All, NetworkSimplexCost,
                         ::testing::Values(Cost::negative_dot, Cost::squared_euclidean, Cost::cosine, Cost::euclidean,
                                           Cost::l1),
                         [](const auto& info) { return to_string(info.param); });

TEST_P(NetworkSimplexCost, IsOptimalBetweenClouds) {
  for (const Index d : {2, 19}) {
    const Matrix<double> x = normal(300, d, 1), y = normal(410, d, 2, 0.4);
    const std::vector<double> a = weights(300, 3), b = weights(410, 4);
    expect_optimal<double>({.x = x.view(), .y = y.view(), .cost = GetParam(), .a = a, .b = b},
                           network_simplex({.x = x.view(), .y = y.view(), .cost = GetParam(), .a = a, .b = b}));
  }
}

TEST_P(NetworkSimplexCost, IsOptimalWithLabels) {
  const Matrix<double> x = normal(260, 3, 5), y = normal(230, 3, 6);
  std::vector<std::int32_t> x_labels(260), y_labels(230);
  for (std::size_t i = 0; i < x_labels.size(); ++i) x_labels[i] = static_cast<std::int32_t>(i % 3);
  for (std::size_t j = 0; j < y_labels.size(); ++j) y_labels[j] = static_cast<std::int32_t>(j % 2);
  const Problem<double> p{.x = x.view(),
                          .y = y.view(),
                          .cost = GetParam(),
                          .x_labels = x_labels,
                          .y_labels = y_labels,
                          .label_penalty = 0.7};
  expect_optimal(p, network_simplex(p));
}

// Pairs of unequal labels are forbidden, between clouds and of a dense cost alike.
TEST_P(NetworkSimplexCost, IsOptimalWhereLabelsForbid) {
  std::vector<std::int32_t> x_labels(300), y_labels(240);
  for (std::size_t i = 0; i < x_labels.size(); ++i) x_labels[i] = static_cast<std::int32_t>(i % 3);
  for (std::size_t j = 0; j < y_labels.size(); ++j) y_labels[j] = static_cast<std::int32_t>(j % 3);
  for (const Index d : {3, 12}) {
    const Matrix<double> x = normal(300, d, 41), y = normal(240, d, 42, 0.2);
    Problem<double> clouds{.x = x.view(), .y = y.view(), .cost = GetParam()};
    const Reals costs = true_costs(clouds);
    const std::vector<double> c(costs.begin(), costs.end());
    Problem<double> matrix{.cost_matrix = {c.data(), 300, 240}};
    for (Problem<double>* p : {&clouds, &matrix}) {
      p->x_labels = x_labels, p->y_labels = y_labels;
      p->label_penalty = HUGE_VAL;
    }
    const ExactResult r = network_simplex(clouds), same = network_simplex(matrix);
    expect_optimal(clouds, r);
    expect_optimal(matrix, same);
    EXPECT_NEAR(r.cost, same.cost, 1e-13 * std::abs(same.cost));
    y_labels[0] = 1;  // more than the rows of that label have
    for (const Problem<double>* p : {&clouds, &matrix}) {
      try {
        network_simplex(*p);
        ADD_FAILURE();
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Errc::infeasible) << error.what();
      }
    }
    y_labels[0] = 0;
  }
}

TEST(NetworkSimplex, FloatsAreSolvedAsTheyAre) {
  const Matrix<double> from = normal(700, 5, 7);
  Matrix<float> x(300, 5), y(400, 5);
  for (Index k = 0; k < 1500; ++k) x.data()[k] = static_cast<float>(1000 + from.data()[k]);
  for (Index k = 0; k < 2000; ++k) y.data()[k] = static_cast<float>(1000.5 + 2 * from.data()[1500 + k]);
  const std::vector<double> a = weights(300, 8), b = weights(400, 9);
  const Problem<float> p{.x = x.view(), .y = y.view(), .a = a, .b = b};
  expect_optimal(p, network_simplex(p));
}

TEST(NetworkSimplex, DenseIsOptimal) {
  std::mt19937_64 random(10);
  Matrix<double> cost(350, 280);
  Matrix<float> narrow(350, 280);
  for (Index k = 0; k < 350 * 280; ++k) {
    cost.data()[k] = static_cast<double>(random() % 1000000) / 1e5 - 3;
    narrow.data()[k] = static_cast<float>(cost.data()[k]);
  }
  const std::vector<double> a = weights(350, 11), b = weights(280, 12);
  expect_optimal<double>({.cost_matrix = cost.view(), .a = a, .b = b},
                         network_simplex({.cost_matrix = cost.view(), .a = a, .b = b}));
  expect_optimal<float>({.cost_matrix = narrow.view(), .a = a, .b = b},
                        network_simplex(Problem<float>{.cost_matrix = narrow.view(), .a = a, .b = b}));
}

TEST(NetworkSimplex, IntegersTieEverywhere) {
  std::mt19937_64 random(13);
  Matrix<double> cost(300, 300);
  for (const int values : {1, 2, 5}) {
    for (Index k = 0; k < 300 * 300; ++k) cost.data()[k] = static_cast<double>(random() % values);
    expect_optimal<double>({.cost_matrix = cost.view()}, network_simplex(Problem<double>{.cost_matrix = cost.view()}),
                           1e-11L);
  }
}

TEST(NetworkSimplex, ForbiddenPairsAreNotUsed) {
  std::mt19937_64 random(14);
  Matrix<double> cost(300, 320);
  for (Index i = 0; i < 300; ++i) {
    for (Index j = 0; j < 320; ++j) {
      // Two blocks that know nothing of each other, and few pairs within them.
      const bool allowed = (i < 150) == (j < 160) && (random() % 8 == 0 || (i % 150) == (j % 160));
      cost(i, j) = allowed ? static_cast<double>(random() % 1000) : HUGE_VAL;
    }
  }
  const Problem<double> p{.cost_matrix = cost.view()};
  expect_optimal(p, network_simplex(p));
  // The same with dear pairs between the blocks, which have to be used.
  std::vector<double> a(300, 1), b(320, 300.0 / 320);
  a[0] = 2, a[299] = 0;
  for (Index i = 0; i < 150; ++i) cost(i, 318) = cost(i, 319) = 1e6;
  const Problem<double> q{.cost_matrix = cost.view(), .a = a, .b = b};
  expect_optimal(q, network_simplex(q), 1e-11L);
}

TEST(NetworkSimplex, DuplicatesAndNothingButDuplicates) {
  Matrix<double> x = normal(300, 2, 15), y = normal(200, 2, 16);
  for (Index i = 0; i < 300; ++i) std::copy_n(x.view().row(i % 7), 2, x.view().row(i));
  for (Index j = 0; j < 200; ++j) std::copy_n(j % 2 ? x.view().row(j % 5) : y.view().row(j % 3), 2, y.view().row(j));
  expect_optimal<double>({.x = x.view(), .y = y.view()},
                         network_simplex(Problem<double>{.x = x.view(), .y = y.view()}));
  for (Index k = 0; k < 600; ++k) x.data()[k] = 3.25;
  for (Index k = 0; k < 400; ++k) y.data()[k] = 3.25;
  const ExactResult r = network_simplex(Problem<double>{.x = x.view(), .y = y.view()});
  EXPECT_EQ(r.cost, 0);
  EXPECT_LT(r.certificate.upper, 1e-200);
}

// Masses of equal points are added up, and the plan is spread over them again.
TEST_P(NetworkSimplexCost, EqualPointsShareAPlan) {
  Matrix<double> x = normal(300, 4, 61), y = normal(280, 4, 62, 0.3);
  for (Index i = 0; i < 300; ++i) std::copy_n(x.view().row(i % 3 ? i % 40 : i), 4, x.view().row(i));
  for (Index j = 0; j < 280; ++j) std::copy_n(y.view().row(j % 60), 4, y.view().row(j));
  const std::vector<double> a = weights(300, 63, 6), b = weights(280, 64, 6);
  std::vector<std::int32_t> x_labels(300), y_labels(280);  // equal points may have different ones
  for (std::size_t i = 0; i < x_labels.size(); ++i) x_labels[i] = static_cast<std::int32_t>(i % 7 == 0);
  for (std::size_t j = 0; j < y_labels.size(); ++j) y_labels[j] = static_cast<std::int32_t>(j % 11 == 0);
  Problem<double> p{.x = x.view(), .y = y.view(), .cost = GetParam()};
  expect_optimal(p, network_simplex(p));
  p.a = a, p.b = b;
  expect_optimal(p, network_simplex(p), 1e-11L);
  p.x_labels = x_labels, p.y_labels = y_labels, p.label_penalty = 0.4;
  expect_optimal(p, network_simplex(p), 1e-11L);
}

TEST(NetworkSimplex, OneRowOrColumn) {
  const Matrix<double> x = normal(1, 3, 17), y = normal(90, 3, 18);
  const std::vector<double> b = weights(90, 19);
  const std::vector<double> one{1.0};
  expect_optimal<double>({.x = x.view(), .y = y.view(), .a = one, .b = b},
                         network_simplex({.x = x.view(), .y = y.view(), .a = one, .b = b}));
  expect_optimal<double>({.x = y.view(), .y = x.view(), .a = b, .b = one},
                         network_simplex({.x = y.view(), .y = x.view(), .a = b, .b = one}));
  expect_optimal<double>({.x = x.view(), .y = x.view()},
                         network_simplex(Problem<double>{.x = x.view(), .y = x.view()}));
}

TEST(NetworkSimplex, WeightsOverTwelveDecades) {
  const Matrix<double> x = normal(260, 3, 20), y = normal(300, 3, 21);
  const std::vector<double> a = weights(260, 22, 12), b = weights(300, 23, 12);
  const Problem<double> p{.x = x.view(), .y = y.view(), .a = a, .b = b};
  expect_optimal(p, network_simplex(p));
}

// Scales of costs change nothing but the unit.
TEST(NetworkSimplex, ScalesOfCosts) {
  const Matrix<double> x = normal(210, 3, 24), y = normal(230, 3, 25);
  const std::vector<double> a = weights(210, 26), b = weights(230, 27);
  const ExactResult plain = network_simplex({.x = x.view(), .y = y.view(), .a = a, .b = b});
  for (const int exponent : {-400, -100, 100, 400}) {
    Matrix<double> sx(210, 3), sy(230, 3), cost(210, 230);
    for (Index k = 0; k < 630; ++k) sx.data()[k] = std::ldexp(x.data()[k], exponent);
    for (Index k = 0; k < 690; ++k) sy.data()[k] = std::ldexp(y.data()[k], exponent);
    const Problem<double> p{.x = sx.view(), .y = sy.view(), .a = a, .b = b};
    EXPECT_EQ(network_simplex(p).cost, std::ldexp(plain.cost, 2 * exponent)) << exponent;
    const Reals c = true_costs<double>({.x = sx.view(), .y = sy.view()});
    std::copy(c.begin(), c.end(), cost.data());
    expect_optimal<double>({.cost_matrix = cost.view(), .a = a, .b = b},
                           network_simplex({.cost_matrix = cost.view(), .a = a, .b = b}));
  }
}

TEST(NetworkSimplex, SumsOfWeightsMayDifferALittle) {
  const Matrix<double> x = normal(200, 2, 28), y = normal(240, 2, 29);
  std::vector<double> a = weights(200, 30), b = weights(240, 31);
  for (double& w : b) w *= 1 + 9e-7;
  expect_optimal<double>({.x = x.view(), .y = y.view(), .a = a, .b = b},
                         network_simplex({.x = x.view(), .y = y.view(), .a = a, .b = b}));
  for (double& w : b) w *= 1.1;
  try {
    network_simplex(Problem<double>{.x = x.view(), .y = y.view(), .a = a, .b = b});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::invalid_argument);
    EXPECT_NE(std::string(error.what()).find("network_simplex: a sums to"), std::string::npos) << error.what();
  }
}

TEST(NetworkSimplex, SameBitsOnAnyThreads) {
  const Matrix<double> x = normal(500, 12, 32), y = normal(450, 12, 33);
  const std::vector<double> a = weights(500, 34), b = weights(450, 35);
  for (const double bytes : {0.0, 1e9}) {
    ExactOptions one, two;
    one.context.threads = 1, two.context.threads = 2;
    one.stored_bytes = two.stored_bytes = bytes;
    const Problem<double> p{.x = x.view(), .y = y.view(), .a = a, .b = b};
    EXPECT_TRUE(same(network_simplex(p, one), network_simplex(p, two)));
  }
}

TEST(NetworkSimplex, EndsEarlyWithAPlanAndABracket) {
  const Matrix<double> x = normal(600, 3, 36), y = normal(700, 3, 37);
  const std::vector<double> a = weights(600, 38), b = weights(700, 39);
  const Problem<double> p{.x = x.view(), .y = y.view(), .a = a, .b = b};
  const double best = network_simplex(p).cost;
  int calls = 0, most = 0;
  ExactOptions options;
  const auto check = [&](const ExactResult& r, Status status) {
    EXPECT_EQ(r.status, status);
    EXPECT_EQ(r.certificate.kind, Certificate::Kind::proven);
    EXPECT_LE(r.certificate.lower, best);
    EXPECT_GE(r.certificate.upper, best * (1 - 1e-14));
    EXPECT_NEAR(r.cost, r.certificate.upper, 1e-12 * r.cost);
    EXPECT_LT(r.marginal_error, 1e-14);
  };
  options.progress = [&](const ExactProgress& now) {
    EXPECT_GE(now.seconds, 0);
    return ++calls < most;
  };
  for (most = 1; most < 200; most *= 2) {
    calls = 0;
    const ExactResult r = network_simplex(p, options);
    if (calls < most) break;
    check(r, Status::stopped_by_caller);
  }
  EXPECT_GT(most, 2);
  options = {};
  options.max_seconds = 0;
  check(network_simplex(p, options), Status::time_limit);
  options.max_seconds = 1e-3;
  check(network_simplex(p, options), Status::time_limit);
}

TEST(NetworkSimplex, InfeasibleIsAnError) {
  Matrix<double> cost(2, 3);
  for (Index k = 0; k < 6; ++k) cost.data()[k] = 1;
  cost(0, 1) = cost(0, 2) = HUGE_VAL;
  try {
    network_simplex(Problem<double>{.cost_matrix = cost.view()});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::infeasible);
  }
  cost(1, 0) = NAN;
  try {
    network_simplex(Problem<double>{.cost_matrix = cost.view()});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::not_finite);
    EXPECT_STREQ(error.what(), "network_simplex: cost is nan in row 1, column 0");
  }
}

// 0.1 + 0.2 is not 0.3: what roundings of weights leave on forbidden pairs is nothing.
TEST(NetworkSimplex, RoundedWeightsDoNotMakeAProblemInfeasible) {
  Matrix<double> cost(3, 2);
  for (Index k = 0; k < 6; ++k) cost.data()[k] = HUGE_VAL;
  cost(0, 0) = cost(1, 0) = 1, cost(2, 1) = 2;
  const std::vector<double> a{0.1, 0.2, 0.7}, b{0.3, 0.7};
  const ExactResult r = network_simplex({.cost_matrix = cost.view(), .a = a, .b = b});
  EXPECT_NEAR(r.cost, 1.7, 1e-15);
}

TEST(NetworkSimplex, GraphsAreSparseMatrices) {
  std::mt19937_64 random(40);
  Matrix<double> cost(80, 60);
  std::vector<Index> offsets{0};
  std::vector<std::int32_t> columns;
  std::vector<double> costs;
  for (Index i = 0; i < 80; ++i) {
    for (Index j = 0; j < 60; ++j) {
      cost(i, j) = random() % 4 == 0 || j == i % 60 ? static_cast<double>(random() % 100) - 20 : HUGE_VAL;
      if (std::isinf(cost(i, j))) continue;
      columns.push_back(static_cast<std::int32_t>(j));
      costs.push_back(cost(i, j));
    }
    offsets.push_back(static_cast<Index>(columns.size()));
  }
  const Problem<double> dense{.cost_matrix = cost.view()};
  const ExactResult r = network_simplex(SparseCost<double>{80, 60, offsets, columns, costs}, {}, {});
  expect_optimal(dense, r);
  EXPECT_EQ(r.cost, network_simplex(dense).cost);
}

}  // namespace
}  // namespace monge::ot
