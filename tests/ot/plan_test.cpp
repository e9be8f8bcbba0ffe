// Plans against their entries, written down one by one in double.
#include "monge/ot/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "monge/ot/core/error.h"
#include "naive_plan.h"

namespace monge::ot {
namespace {

enum class Kind { balanced, unbalanced, partial };

SinkhornOptions options_of(Kind kind, double epsilon) {
  SinkhornOptions o{.epsilon = epsilon, .epsilon_unit = EpsilonUnit::cost};
  if (kind == Kind::unbalanced) o.tau_a = 0.7, o.tau_b = 2;
  if (kind == Kind::partial) o.mass = 0.6;
  return o;
}

double entropy_of(const std::vector<double>& p) {
  double total = 0, h = 0;
  for (const double e : p) total += e;
  for (const double e : p) h -= e > 0 ? e / total * std::log(e / total) : 0;
  return h;
}

// A problem with all there is to get wrong: weights, zeros among them, and labels.
template <class T>
struct Case {
  static constexpr Index n = 37, m = 52;
  Matrix<T> x, y, costs{n, m};
  Weights a = random_weights(n, 3), b = random_weights(m, 4);
  std::vector<std::int32_t> x_labels, y_labels;
  Problem<T> problem;

  Case(Cost cost, bool dense, bool labelled) : x(cloud<T>(n, 3, 1)), y(cloud<T>(m, 3, 2, 0.7, 0.5)) {
    problem = {.x = x.view(), .y = y.view(), .cost = cost, .a = a, .b = b};
    for (Index i = 0; i < n; ++i) x_labels.push_back(i % 3);
    for (Index j = 0; j < m; ++j) y_labels.push_back(j % 2);
    if (dense) {
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < m; ++j) costs(i, j) = static_cast<T>(cost_of(problem, i, j));
      problem.x = problem.y = {};
      problem.cost_matrix = costs.view();
    }
    if (labelled) problem.x_labels = x_labels, problem.y_labels = y_labels, problem.label_penalty = 0.5;
  }
};

template <class T>
class Plans : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(Plans, Types);

template <class T>
void expect_like_entries(const Case<T>& c, const SinkhornResult& r, double close) {
  const Dense naive(c.problem, r);
  const Plan plan(c.problem, r);
  const Index n = c.n, m = c.m;
  ASSERT_EQ(plan.rows(), n);
  ASSERT_EQ(plan.cols(), m);
  EXPECT_NEAR(plan.mass(), naive.mass, close);
  const std::vector<double> cols = plan.col_masses();
  for (Index i = 0; i < n; ++i) EXPECT_NEAR(plan.row_masses()[i], naive.rows[i], close);
  for (Index j = 0; j < m; ++j) EXPECT_NEAR(cols[j], naive.cols[j], close);
  EXPECT_NEAR(plan.entropy(), entropy_of(naive.plan), 20 * close);
  EXPECT_NEAR(plan.renormalised_entropy(), 2 * entropy_of(naive.plan) / (entropy_of(c.a) + entropy_of(c.b)) - 1,
              20 * close);

  Matrix<double> dense(n, m);
  plan.to_dense(dense.view());
  for (Index k = 0; k < n * m; ++k) ASSERT_NEAR(dense.data()[k], naive.plan[k], close);

  const Matrix<T> values = cloud<T>(m, 5, 11), rows = cloud<T>(n, 2, 12);
  Matrix<T> applied(n, 5), returned(m, 2);
  plan.apply(values.view(), applied.view());
  plan.apply_transposed(rows.view(), returned.view());
  for (Index i = 0; i < n; ++i) {
    for (Index k = 0; k < 5; ++k) {
      double sum = 0;
      for (Index j = 0; j < m; ++j) sum += naive.plan[i * m + j] * values(j, k);
      ASSERT_NEAR(applied(i, k), sum, close);
    }
  }
  for (Index j = 0; j < m; ++j) {
    for (Index k = 0; k < 2; ++k) {
      double sum = 0;
      for (Index i = 0; i < n; ++i) sum += naive.plan[i * m + j] * rows(i, k);
      ASSERT_NEAR(returned(j, k), sum, close);
    }
  }

  std::vector<std::int32_t> columns(n);
  plan.argmax(columns);
  for (Index i = 0; i < n; ++i) {
    if (c.a[i] == 0) continue;
    const double* row = &naive.plan[i * m];
    EXPECT_GE(row[columns[i]], *std::max_element(row, row + m) - close);
  }

  const SparsePlan all = plan.to_sparse({.share = 0}), some = plan.to_sparse({.share = 0.05});
  EXPECT_EQ(all.left_out, 0);
  double kept = 0;
  for (Index i = 0; i < n; ++i) {
    for (std::int64_t k = some.offsets[i]; k < some.offsets[i + 1]; ++k) {
      EXPECT_NEAR(some.values[k], naive.plan[i * m + some.columns[k]], close);
      EXPECT_GE(some.values[k], 0.049 * naive.rows[i]);
      kept += some.values[k];
    }
  }
  EXPECT_NEAR(kept + some.left_out, naive.mass, n * close);
  EXPECT_LT(some.values.size(), all.values.size());
}

TYPED_TEST(Plans, AnswerAsTheirEntriesDo) {
  using T = TypeParam;
  const double close = std::is_same_v<T, float> ? 3e-6 : 1e-12;
  for (const Kind kind : {Kind::balanced, Kind::unbalanced, Kind::partial}) {
    for (const Cost cost : {Cost::squared_euclidean, Cost::negative_dot, Cost::cosine, Cost::euclidean, Cost::l1}) {
      for (const bool dense : {false, true}) {
        for (const bool labelled : {false, true}) {
          SCOPED_TRACE(concat(to_string(cost), " kind ", static_cast<int>(kind), dense ? " dense" : "",
                              labelled ? " labels" : ""));
          const Case<T> c(cost, dense, labelled);
          expect_like_entries(c, sinkhorn(c.problem, options_of(kind, 0.3)), close);
        }
      }
    }
  }
}

TYPED_TEST(Plans, MapToTheMeanOfWhatTheyAreCoupledWith) {
  using T = TypeParam;
  const Case<T> c(Cost::squared_euclidean, false, true);
  const SinkhornResult r = sinkhorn(c.problem, options_of(Kind::unbalanced, 0.3));
  const Dense naive(c.problem, r);
  Matrix<T> images(c.n, 3);
  Plan(c.problem, r).map(images.view());
  for (Index i = 0; i < c.n; ++i) {
    if (c.a[i] == 0) continue;
    for (Index k = 0; k < 3; ++k) {
      double sum = 0;
      for (Index j = 0; j < c.m; ++j) sum += naive.plan[i * c.m + j] * c.y(j, k);
      EXPECT_NEAR(images(i, k), sum / naive.rows[i], 1e-5);
    }
  }
}

TEST(Plan, OfAnEpsilonTooSmallForFloatIsComputedInDouble) {
  const Case<float> c(Cost::squared_euclidean, false, false);
  const SinkhornResult r = sinkhorn(c.problem, {.epsilon = 1e-4, .tolerance = 1e-6});
  ASSERT_TRUE(r.in_double);
  const Dense naive(c.problem, r);
  const Plan plan(c.problem, r);
  Matrix<double> dense(c.n, c.m);
  plan.to_dense(dense.view());
  for (Index k = 0; k < c.n * c.m; ++k) ASSERT_NEAR(dense.data()[k], naive.plan[k], 1e-9);
  Matrix<float> images(c.n, 3), out(c.n, 3);
  plan.map(images.view());
  plan.apply(c.y.view(), out.view());
  for (Index i = 0; i < c.n; ++i) EXPECT_NEAR(out(i, 0), c.a[i] > 0 ? c.a[i] * images(i, 0) : 0, 1e-6);
}

TEST(Plan, RoundedIsFeasible) {
  for (const Kind kind : {Kind::balanced, Kind::partial}) {
    for (const Cost cost : {Cost::squared_euclidean, Cost::l1}) {
      const Case<double> c(cost, false, true);
      SinkhornOptions o = options_of(kind, 0.05);
      o.tolerance = 0.1;  // far from converged
      const SinkhornResult r = sinkhorn(c.problem, o);
      const Plan plan(c.problem, r);
      const Rounding rounding = plan.rounding(o.mass);
      Matrix<double> f(c.n, c.m);
      plan.to_dense(rounding, f.view());
      double total = 0, moved = 0;
      const Dense naive(c.problem, r);
      std::vector<double> rows(c.n, 0.0), cols(c.m, 0.0);
      for (Index i = 0; i < c.n; ++i) {
        for (Index j = 0; j < c.m; ++j) {
          EXPECT_GE(f(i, j), 0);
          rows[i] += f(i, j), cols[j] += f(i, j), total += f(i, j);
          moved += std::abs(f(i, j) - naive.plan[i * c.m + j]);
        }
      }
      EXPECT_NEAR(total, kind == Kind::balanced ? 1 : o.mass, 1e-12);
      for (Index i = 0; i < c.n; ++i) {
        EXPECT_LE(rows[i], c.a[i] + 1e-13);
        EXPECT_GE(rows[i], kind == Kind::balanced ? c.a[i] - 1e-13 : 0);
      }
      for (Index j = 0; j < c.m; ++j) {
        EXPECT_LE(cols[j], c.b[j] + 1e-13);
        EXPECT_GE(cols[j], kind == Kind::balanced ? c.b[j] - 1e-13 : 0);
      }
      const double error = Dense::distance(naive.rows, c.a) + Dense::distance(naive.cols, c.b);
      EXPECT_LE(moved, kind == Kind::balanced ? 2 * error + 1e-12 : 2);  // Altschuler et al., lemma 7
    }
  }
}

// Counts of draws against their probabilities, a chi-square that is exceeded with probability 1e-6 or so.
void expect_drawn_by(const std::vector<double>& probability, const std::vector<double>& counts, double draws) {
  double chi2 = 0, cells = 0, rare = 0, rare_count = 0;
  for (std::size_t k = 0; k < probability.size(); ++k) {
    const double expected = probability[k] * draws;
    if (expected < 5) {
      rare += expected, rare_count += counts[k];
      continue;
    }
    chi2 += std::pow(counts[k] - expected, 2) / expected, ++cells;
  }
  if (rare > 5) chi2 += std::pow(rare_count - rare, 2) / rare, ++cells;
  EXPECT_NEAR(rare_count, rare, 6 * std::sqrt(rare) + 6);
  EXPECT_LT(chi2, cells + 5.5 * std::sqrt(2 * cells) + 12);
}

TEST(Plan, SamplesFollowIt) {
  for (const bool dense : {false, true}) {
    const Case<float> c(Cost::squared_euclidean, dense, true);
    const SinkhornResult r = sinkhorn(c.problem, options_of(Kind::unbalanced, 0.5));
    const Plan plan(c.problem, r);
    const Dense naive(c.problem, r);
    const Index draws = 200000;
    std::vector<double> probability(naive.plan), counts(naive.plan.size(), 0.0);
    for (double& e : probability) e /= naive.mass;
    const std::vector<PlanEntry> entries = plan.sample({5}, draws);
    ASSERT_EQ(static_cast<Index>(entries.size()), draws);
    for (const PlanEntry& e : entries) ++counts[e.row * c.m + e.column];
    expect_drawn_by(probability, counts, draws);
    const auto fewer = plan.sample({5}, 1000);  // the same sequence, however long
    for (std::size_t k = 0; k < fewer.size(); ++k) {
      ASSERT_EQ(fewer[k].row, entries[k].row);
      ASSERT_EQ(fewer[k].column, entries[k].column);
    }
    std::vector<double> partner(c.m, 0.0), of_row;
    for (int round = 0; round < 4000; ++round) {
      std::vector<std::int32_t> columns(c.n);
      plan.sample_partners(Rng{9, static_cast<std::uint64_t>(round)}, columns);
      ++partner[columns[0]];
    }
    for (Index j = 0; j < c.m; ++j) of_row.push_back(naive.plan[j] / naive.rows[0]);
    expect_drawn_by(of_row, partner, 4000);
  }
}

// On a 2 x 3 plan the probability of every ordered triple of different entries is known.
TEST(Plan, SamplesWithoutReplacementFollowIt) {
  const Matrix<double> x = cloud<double>(2, 2, 1), y = cloud<double>(3, 2, 2);
  const Problem<double> p{.x = x.view(), .y = y.view()};
  const SinkhornResult r = sinkhorn(p, {.epsilon = 1});
  const Plan plan(p, r);
  const Dense naive(p, r);
  const auto& w = naive.plan;
  std::map<std::vector<int>, double> probability, counts;
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 6; ++j)
      for (int k = 0; k < 6; ++k)
        if (i != j && j != k && i != k) probability[{i, j, k}] = w[i] * w[j] / (1 - w[i]) * w[k] / (1 - w[i] - w[j]);
  const int draws = 60000;
  for (int d = 0; d < draws; ++d) {
    std::vector<int> drawn;
    for (const PlanEntry& e : plan.sample_distinct({3, static_cast<std::uint64_t>(d)}, 3))
      drawn.push_back(3 * e.row + e.column);
    ++counts[drawn];
  }
  std::vector<double> expected, seen;
  for (const auto& [triple, q] : probability) {
    expected.push_back(q);
    seen.push_back(counts[triple]);
  }
  expect_drawn_by(expected, seen, draws);
  EXPECT_EQ(plan.sample_distinct({3}, 6).size(), 6u);  // all of them
  EXPECT_THROW(plan.sample_distinct({3}, 7), Error);
}

