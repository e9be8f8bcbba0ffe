#include "monge/ot/score_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>

#include "monge/ot/core/error.h"
#include "monge/ot/matcher.h"
#include "semidiscrete_truth.h"

namespace monge::ot {
namespace {

using truth::normal_cloud;

// Atoms with biases near |y|^2 / -2, as potentials are, where few columns are near the best.
struct Problem {
  Matrix<float> y, x;
  std::vector<double> v;
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
    p.v.push_back(kind == Kind::duplicates ? 0.0 : -0.5 * static_cast<double>(square));
    if (kind == Kind::lattice) p.v.back() = std::floor(p.v.back());
    if (kind == Kind::rough) p.v.back() += static_cast<double>(random() % 1000) * 0.01;
    if (kind == Kind::excluded && random() % 2) p.v.back() = -HUGE_VAL;
  }
  for (Index i = 0; i < rows; ++i)
    for (Index k = 0; k < d && kind == Kind::lattice; ++k) p.x(i, k) = std::round(p.x(i, k));
  return p;
}

struct Found {
  Matrix<double> values;
  Matrix<std::int32_t> columns;
  Found(Index rows, Index k) : values(rows, k), columns(rows, k) {}
};

Found find(const Problem& p, Index k, double window, VectorView<const std::int32_t> labels = {},
           VectorView<const std::int32_t> row_labels = {}, int threads = 1) {
  ScoreTree tree(p.y.view(), labels, {.threads = threads});
  tree.set_biases(std::vector<double>(p.v.size(), 1.0), {});  // biases may change, also for worse
  tree.set_biases(p.v, {.threads = threads});
  Found f(p.x.rows(), k);
  tree.find(p.x.view(), row_labels, window, f.values.view(), f.columns.view(), {.threads = threads});
  return f;
}

// All columns of a row in double, best first, the lower one before its equals.
std::vector<std::pair<double, std::int32_t>> ranked(const Problem& p, Index i) {
  std::vector<std::pair<double, std::int32_t>> all;
  for (Index j = 0; j < p.y.rows(); ++j) {
    double score = p.v[static_cast<std::size_t>(j)];
    for (Index k = 0; k < p.y.cols(); ++k) score += static_cast<double>(p.x(i, k)) * static_cast<double>(p.y(j, k));
    all.push_back({score, static_cast<std::int32_t>(j)});
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  });
  return all;
}

// On a lattice scores are small integers, so that ties are exact.
TEST(ScoreTree, FindsTheLargestScoresOfAll) {
  for (const Kind kind : all_kinds)
    for (const Index d : {1, 2, 3, 4, 5, 6, 7, 8})
      for (const Index n : {1, 15, 64, 65, 1003, 3001}) {
        constexpr Index rows = 25;
        const Problem p = make_problem(kind, n, d, rows);
        for (const Index k : {1, 7}) {
          const std::string place = "kind " + std::to_string(static_cast<int>(kind)) + ", d " + std::to_string(d) +
                                    ", n " + std::to_string(n) + ", k " + std::to_string(k);
          const Index some = std::min(k, n);
          const Found f = find(p, some, HUGE_VAL);
          for (Index i = 0; i < rows; ++i) {
            const auto all = ranked(p, i);
            for (Index c = 0; c < some; ++c) {
              const auto& [score, column] = all[static_cast<std::size_t>(c)];
              if (score == -HUGE_VAL) {
                ASSERT_EQ(f.values(i, c), score) << place << ", row " << i;
                continue;  // excluded: any will do
              }
              ASSERT_NEAR(f.values(i, c), score, 1e-12) << place;  // 9 roundings of 1.1e-16 of terms below 100
              ASSERT_EQ(f.columns(i, c), column) << place << ", row " << i;
            }
          }
        }
      }
}

TEST(ScoreTree, ListsWhatIsWithinTheWindow) {
  for (const Index d : {1, 2, 5}) {
    const Problem p = make_problem(Kind::lattice, 2000, d, 60);  // exact scores
    const Found f = find(p, 9, 1.0);
    for (Index i = 0; i < 60; ++i) {
      const auto all = ranked(p, i);
      for (std::size_t c = 0; c < 9; ++c) {
        const bool near = all[c].first >= all[0].first - 1;
        EXPECT_EQ(f.columns(i, static_cast<Index>(c)), near ? all[c].second : -1) << d << " " << i;
        EXPECT_EQ(f.values(i, static_cast<Index>(c)), near ? all[c].first : -HUGE_VAL);
      }
    }
  }
}

// As far as it goes to the border with the best, on either side of `width`, and the best of them where these are many.
TEST(ScoreTree, ListsWhoseBordersAreNear) {
  constexpr Index rows = 200, keep = 12;
  Index full = 0, alone = 0;
  for (const Index d : {1, 2, 3, 6})
    for (const Kind kind : {Kind::normal, Kind::clustered, Kind::rough, Kind::excluded})
      for (const double width : {0.003, 0.03, 0.3}) {
        const std::string place = concat("d ", d, ", kind ", static_cast<int>(kind), ", width ", width);
        const Problem p = make_problem(kind, 1500, d, rows);
        ScoreTree tree(p.y.view(), {}, {});
        tree.set_biases(p.v, {});
        Found f(rows, keep);
        tree.find_near(p.x.view(), {}, width, f.values.view(), f.columns.view(), {});
        for (Index i = 0; i < rows; ++i) {
          auto near = ranked(p, i);
          const auto [most, best] = near[0];
          std::erase_if(near, [&](const auto& entry) {
            double square = 0;
            for (Index k = 0; k < d; ++k) square += std::pow(double(p.y(entry.second, k)) - double(p.y(best, k)), 2);
            return most - entry.first > width * std::sqrt(square);
          });
          full += near.size() > keep, alone += near.size() == 1;
          near.resize(std::max<std::size_t>(keep, near.size()), {-HUGE_VAL, -1});
          for (Index c = 0; c < keep; ++c)
            ASSERT_EQ(f.columns(i, c), near[static_cast<std::size_t>(c)].second) << place << ", row " << i << " " << c;
        }
      }
  EXPECT_GT(full, 100);
  EXPECT_GT(alone, 100);
}

