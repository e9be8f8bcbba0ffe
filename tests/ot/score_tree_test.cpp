#include "monge/ot/score_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>

#include "monge/ot/core/backend.h"
#include "monge/ot/matcher.h"
#include "semidiscrete_truth.h"

namespace monge::ot {
namespace {

using truth::normal_cloud;

// Atoms with biases near |y|^2 / -2, as potentials are, where few columns are near the best.
struct Problem {
  Matrix<float> y, x;
  std::vector<float> v;

  Scores<float> scores() const { return {.x = x.view(), .y = y.view(), .v = v}; }
};

enum class Kind { normal, clustered, lattice, duplicates, rough, excluded };
constexpr Kind all_kinds[] = {Kind::normal,     Kind::clustered, Kind::lattice,
                              Kind::duplicates, Kind::rough,     Kind::excluded};

Problem make_problem(Kind kind, Index n, Index d, Index rows) {
  Problem p{normal_cloud(n, d, 1), normal_cloud(rows, d, 2, 2), {}};
  std::mt19937_64 random(3);
  for (Index j = 0; j < n; ++j) {
    for (Index k = 0; k < d; ++k) {
      float& y = p.y(j, k);
      if (kind == Kind::clustered) y = 0.01f * y + static_cast<float>((j * (k + 3)) % 7);
      if (kind == Kind::lattice) y = std::round(y);
      if (kind == Kind::duplicates) y = p.y(j % 10, k);
    }
    float square = 0;
    for (Index k = 0; k < d; ++k) square += p.y(j, k) * p.y(j, k);
    p.v.push_back(kind == Kind::duplicates ? 0.0f : -0.5f * square);
    if (kind == Kind::lattice) p.v.back() = std::floor(p.v.back());
    if (kind == Kind::rough) p.v.back() += static_cast<float>(random() % 1000) * 0.01f;
    if (kind == Kind::excluded && random() % 2) p.v.back() = -HUGE_VALF;
  }
  for (Index i = 0; i < rows; ++i)
    for (Index k = 0; k < d && kind == Kind::lattice; ++k) p.x(i, k) = std::round(p.x(i, k));
  return p;
}

struct Found {
  Matrix<float> values;
  Matrix<std::int32_t> columns;
  Found(Index rows, Index k) : values(rows, k), columns(rows, k) {}
};

Found find(const Problem& p, Index k, float window, VectorView<const std::int32_t> labels = {},
           VectorView<const std::int32_t> row_labels = {}, int threads = 1) {
  ScoreTree tree(p.y.view(), labels, {.threads = threads});
  tree.set_biases(std::vector<float>(p.v.size(), 1.0f), {});  // biases may change, also for worse
  tree.set_biases(p.v, {.threads = threads});
  Found f(p.x.rows(), k);
  tree.find(p.x.view(), row_labels, window, f.values.view(), f.columns.view(), {.threads = threads});
  return f;
}

// All columns of a row in double, best first, the lower one before its equals.
std::vector<std::pair<double, std::int32_t>> ranked(const Problem& p, Index i) {
  std::vector<std::pair<double, std::int32_t>> all;
  for (Index j = 0; j < p.y.rows(); ++j) {
    double score = static_cast<double>(p.v[static_cast<std::size_t>(j)]);
    for (Index k = 0; k < p.y.cols(); ++k) score += static_cast<double>(p.x(i, k)) * static_cast<double>(p.y(j, k));
    all.push_back({score, static_cast<std::int32_t>(j)});
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  });
  return all;
}

// The same columns and bits as the pass over all scores, and what is the best in double, up to float's rounding; on a
// lattice scores are small integers, so that ties are exact. On a line the best in double, and their scores rounded.
TEST(ScoreTree, FindsWhatThePassOverAllScoresFinds) {
  for (const Kind kind : all_kinds)
    for (const Index d : {1, 2, 3, 4, 5, 6, 7, 8})
      for (const Index n : {1, 15, 64, 65, 1003, 3001}) {
        constexpr Index rows = 25;
        const Problem p = make_problem(kind, n, d, rows);
        for (const Index k : {1, 7}) {
          const std::string place = "kind " + std::to_string(static_cast<int>(kind)) + ", d " + std::to_string(d) +
                                    ", n " + std::to_string(n) + ", k " + std::to_string(k);
          const Index some = std::min(k, n);
          const Found f = find(p, some, HUGE_VALF);
          Found pass(rows, some);
          passes_for<float>({}).hardmin(p.scores(), pass.values.view(), pass.columns.view(), {});
          for (Index i = 0; i < rows; ++i) {
            const auto all = ranked(p, i);
            for (Index c = 0; c < some; ++c) {
              const auto& [score, column] = all[static_cast<std::size_t>(c)];
              const float value = d == 1 ? static_cast<float>(score) : pass.values(i, c);
              ASSERT_EQ(f.values(i, c), value) << place << ", row " << i;
              if (f.values(i, c) == -HUGE_VALF) continue;  // excluded: any will do
              ASSERT_EQ(f.columns(i, c), d == 1 ? column : pass.columns(i, c)) << place << ", row " << i;
              if (kind == Kind::lattice) {
                ASSERT_EQ(f.columns(i, c), column) << place << ", row " << i;
              }
              ASSERT_NEAR(f.values(i, c), score, 1e-4) << place;  // 9 roundings of 6e-8 of terms below 100
            }
          }
        }
      }
}

TEST(ScoreTree, ListsWhatIsWithinTheWindow) {
  for (const Index d : {1, 2, 5}) {
    const Problem p = make_problem(Kind::lattice, 2000, d, 60);  // exact scores
    const Found f = find(p, 9, 1.0f);
    for (Index i = 0; i < 60; ++i) {
      const auto all = ranked(p, i);
      for (std::size_t c = 0; c < 9; ++c) {
        const bool near = all[c].first >= all[0].first - 1;
        EXPECT_EQ(f.columns(i, static_cast<Index>(c)), near ? all[c].second : -1) << d << " " << i;
        EXPECT_EQ(f.values(i, static_cast<Index>(c)), near ? static_cast<float>(all[c].first) : -HUGE_VALF);
      }
    }
  }
}

TEST(ScoreTree, RowsMeetAtomsOfTheirLabelAlone) {
  Problem p = make_problem(Kind::normal, 1500, 3, 100);
  std::vector<std::int32_t> labels, of_rows;
  for (std::int32_t j = 0; j < 1500; ++j) labels.push_back(j % 7 == 0 ? 40 : j % 3 - 1);
  for (std::int32_t i = 0; i < 100; ++i) of_rows.push_back(i % 5 == 4 ? 7 : i % 4 == 3 ? 40 : i % 3 - 1);
  const Found f = find(p, 3, HUGE_VALF, labels, of_rows);
  Scores<float> s = p.scores();
  s.row_labels = of_rows;
  s.col_labels = labels;
  s.label_penalty = HUGE_VALF;
  Found pass(100, 3);
  passes_for<float>({}).hardmin(s, pass.values.view(), pass.columns.view(), {});
  for (Index i = 0; i < 100; ++i)
    for (Index c = 0; c < 3; ++c) {
      const bool known = of_rows[static_cast<std::size_t>(i)] != 7;
      EXPECT_EQ(f.columns(i, c), known ? pass.columns(i, c) : -1);
      EXPECT_EQ(f.values(i, c), pass.values(i, c));
    }
}

TEST(ScoreTree, SameBitsAtOneAndTwoThreads) {
  const Problem p = make_problem(Kind::normal, 40000, 2, 3000);
  const Found one = find(p, 5, HUGE_VALF, {}, {}, 1), two = find(p, 5, HUGE_VALF, {}, {}, 2);
  for (Index i = 0; i < 3000 * 5; ++i) {
    ASSERT_EQ(one.values.data()[i], two.values.data()[i]);
    ASSERT_EQ(one.columns.data()[i], two.columns.data()[i]);
  }
}

// Scores beyond float's range tell nothing apart, and nobody crashes.
TEST(ScoreTree, ScoresThatOverflowGoToTheFirst) {
  Problem p = make_problem(Kind::normal, 300, 2, 4);
  for (Index j = 0; j < 300; ++j) p.y(j, 0) = 3e38f, p.y(j, 1) = 0;
  for (Index i = 0; i < 4; ++i) p.x(i, 0) = 10;
  const Found f = find(p, 1, 0);
  for (Index i = 0; i < 4; ++i) EXPECT_EQ(f.columns(i, 0), 0);
}

// The matcher chooses for itself; many atoms are found through the tree, and few by the pass: a cloud twice as large
// whose second half is out of reach shows that both agree.
TEST(ScoreTree, MatchersAgreeWithScoresInDouble) {
  for (const Index d : {1, 2, 3}) {
    const Index n = 6000;
    ASSERT_TRUE(ScoreTree::pays(n, d));
    const Matrix<float> y = normal_cloud(n, d, 5), x = normal_cloud(500, d, 6);
    SemidiscretePotentials potentials{.g = std::vector<double>(static_cast<std::size_t>(n))};
    for (Index j = 0; j < n; ++j)
      for (Index k = 0; k < d; ++k) potentials.g[static_cast<std::size_t>(j)] -= 0.5 * std::pow(y(j, k), 2);
    Buffer<std::int32_t> atoms(500);
    pass_matcher(y.view(), potentials)->match(x.view(), Rng{1}, 0, atoms.view());
    Index ties = 0;
    for (Index i = 0; i < 500; ++i) {
      const auto score = [&](Index j) {
        double sum = potentials.g[static_cast<std::size_t>(j)];
        for (Index k = 0; k < d; ++k) sum += static_cast<double>(x(i, k)) * static_cast<double>(y(j, k));
        return sum;
      };
      Index best = 0;
      for (Index j = 0; j < n; ++j)
        if (score(j) > score(best)) best = j;
      EXPECT_LE(score(best) - score(atoms[i]), 1e-5) << d;  // some roundings of 6e-8 of terms below 20
      ties += best != atoms[i];
    }
    EXPECT_LT(ties, d == 1 ? 1 : 5) << d;
  }
}

}  // namespace
}  // namespace monge::ot
