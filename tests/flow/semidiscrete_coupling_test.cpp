#include "monge/flow/semidiscrete_coupling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"
#include "monge/ot/matcher.h"
#include "monge/ot/source.h"

namespace monge::flow {
namespace {

struct Fitted {
  Matrix<float> y;
  ot::SemidiscreteResult result;

  Fitted(Index n, Index d, double epsilon, Index pca) : y(n, d) {
    fill_normal(Rng{1}, 0, {y.data(), n * d});
    result = ot::semidiscrete(y.view(), {}, {.epsilon = epsilon, .pca = pca, .seed = 2});
  }
};

// Whatever the shortcut, each row's partner is the one the potentials give that very row.
TEST(SemidiscreteCoupling, PartnersAreTheMatchersOwn) {
  for (const Index pca : {0, 5}) {
    const Fitted f(400, 12, 0, pca);
    const auto coupling = semidiscrete_coupling(f.y.view(), f.result.potentials, {.seed = 3, .groups = 3, .rounds = 4});
    const auto matcher = ot::pass_matcher(f.y.view(), f.result.potentials);
    for (const Index batch : {1, 50, 100, 192, 300}) {  // also more than a pool of 3 x 64 rows
      Matrix<float> x0(batch, 12);
      std::vector<std::int32_t> atoms(static_cast<std::size_t>(batch)), expected(atoms.size());
      Index differing = 0;
      for (std::uint64_t step = 0; step < 9; ++step) {
        coupling->draw(step, x0.view(), atoms);
        matcher->match(x0.view(), Rng{}, 0, expected);
        for (std::size_t i = 0; i < atoms.size(); ++i) differing += atoms[i] != expected[i];
      }
      EXPECT_LE(differing, 1 + batch * 9 / 500) << "batch " << batch << ", pca " << pca;  // rounding at near ties
    }
  }
}

// x0 ~ N(0, I), also over many rounds of one pool, and no noise vector comes twice.
TEST(SemidiscreteCoupling, NoiseHasTheLawOfTheSource) {
  const Fitted f(50, 6, 0, 0);
  const auto coupling = semidiscrete_coupling(f.y.view(), f.result.potentials, {.seed = 3, .groups = 4, .rounds = 16});
  constexpr Index batch = 64, steps = 640, d = 6;
  Matrix<float> x0(batch, d);
  std::vector<std::int32_t> atoms(batch);
  std::vector<double> values;
  double cross = 0, fourth = 0;
  std::set<float> first;
  for (std::uint64_t step = 0; step < steps; ++step) {
    coupling->draw(step, x0.view(), atoms);
    for (Index i = 0; i < batch; ++i) {
      first.insert(x0(i, 0));
      cross += x0(i, 0) * x0(i, 1);
      for (Index k = 0; k < d; ++k) {
        values.push_back(x0(i, k));
        fourth += std::pow(x0(i, k), 4);
      }
    }
  }
  const auto n = static_cast<double>(values.size());
  // Rounds on one pool of 256 rows keep its second moments, so the effective number of rows is that of the pools' rows.
  const double pooled = n / 16;
  double mean = 0, square = 0;
  for (double v : values) mean += v / n, square += v * v / n;
  EXPECT_NEAR(mean, 0, 4 / std::sqrt(pooled));
  EXPECT_NEAR(square, 1, 4 * std::sqrt(2 / pooled));
  EXPECT_NEAR(fourth / n, 3, 4 * std::sqrt(96 / pooled));
  EXPECT_NEAR(cross / static_cast<double>(batch * steps), 0, 4 / std::sqrt(static_cast<double>(batch * steps) / 16));
  EXPECT_GT(first.size(), static_cast<std::size_t>(0.99 * batch * steps));
  std::sort(values.begin(), values.end());
  double distance = 0;  // Kolmogorov-Smirnov
  for (std::size_t i = 0; i < values.size(); ++i) {
    distance = std::max(distance, std::abs(0.5 * std::erfc(-values[i] * M_SQRT1_2) - static_cast<double>(i) / n));
  }
  EXPECT_LT(distance, 1.95 / std::sqrt(pooled));
}

// Rows of one batch come from different groups or from one round, so they are independent: over many batches the inner
// product of two rows has mean zero and variance d.
TEST(SemidiscreteCoupling, RowsOfABatchAreIndependent) {
  const Fitted f(50, 4, 0, 0);
  const auto coupling = semidiscrete_coupling(f.y.view(), f.result.potentials, {.seed = 5, .groups = 2, .rounds = 8});
  Matrix<float> x0(96, 4);
  std::vector<std::int32_t> atoms(96);
  double mean = 0, square = 0;
  Index pairs = 0;
  for (std::uint64_t step = 0; step < 400; ++step) {
    coupling->draw(step, x0.view(), atoms);
    for (Index i = 0; i + 1 < 96; i += 2, ++pairs) {
      double dot = 0;
      for (Index k = 0; k < 4; ++k) dot += x0(i, k) * x0(i + 1, k);
      mean += dot, square += dot * dot;
    }
  }
  mean /= static_cast<double>(pairs), square /= static_cast<double>(pairs);
  EXPECT_NEAR(mean, 0, 4 * std::sqrt(4.0 / (static_cast<double>(pairs) / 8)));
  EXPECT_NEAR(square, 4, 0.4);
}

TEST(SemidiscreteCoupling, AtomsFollowTheirWeights) {
  for (const double epsilon : {0.0, 1.0}) {
    const Fitted f(100, 8, epsilon, 0);
    const auto coupling = semidiscrete_coupling(f.y.view(), f.result.potentials, {.seed = 7});
    Matrix<float> x0(256, 8);
    std::vector<std::int32_t> atoms(256);
    std::vector<double> counts(100, 0.0);
    for (std::uint64_t step = 0; step < 200; ++step) {
      coupling->draw(step, x0.view(), atoms);
      for (std::int32_t j : atoms) counts[static_cast<std::size_t>(j)] += 1;
    }
    double chi2 = 0;
    for (double c : counts) chi2 += std::pow(c / (256 * 200) - 0.01, 2) / 0.01;
    EXPECT_LT(chi2, 0.06) << epsilon;  // the tolerance of the fit and the scatter of 512 hits per atom
  }
}

// With labels the noise's own is not told, but partners say which it can have been: each is the matcher's for one label
// that the noise may have, and the one of its own label where unequal ones are forbidden.
TEST(SemidiscreteCoupling, LabelledPartnersAreTheMatchersOfSomeLabel) {
  constexpr Index n = 300, d = 6, batch = 200;
  Matrix<float> y(n, d);
  fill_normal(Rng{1}, 0, {y.data(), n * d});
  std::vector<std::int32_t> labels;
  for (Index j = 0; j < n; ++j) labels.push_back(j % 5 == 0 ? 1 : j % 2 == 0 ? 4 : 9);
  const double never = std::numeric_limits<double>::infinity();
  for (const double penalty : {never, 1.0}) {
    const ot::SemidiscreteResult r =
        ot::semidiscrete(y.view(), {}, {.labels = labels, .label_penalty = penalty, .seed = 2});
    ASSERT_EQ(r.status, ot::Status::converged);
    const auto coupling = semidiscrete_coupling(y.view(), r.potentials, {.seed = 3, .groups = 8, .rounds = 4});
    const auto matcher = ot::pass_matcher(y.view(), r.potentials);
    Matrix<float> x0(batch, d);
    std::vector<std::int32_t> atoms(batch), expected(batch);
    std::vector<double> share(10, 0.0);
    Index strange = 0;
    constexpr std::uint64_t steps = 60;
    for (std::uint64_t step = 0; step < steps; ++step) {
      coupling->draw(step, x0.view(), atoms);
      std::vector<bool> found(batch, false);
      for (const std::int32_t label : {1, 4, 9}) {
        matcher->match(x0.view(), std::vector<std::int32_t>(batch, label), Rng{}, 0, expected);
        for (std::size_t i = 0; i < atoms.size(); ++i) {
          const bool own = labels[static_cast<std::size_t>(atoms[i])] == label;
          if (atoms[i] == expected[i] && (own || penalty < never)) found[i] = true;
        }
      }
      for (std::size_t i = 0; i < atoms.size(); ++i) {
        strange += !found[i];
        share[static_cast<std::size_t>(labels[static_cast<std::size_t>(atoms[i])])] += 1.0 / (batch * steps);
      }
    }
    EXPECT_LE(strange, 24);  // rounding at near ties: 0.2% of 12000
    // Forbidden pairs leave only the draw of labels to chance; else a chi-square of 0.05 of the marginal, whose part
    // here is (share - b)^2 / b, as well.
    for (const auto& [label, expect] : {std::pair{1, 0.2}, {4, 0.4}, {9, 0.4}})
      EXPECT_NEAR(share[static_cast<std::size_t>(label)], expect,
                  4.5 * std::sqrt(expect / (batch * steps)) + (penalty < never ? std::sqrt(0.05 * expect) : 0.0));
  }
}

// Entropic: labels are drawn with each row, and forbidden pairs keep their shares.
TEST(SemidiscreteCoupling, LabelSharesHoldWhenPartnersAreDrawn) {
  constexpr Index n = 90, batch = 256;
  Matrix<float> y(n, 4);
  fill_normal(Rng{1}, 0, {y.data(), n * 4});
  std::vector<std::int32_t> labels;
  for (Index j = 0; j < n; ++j) labels.push_back(j < 30);
  const ot::SemidiscreteResult r = ot::semidiscrete(y.view(), {}, {.epsilon = 0.5, .labels = labels, .seed = 2});
  const auto coupling = semidiscrete_coupling(y.view(), r.potentials, {.seed = 3});
  Matrix<float> x0(batch, 4);
  std::vector<std::int32_t> atoms(batch);
  double ones = 0;
  for (std::uint64_t step = 0; step < 50; ++step) {
    coupling->draw(step, x0.view(), atoms);
    for (const std::int32_t j : atoms) ones += labels[static_cast<std::size_t>(j)];
  }
  EXPECT_NEAR(ones / (50 * batch), 1.0 / 3, 4.5 * std::sqrt(2.0 / 9 / (50 * batch)));
}

TEST(SemidiscreteCoupling, ABatchIsAFunctionOfSeedAndStep) {
  const Fitted f(200, 5, 0, 0);
  const auto one = semidiscrete_coupling(f.y.view(), f.result.potentials, {.seed = 9, .context = {.threads = 1}});
  const auto two = semidiscrete_coupling(f.y.view(), f.result.potentials, {.seed = 9, .context = {.threads = 2}});
  Matrix<float> a(100, 5), b(100, 5);
  std::vector<std::int32_t> p(100), q(100);
  for (std::uint64_t step : {0u, 1u, 700u, 3u}) one->draw(step, a.view(), p);
  two->draw(3, b.view(), q);
  EXPECT_TRUE(std::equal(a.data(), a.data() + 500, b.data()));
  EXPECT_EQ(p, q);
}

// From points: x0 are rows of the source, all of them alike, atoms are hit alike, and partners are the matcher's.
TEST(SemidiscreteCoupling, DrawsFromPoints) {
  constexpr Index points = 20000, atoms = 100, d = 2, batch = 500, steps = 80;
  Matrix<float> source(points, d), y(atoms, d);
  fill_normal(Rng{4}, 0, {source.data(), points * d});
  fill_normal(Rng{5}, 0, {y.data(), atoms * d});
  for (Index i = 0; i < points; ++i) {
    source(i, 0) = 3 + 0.5f * source(i, 0);
    source(i, 1) = std::abs(source(i, 1));  // no normal law
  }
  const auto fitted = ot::semidiscrete(y.view(), {}, {.tolerance = 0.01, .seed = 2},
                                       ot::source_of_points(std::as_const(source).view()));
  ASSERT_EQ(fitted.status, ot::Status::converged);
  const CouplingSource from{.points = std::as_const(source).view()};
  const auto coupling = semidiscrete_coupling(y.view(), fitted.potentials, {.seed = 3, .source = from});
  const auto matcher = ot::pass_matcher(y.view(), fitted.potentials);
  std::set<std::pair<float, float>> rows, seen;
  for (Index i = 0; i < points; ++i) rows.emplace(source(i, 0), source(i, 1));
  Matrix<float> x0(batch, d);
  std::vector<std::int32_t> partners(batch), expected(batch);
  std::vector<double> hits(atoms, 0.0);
  for (std::uint64_t step = 0; step < steps; ++step) {
    coupling->draw(step, x0.view(), partners);
    matcher->match(x0.view(), Rng{}, 0, expected);
    EXPECT_EQ(partners, expected);
    for (Index i = 0; i < batch; ++i) {
      seen.emplace(x0(i, 0), x0(i, 1));
      hits[static_cast<std::size_t>(partners[static_cast<std::size_t>(i)])] += 1;
    }
  }
  for (const auto& row : seen) ASSERT_TRUE(rows.count(row));
  const double draws = static_cast<double>(batch * steps) / points;  // of each point: 2
  EXPECT_NEAR(static_cast<double>(seen.size()), points * (1 - std::exp(-draws)), 4 * std::sqrt(points * 0.12));
  double chi2 = 0;
  for (const double h : hits) chi2 += std::pow(h * atoms / (batch * steps) - 1, 2) / atoms;
  EXPECT_LT(chi2, 0.01 + 2.0 * atoms / (batch * steps));

  EXPECT_THROW(semidiscrete_coupling(y.view(), fitted.potentials, {.source = {.points = {source.data(), points, 1}}}),
               Error);
}

// From points with labels, classes apart: every pair is of one class, whose points all come alike.
TEST(SemidiscreteCoupling, DrawsFromPointsOfTheAtomsClass) {
  constexpr Index points = 3000, atoms = 60, d = 2, batch = 400, steps = 100;
  Matrix<float> source(points, d), y(atoms, d);
  fill_normal(Rng{4}, 0, {source.data(), points * d});
  fill_normal(Rng{5}, 0, {y.data(), atoms * d});
  std::vector<std::int32_t> source_labels, labels;
  for (Index i = 0; i < points; ++i) source_labels.push_back(i % 5 == 0 ? 3 : i % 5 == 1 ? 9 : -1);  // 1 : 1 : 3
  for (Index j = 0; j < atoms; ++j) labels.push_back(j % 2 == 0 ? 3 : -1);                           // 1 : 1
  for (Index i = 0; i < points; ++i) source(i, 0) += static_cast<float>(source_labels[static_cast<std::size_t>(i)]);
  const auto fitted = ot::semidiscrete(y.view(), {}, {.labels = labels, .seed = 2},
                                       ot::source_of_points(std::as_const(source).view(), source_labels, {}));
  ASSERT_EQ(fitted.status, ot::Status::converged);
  const CouplingSource from{.points = std::as_const(source).view(), .labels = source_labels};
  const auto one = semidiscrete_coupling(y.view(), fitted.potentials,
                                         {.seed = 3, .source = from, .context = {.threads = 1}}),
             three = semidiscrete_coupling(y.view(), fitted.potentials,
                                           {.seed = 3, .source = from, .context = {.threads = 3}});
  std::map<std::pair<float, float>, std::size_t> row_of;
  for (Index i = 0; i < points; ++i) row_of[{source(i, 0), source(i, 1)}] = static_cast<std::size_t>(i);
  Matrix<float> x0(batch, d), again(batch, d);
  std::vector<std::int32_t> partners(batch), others(batch);
  std::vector<double> count(points, 0.0), hits(atoms, 0.0);
  for (std::uint64_t step = 0; step < steps; ++step) {
    one->draw(step, x0.view(), partners);
    three->draw(step, again.view(), others);
    ASSERT_TRUE(std::equal(x0.data(), x0.data() + batch * d, again.data()) && partners == others);
    for (Index i = 0; i < batch; ++i) {
      const std::size_t row = row_of.at({x0(i, 0), x0(i, 1)}),
                        atom = static_cast<std::size_t>(partners[static_cast<std::size_t>(i)]);
      ASSERT_EQ(source_labels[row], labels[atom]);
      count[row] += 1, hits[atom] += 1;
    }
  }
  // Half of all draws are of 600 points, half of 1800: chi-squares of n cells have mean n and variance 2 n.
  for (const auto& [label, cells] : {std::pair{3, 600.0}, {-1, 1800.0}}) {
    const double expected = 0.5 * batch * steps / cells;
    double chi2 = 0;
    for (std::size_t i = 0; i < points; ++i)
      if (source_labels[i] == label) chi2 += std::pow(count[i] - expected, 2) / expected;
    EXPECT_NEAR(chi2, cells, 4.5 * std::sqrt(2 * cells) + 0.5 * cells / (batch * steps)) << label;
  }
  double chi2 = 0;
  for (const double h : hits) chi2 += std::pow(h * atoms / (batch * steps) - 1, 2) / atoms;
  EXPECT_LT(chi2, 0.05 + 3.0 * atoms / (batch * steps));  // the fit's tolerance and the scatter of 667 hits

  const auto refused = [&](const CouplingSource& wrong, const char* words) {
    try {
      semidiscrete_coupling(y.view(), fitted.potentials, {.source = wrong});
      ADD_FAILURE() << "no error: " << words;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(words), std::string::npos) << e.what();
    }
  };
  const std::vector<std::int32_t> few(3), nines(points, 9);
  refused({.points = from.points}, "the source points have none");
  refused({.points = from.points, .labels = few}, "3 source labels for 3000 points");
  refused({.points = from.points, .labels = nines}, "no source point has the label -1");
}

}  // namespace
}  // namespace monge::flow