TEST(Plan, SamplesAreTheSameAtAnyThreadCount) {
  const Matrix<float> x = cloud<float>(700, 4, 1), y = cloud<float>(900, 4, 2);
  const Problem<float> p{.x = x.view(), .y = y.view()};
  const SinkhornResult r = sinkhorn(p);
  const Plan one(p, r, {.threads = 1}), two(p, r, {.threads = 2});
  const auto flat = [](const std::vector<PlanEntry>& entries) {
    std::vector<std::int32_t> out;
    for (const PlanEntry& e : entries) out.insert(out.end(), {e.row, e.column});
    return out;
  };
  EXPECT_EQ(flat(one.sample({1}, 5000)), flat(two.sample({1}, 5000)));
  const auto distinct = one.sample_distinct({1}, 5000);
  EXPECT_EQ(flat(distinct), flat(two.sample_distinct({1}, 5000)));
  std::set<std::pair<int, int>> different;
  for (const PlanEntry& e : distinct) different.insert({e.row, e.column});
  EXPECT_EQ(different.size(), 5000u);
  EXPECT_EQ(one.to_sparse().values, two.to_sparse().values);
}

TEST(Plan, RefusesWhatDoesNotFit) {
  const Case<float> c(Cost::squared_euclidean, false, false), dense(Cost::squared_euclidean, true, false);
  const SinkhornResult r = sinkhorn(c.problem, {});
  const Plan plan(c.problem, r);
  Matrix<float> out(c.n, 3), wrong(c.n, 2);
  std::vector<std::int32_t> few(3);
  EXPECT_THROW(plan.apply(c.x.view(), out.view()), Error);
  EXPECT_THROW(plan.apply(c.y.view(), wrong.view()), Error);
  EXPECT_THROW(plan.map(wrong.view()), Error);
  EXPECT_THROW(Plan(dense.problem, r).map(out.view()), Error);
  EXPECT_THROW(plan.argmax(few), Error);
  EXPECT_THROW(plan.to_sparse({.share = 0, .most = 10}), Error);
  EXPECT_THROW(plan.rounding(2), Error);
  const Problem<float> other{.x = c.y.view(), .y = c.x.view()};
  EXPECT_THROW(Plan(other, r), Error);
}

}  // namespace
}  // namespace monge::ot
