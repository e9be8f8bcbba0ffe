// Divergences and gradients against finite differences, a naive iteration, and what must hold of them.
#include "monge/ot/divergence.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "monge/ot/closed_form.h"
#include "monge/ot/core/error.h"
#include "naive_plan.h"

namespace monge::ot {
namespace {

struct Law {
  const char* name;
  double tau_a = HUGE_VAL, tau_b = HUGE_VAL, mass = 0;
};
const Law laws[] = {
    {"balanced"}, {"unbalanced", 0.7, 1.5}, {"semi-unbalanced", HUGE_VAL, 0.5}, {"partial", HUGE_VAL, HUGE_VAL, 0.6}};
const Cost costs[] = {Cost::squared_euclidean, Cost::negative_dot, Cost::cosine, Cost::euclidean, Cost::l1};

SinkhornOptions exact_options(const Law& law, double epsilon) {
  return {.epsilon = epsilon,
          .epsilon_unit = EpsilonUnit::cost,
          .tolerance = 1e-12,
          .tau_a = law.tau_a,
          .tau_b = law.tau_b,
          .mass = law.mass,
          .max_iterations = 100000,
          .certify = false};
}

struct Small {
  Matrix<double> x = cloud<double>(7, 2, 1), y = cloud<double>(9, 2, 2, 0.8, 0.4);
  Weights a = random_weights(7, 3), b = random_weights(9, 4);
  std::vector<std::int32_t> x_labels{0, 1, 2, 0, 1, 2, 0}, y_labels{0, 1, 0, 1, 0, 1, 0, 1, 0};
  Problem<double> problem(Cost cost) const {
    return {.x = x.view(),
            .y = y.view(),
            .cost = cost,
            .a = a,
            .b = b,
            .x_labels = x_labels,
            .y_labels = y_labels,
            .label_penalty = 0.3};
  }
};

// The slope of value() as `at` moves, and, to keep sums, `against` moves the other way.
template <class Value>
double slope(Value value, double& at, double* against = nullptr, double h = 1e-5) {
  const double was = at, other = against ? *against : 0;
  const auto shifted = [&](double by) {
    at = was + by;
    if (against) *against = other - by;
    return value();
  };
  const double up = shifted(h), down = shifted(-h);
  at = was;
  if (against) *against = other;
  return (up - down) / (2 * h);
}

template <class Value>
void expect_slopes(Small& s, const Gradients<double>& g, bool balanced, Value value) {
  for (Index i : {0, 3, 6})
    for (Index k : {0, 1}) EXPECT_NEAR(g.x(i, k), slope(value, s.x(i, k)), 2e-7) << "x " << i;
  for (Index j : {0, 4, 8})
    for (Index k : {0, 1}) EXPECT_NEAR(g.y(j, k), slope(value, s.y(j, k)), 2e-7) << "y " << j;
  const auto heaviest = [](const Weights& w) { return std::max_element(w.begin(), w.end()) - w.begin(); };
  for (const bool rows : {true, false}) {
    Weights& w = rows ? s.a : s.b;
    const Weights& gradient = rows ? g.a : g.b;
    const auto top = heaviest(w);
    for (std::size_t i = 0; i < w.size(); ++i) {
      if (static_cast<Index>(i) == top || w[i] < 1e-3) continue;
      if (balanced)
        EXPECT_NEAR(gradient[i] - gradient[top], slope(value, w[i], &w[top]), 1e-6) << (rows ? "a " : "b ") << i;
      else
        EXPECT_NEAR(gradient[i], slope(value, w[i]), 1e-6) << (rows ? "a " : "b ") << i;
    }
  }
}

TEST(SinkhornGradients, MatchFiniteDifferences) {
  for (const Law& law : laws) {
    for (const Cost cost : costs) {
      SCOPED_TRACE(concat(law.name, " ", to_string(cost)));
      Small s;
      const SinkhornOptions o = exact_options(law, 0.15);
      const auto r = sinkhorn(s.problem(cost), o);
      ASSERT_EQ(r.status, Status::converged);
      const bool balanced = std::isinf(law.tau_a) && std::isinf(law.tau_b) && law.mass == 0;
      expect_slopes(s, gradients(s.problem(cost), r, o), balanced,
                    [&] { return sinkhorn(s.problem(cost), o).regularised; });
    }
  }
}

TEST(SinkhornGradients, OfADenseCostAreThoseOfTheWeights) {
  Small s;
  Matrix<double> c(7, 9);
  for (Index i = 0; i < 7; ++i)
    for (Index j = 0; j < 9; ++j) c(i, j) = cost_of(s.problem(Cost::squared_euclidean), i, j);
  const SinkhornOptions o = exact_options(laws[1], 0.15);
  const Problem<double> dense{.cost_matrix = c.view(), .a = s.a, .b = s.b};
  const auto one = gradients(dense, sinkhorn(dense, o), o);
  const auto p = s.problem(Cost::squared_euclidean);
  const auto other = gradients(p, sinkhorn(p, o), o);
  EXPECT_EQ(one.x.rows(), 0);
  for (std::size_t i = 0; i < one.a.size(); ++i) EXPECT_NEAR(one.a[i], other.a[i], 1e-9);
  for (std::size_t j = 0; j < one.b.size(); ++j) EXPECT_NEAR(one.b[j], other.b[j], 1e-9);
}

TEST(Divergence, GradientsMatchFiniteDifferences) {
  for (const Law& law : laws) {
    if (law.mass > 0) continue;
    for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean}) {
      SCOPED_TRACE(concat(law.name, " ", to_string(cost)));
      Small s;
      const SinkhornOptions o = exact_options(law, 0.3);
      // Within a cloud every point meets itself, where the Euclidean distance has no gradient but cancels out.
      const auto r = divergence(s.problem(cost), o);
      ASSERT_EQ(r.status, Status::converged);
      const bool balanced = std::isinf(law.tau_a) && std::isinf(law.tau_b);
      if (balanced || std::isfinite(law.tau_a + law.tau_b))
        expect_slopes(s, gradients(s.problem(cost), r, o), balanced,
                      [&] { return divergence(s.problem(cost), o).divergence; });
    }
  }
}