TEST(ScoreTree, RowsMeetAtomsOfTheirLabelAlone) {
  Problem p = make_problem(Kind::normal, 1500, 3, 100);
  std::vector<std::int32_t> labels, of_rows;
  for (std::int32_t j = 0; j < 1500; ++j) labels.push_back(j % 7 == 0 ? 40 : j % 3 - 1);
  for (std::int32_t i = 0; i < 100; ++i) of_rows.push_back(i % 5 == 4 ? 7 : i % 4 == 3 ? 40 : i % 3 - 1);
  const Found f = find(p, 3, HUGE_VAL, labels, of_rows);
  for (Index i = 0; i < 100; ++i) {
    auto own = ranked(p, i);
    std::erase_if(own, [&](const auto& entry) {
      return labels[static_cast<std::size_t>(entry.second)] != of_rows[static_cast<std::size_t>(i)];
    });
    ASSERT_EQ(own.empty(), of_rows[static_cast<std::size_t>(i)] == 7);
    own.resize(std::max<std::size_t>(3, own.size()), {-HUGE_VAL, -1});
    for (Index c = 0; c < 3; ++c) {
      EXPECT_EQ(f.columns(i, c), own[static_cast<std::size_t>(c)].second);
      if (own[0].second < 0) continue;
      EXPECT_NEAR(f.values(i, c), own[static_cast<std::size_t>(c)].first, 1e-12);
    }
  }
}

TEST(ScoreTree, SameBitsAtOneAndTwoThreads) {
  const Problem p = make_problem(Kind::normal, 40000, 2, 3000);
  const Found one = find(p, 5, HUGE_VAL, {}, {}, 1), two = find(p, 5, HUGE_VAL, {}, {}, 2);
  for (Index i = 0; i < 3000 * 5; ++i) {
    ASSERT_EQ(one.values.data()[i], two.values.data()[i]);
    ASSERT_EQ(one.columns.data()[i], two.columns.data()[i]);
  }
}

// Points in doubles, closer to one another than floats tell apart, of rows in doubles.
TEST(ScoreTree, PointsInDoubleAreNotRounded) {
  constexpr Index n = 500;
  Matrix<double> y(n, 2), x(n, 2), values(n, 1);
  Matrix<std::int32_t> columns(n, 1);
  std::vector<double> v;
  for (Index j = 0; j < n; ++j) {
    y(j, 0) = x(j, 0) = 1 + 1e-10 * static_cast<double>(j);
    y(j, 1) = x(j, 1) = 1e-10 * static_cast<double>(j % 7);
    v.push_back(0);  // |x - y|^2 / 2 is least at the point itself, where points lie about 1
    for (Index k = 0; k < 2; ++k) y(j, k) = x(j, k) -= k == 0 ? 1 : 0;
    for (Index k = 0; k < 2; ++k) v.back() -= 0.5 * y(j, k) * y(j, k);
  }
  ScoreTree tree(std::as_const(y).view(), {}, {});
  tree.set_biases(v, {});
  tree.find(std::as_const(x).view(), {}, 0, values.view(), columns.view(), {});
  for (Index j = 0; j < n; ++j) EXPECT_EQ(columns(j, 0), j);
}

// The matcher chooses for itself.
TEST(ScoreTree, MatchersAgreeWithScoresInDouble) {
  for (const Index d : {1, 2, 3, 8}) {
    const Index n = 6000;
    ASSERT_TRUE(ScoreTree::pays(n, d));
    const Matrix<float> y = normal_cloud(n, d, 5), x = normal_cloud(500, d, 6);
    SemidiscretePotentials potentials{.g = std::vector<double>(static_cast<std::size_t>(n))};
    for (Index j = 0; j < n; ++j)
      for (Index k = 0; k < d; ++k) potentials.g[static_cast<std::size_t>(j)] -= 0.5 * std::pow(y(j, k), 2);
    Buffer<std::int32_t> atoms(500);
    pass_matcher(y.view(), potentials)->match(x.view(), Rng{1}, 0, atoms.view());
    for (Index i = 0; i < 500; ++i) {
      const auto score = [&](Index j) {
        double sum = potentials.g[static_cast<std::size_t>(j)];
        for (Index k = 0; k < d; ++k) sum += static_cast<double>(x(i, k)) * static_cast<double>(y(j, k));
        return sum;
      };
      Index best = 0;
      for (Index j = 0; j < n; ++j)
        if (score(j) > score(best)) best = j;
      EXPECT_EQ(atoms[i], best) << d;
    }
  }
}

}  // namespace
}  // namespace monge::ot
