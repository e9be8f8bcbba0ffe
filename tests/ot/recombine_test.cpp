#include "monge/ot/recombine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "monge/ot/core/error.h"

namespace monge::ot {
namespace {

struct Problem {
  Matrix<float> x, y;
  Buffer<float> v;
  std::vector<std::int32_t> row_labels, col_labels;
  Recombination r;

  Problem(Index groups, Index atoms, Index d, Index rounds, float window, float penalty = 0)
      : x(64 * groups, d), y(atoms, d), v(atoms) {
    fill_normal(Rng{1}, 0, {x.data(), 64 * groups * d});
    fill_normal(Rng{2}, 0, {y.data(), atoms * d});
    fill_normal(Rng{3}, 0, v.view());
    r = {.x = x.view(),
         .y = y.view(),
         .v = v.view(),
         .rounds = rounds,
         .signs = {4},
         .first_group = 11,
         .window = window};
    if (penalty == 0) return;
    const auto label = [](std::uint64_t i) { return static_cast<std::int32_t>(Rng{5}.bits(i).w[0] % 3) - 1; };
    for (Index i = 0; i < r.rows(); ++i) row_labels.push_back(label(static_cast<std::uint64_t>(i)));
    for (Index j = 0; j < atoms; ++j) col_labels.push_back(label(static_cast<std::uint64_t>(1000000 + j)));
    r.row_labels = row_labels;
    r.col_labels = col_labels;
    r.label_penalty = penalty;
  }

  double penalty(Index row, Index j) const {
    if (row_labels.empty()) return 0;
    return row_labels[static_cast<std::size_t>(row)] == col_labels[static_cast<std::size_t>(j)]
               ? 0.0
               : static_cast<double>(r.label_penalty);
  }