// The naive value: the textbook iteration to the end, the primal written out.
double naive_value(const Problem<double>& p, double epsilon) {
  const Index n = p.rows(), m = p.cols();
  Weights f(n, 0.0), g(m, 0.0);
  const auto half = [&](Index count, Index others, const auto& cost, const Weights& from, VectorView<const double> w,
                        Weights& to) {
    for (Index i = 0; i < count; ++i) {
      double top = -HUGE_VAL, sum = 0;
      for (Index j = 0; j < others; ++j)
        if (w[j] > 0) top = std::max(top, (from[j] - cost(i, j)) / epsilon);
      for (Index j = 0; j < others; ++j) sum += w[j] * std::exp((from[j] - cost(i, j)) / epsilon - top);
      to[i] = -epsilon * (top + std::log(sum));
    }
  };
  for (int k = 0; k < 20000; ++k) {
    half(
        n, m, [&](Index i, Index j) { return cost_of(p, i, j); }, g, p.b, f);
    half(
        m, n, [&](Index j, Index i) { return cost_of(p, i, j); }, f, p.a, g);
  }
  double value = 0;
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < m; ++j) {
      const double e = std::exp((f[i] + g[j] - cost_of(p, i, j)) / epsilon), q = p.a[i] * p.b[j] * e;
      if (q > 0) value += q * cost_of(p, i, j) + epsilon * (q * std::log(e) - q + p.a[i] * p.b[j]);
    }
  }
  return value;
}

TEST(Divergence, IsThatOfTheNaiveValues) {
  Small s;
  for (const Cost cost : {Cost::squared_euclidean, Cost::l1}) {
    const Problem<double> p = s.problem(cost);
    Problem<double> px = p, py = p;
    px.y = p.x, px.b = p.a, px.y_labels = p.x_labels;
    py.x = p.y, py.a = p.b, py.x_labels = p.y_labels;
    const double expected = naive_value(p, 0.2) - 0.5 * naive_value(px, 0.2) - 0.5 * naive_value(py, 0.2);
    EXPECT_NEAR(divergence(p, exact_options(laws[0], 0.2)).divergence, expected, 1e-9);
  }
}

// Against the closed form, whose clouds are infinite: the divergence of samples is close by.
TEST(Divergence, OfSamplesOfGaussiansIsCloseToTheClosedForm) {
  const Index n = 4000;
  const Matrix<double> x = cloud<double>(n, 2, 1), y = cloud<double>(n, 2, 2, 0.5, 1);
  const auto r =
      divergence({.x = x.view(), .y = y.view()}, {.epsilon = 1, .epsilon_unit = EpsilonUnit::cost, .tolerance = 1e-4});
  Matrix<double> one(2, 2), quarter(2, 2);
  for (Index k = 0; k < 4; ++k) one.data()[k] = k % 3 == 0, quarter.data()[k] = k % 3 == 0 ? 0.25 : 0;
  const std::vector<double> zero{0, 0}, shift{1, 1};
  const double expected =
      entropic_gaussians({zero, std::as_const(one).view()}, {shift, std::as_const(quarter).view()}, 1).divergence;
  EXPECT_NEAR(r.divergence, expected, 0.04 * expected);
}

TEST(Divergence, IsZeroOnEqualMeasuresAndNeverNegative) {
  for (const Law& law : laws) {
    if (law.mass > 0) continue;
    for (const Cost cost : costs) {
      SCOPED_TRACE(concat(law.name, " ", to_string(cost)));
      const Index n = 200;
      const Matrix<float> x = cloud<float>(n, 3, 1);
      const Weights a = random_weights(n, 5);
      Matrix<float> y(n, 3);
      Weights b(n);
      for (Index i = 0; i < n; ++i) {  // the same measure in another order
        for (Index k = 0; k < 3; ++k) y((7 * i + 5) % n, k) = x(i, k);
        b[(7 * i + 5) % n] = a[i];
      }
      SinkhornOptions o{
          .epsilon = 0.2, .epsilon_unit = EpsilonUnit::cost, .tolerance = 1e-5, .tau_a = law.tau_a, .tau_b = law.tau_a};
      const auto same = divergence({.x = x.view(), .y = y.view(), .cost = cost, .a = a, .b = b}, o);
      ASSERT_EQ(same.status, Status::converged);
      EXPECT_GE(same.divergence, 0);
      EXPECT_LT(same.divergence, 2e-5 * (std::abs(same.between.regularised) + 1));
      const Matrix<float> z = cloud<float>(n, 3, 9, 1.1);
      const auto other = divergence({.x = x.view(), .y = z.view(), .cost = cost, .a = a}, o);
      EXPECT_GT(other.divergence, 10 * same.divergence);
    }
  }
}

TEST(Divergence, StopsWhenAskedAndRefusesWhatHasNone) {
  Small s;
  SinkhornOptions o;
  int calls = 0;
  o.progress = [&](const SinkhornProgress&) { return ++calls < 3; };
  EXPECT_EQ(divergence(s.problem(Cost::l1), o).status, Status::stopped_by_caller);
  const Matrix<double> c = cloud<double>(4, 4, 1);
  EXPECT_THROW(divergence({.cost_matrix = c.view()}), Error);
  EXPECT_THROW(divergence(s.problem(Cost::l1), {.mass = 0.5}), Error);
}

}  // namespace
}  // namespace monge::ot