  // The noise rows of group q, round k, in double from the definition: Q = H D / 8 with Sylvester's H.
  std::vector<double> noise(Index q, Index k) const {
    const Index d = x.cols();
    std::vector<double> out(static_cast<std::size_t>(64 * d), 0.0);
    const Rng::Block words = r.signs.bits((r.first_group + static_cast<std::uint64_t>(q)) * r.sets() + k);
    for (int i = 0; i < 64; ++i) {
      for (int j = 0; j < 64; ++j) {
        const bool negative = (words.w[j / 32] >> (j % 32)) & 1u;
        const double h =
            (__builtin_popcount(static_cast<unsigned>(i & j)) % 2 ? -1.0 : 1.0) * (negative ? -1.0 : 1.0) / 8;
        const double entry = r.rounds > 0 ? h : (i == j ? 1.0 : 0.0);
        for (Index c = 0; c < d; ++c) out[static_cast<std::size_t>(i * d + c)] += entry * x(64 * q + j, c);
      }
    }
    return out;
  }
};

struct Case {
  Index groups, atoms, d, rounds;
  float window, penalty = 0;
};

class Candidates : public testing::TestWithParam<Case> {};

// Against all scores in double: the best column, and every column within the window, in order.
TEST_P(Candidates, AreThoseOfTheNaiveScores) {
  const Case c = GetParam();
  const Problem p(c.groups, c.atoms, c.d, c.rounds, c.window, c.penalty);
  constexpr Index keep = 12;
  Matrix<float> scores(p.r.rows(), keep);
  Matrix<std::int32_t> columns(p.r.rows(), keep);
  recombined_candidates(p.r, scores.view(), columns.view(), {});
  for (Index q = 0; q < c.groups; ++q) {
    for (Index k = 0; k < p.r.sets(); ++k) {
      const std::vector<double> noise = p.noise(q, k);
      for (Index lane = 0; lane < 64; ++lane) {
        const Index row = (q * p.r.sets() + k) * 64 + lane;
        std::vector<double> naive(static_cast<std::size_t>(c.atoms));
        double best = -INFINITY;
        for (Index j = 0; j < c.atoms; ++j) {
          double s = p.v[j] - p.penalty(row, j);
          for (Index e = 0; e < c.d; ++e) s += noise[static_cast<std::size_t>(lane * c.d + e)] * p.y(j, e);
          naive[static_cast<std::size_t>(j)] = s;
          best = std::max(best, s);
        }
        if (best == -INFINITY) {  // no atom has this row's label
          ASSERT_EQ(columns(row, 0), -1);
          ASSERT_EQ(scores(row, 0), -INFINITY);
          continue;
        }
        const double slack = 1e-5 * (1 + std::abs(best)) * std::sqrt(static_cast<double>(c.d));
        ASSERT_GE(columns(row, 0), 0);
        Index surely_inside = 0, reported = 0;
        for (double s : naive) surely_inside += s > best - c.window + slack;
        for (Index i = 0; i < keep && columns(row, i) >= 0; ++i, ++reported) {
          const double s = naive[static_cast<std::size_t>(columns(row, i))];
          ASSERT_NEAR(scores(row, i), s, slack) << "group " << q << " round " << k << " lane " << lane;
          ASSERT_GE(s, best - c.window - slack);
          if (i > 0) {
            ASSERT_LE(scores(row, i), scores(row, i - 1));
          }
        }
        ASSERT_GE(reported, std::min(surely_inside, keep));
        if (reported < keep) {
          ASSERT_EQ(scores(row, reported), -INFINITY);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Candidates,
                         testing::Values(Case{1, 1, 3, 1, 0.0f}, Case{1, 17, 1, 2, 0.5f}, Case{3, 513, 8, 2, 1.0f},
                                         Case{2, 1201, 33, 3, 2.0f}, Case{5, 700, 64, 1, 0.0f},
                                         Case{3, 530, 16, 0, 1.0f}, Case{1, 40, 784, 2, 30.0f}));

constexpr float never = std::numeric_limits<float>::infinity();
INSTANTIATE_TEST_SUITE_P(Labels, Candidates,
                         testing::Values(Case{1, 1, 3, 1, 0.0f, never}, Case{1, 2, 3, 0, 4.0f, never},
                                         Case{1, 17, 1, 2, 0.5f, 0.7f}, Case{3, 513, 8, 2, 1.0f, never},
                                         Case{2, 1201, 33, 3, 2.0f, 3.0f}, Case{3, 530, 16, 0, 1.0f, never},
                                         Case{3, 531, 16, 0, 3.0f, 1.5f}, Case{1, 40, 784, 2, 30.0f, 40.0f}));

TEST(Recombine, LabelsOfAnotherNumberAreRefused) {
  Problem p(1, 20, 4, 2, 1.0f, 1.0f);
  Matrix<float> scores(p.r.rows(), 4);
  Matrix<std::int32_t> columns(p.r.rows(), 4);
  p.r.row_labels = {p.row_labels.data(), 64, {}};  // of 128 rows
  EXPECT_THROW(recombined_candidates(p.r, scores.view(), columns.view(), {}), Error);
}

TEST(Recombine, NoiseRowsAreTheRecombinedOnes) {
  for (const Index d : {1, 7, 16, 33, 784}) {
    const Problem p(2, 3, d, 4, 0);
    Matrix<float> out(64, d);
    recombined_noise(p.x.view().rows_from(64, 64), p.r.signs, (p.r.first_group + 1) * 4 + 2, out.view());
    const std::vector<double> expected = p.noise(1, 2);
    for (Index i = 0; i < 64 * d; ++i) ASSERT_NEAR(out.data()[i], expected[static_cast<std::size_t>(i)], 3e-6) << d;
  }
}

// An orthogonal recombination keeps all inner products between noise rows' columns: X'^T X' = X^T X.
TEST(Recombine, IsOrthogonal) {
  const Problem p(1, 1, 5, 1, 0);
  Matrix<float> out(64, 5);
  recombined_noise(p.x.view(), p.r.signs, 0, out.view());
  for (Index a = 0; a < 5; ++a) {
    for (Index b = 0; b < 5; ++b) {
      double before = 0, after = 0;
      for (Index i = 0; i < 64; ++i) before += p.x(i, a) * p.x(i, b), after += out(i, a) * out(i, b);
      EXPECT_NEAR(before, after, 1e-4);
    }
  }
}

TEST(Recombine, SameBitsAtOneAndTwoThreads) {
  const Problem p(7, 900, 20, 4, 1.5f);
  Matrix<float> one(p.r.rows(), 8), two(p.r.rows(), 8);
  Matrix<std::int32_t> a(p.r.rows(), 8), b(p.r.rows(), 8);
  recombined_candidates(p.r, one.view(), a.view(), {.threads = 1});
  recombined_candidates(p.r, two.view(), b.view(), {.threads = 2});
  for (Index i = 0; i < p.r.rows() * 8; ++i) {
    ASSERT_EQ(one.data()[i], two.data()[i]);
    ASSERT_EQ(a.data()[i], b.data()[i]);
  }
}

}  // namespace
}  // namespace monge::ot
