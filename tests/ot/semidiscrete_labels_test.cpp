// Semidiscrete transport with labels in the cost.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "coverage.h"
#include "monge/ot/matcher.h"
#include "monge/ot/semidiscrete_fit.h"
#include "semidiscrete_truth.h"

namespace monge::ot {
namespace {

using namespace truth;

constexpr double never = std::numeric_limits<double>::infinity();

TEST(SemidiscreteLabels, ForbiddenPairsMakeAProblemOfEachLabel) {
  const TwoLines p;
  const SemidiscreteResult r = semidiscrete(p.view(), p.b, {.tolerance = 1e-3, .labels = p.labels, .seed = 3});
  ASSERT_EQ(r.status, Status::converged);
  for (const std::int32_t label : {7, -4}) {
    const Line exact = p.line(label);
    const std::vector<std::size_t> j = p.members(label);
    for (std::size_t k = 0; k + 1 < j.size(); ++k) {
      const double boundary = (r.potentials.g[j[k]] - r.potentials.g[j[k + 1]]) / (p.y[j[k + 1]] - p.y[j[k]]);
      // A chi-square of 1e-3 leaves all that is left of a boundary, 0.5 of the noise at most, free by sqrt(1e-3 / 4),
      // which is twice and a half as much within its label, over a density of 0.2 at least.
      EXPECT_NEAR(boundary, exact.z[k], 0.2) << label << " " << k;
    }
  }
  EXPECT_LE(r.certificate.lower, p.cost());
  EXPECT_GE(r.certificate.upper, p.cost());
  EXPECT_LT(r.certificate.upper - r.certificate.lower, 0.05 * std::abs(p.cost()));
  ASSERT_EQ(r.potentials.noise_labels.size(), 2u);
  EXPECT_NEAR(r.potentials.noise_labels[0].share, 0.6, 1e-12);
}

// Against the semidual in double: the interval holds its maximum, and the plan's parts are of the size it has.
TEST(SemidiscreteLabels, AFinitePenaltyMeetsTheNaiveSemidual) {
  const TwoLines p;
  for (const double share : {0.4, 0.75}) {
    for (const double penalty : {0.3, 1.5}) {
      const NaiveSemidual naive = p.naive(share, penalty);
      const std::vector<double> g = naive.maximise();
      const NaiveSemidual::Look best = naive.look(g);
      for (std::size_t j = 0; j < g.size(); ++j) ASSERT_NEAR(best.mass[j], p.b[j], 1e-5);  // the top is reached
      const SemidiscreteResult r = semidiscrete(p.view(), p.b,
                                                {.tolerance = 5e-3,
                                                 .labels = p.labels,
                                                 .label_penalty = penalty,
                                                 .noise_labels = {{7, 2 * share}, {-4, 2 * (1 - share)}},
                                                 .seed = 5});
      EXPECT_EQ(r.status, Status::converged) << share << " " << penalty;
      EXPECT_LE(r.certificate.lower, best.value) << share << " " << penalty;
      EXPECT_GE(r.certificate.upper, best.value) << share << " " << penalty;
      EXPECT_LT(r.certificate.upper - r.certificate.lower, 0.15);
      // Near optimal: with potentials of size one, masses that are off by sqrt(5e-3) in all change the cost as much.
      EXPECT_NEAR(r.cost, best.value, 0.07 + r.cost_error);
      EXPECT_GT(r.cost_error, 0);
      // And what the matcher gives is what the potentials say, label by label.
      const NaiveSemidual::Look fitted = naive.look(r.potentials.g);
      const auto matcher = pass_matcher(p.view(), r.potentials);
      constexpr Index samples = 40000;
      const Matrix<float> x = normal_cloud(samples, 1, 8);
      std::vector<std::int32_t> labels(samples), atoms(samples);
      matcher->noise_labels().draw(Rng{9}, 0, labels);
      matcher->match(x.view(), labels, Rng{}, 0, atoms);
      std::vector<std::vector<double>> joint(2, std::vector<double>(7, 0.0));
      for (std::size_t i = 0; i < atoms.size(); ++i)
        joint[labels[i] == 7][static_cast<std::size_t>(atoms[i])] += 1.0 / samples;
      for (std::size_t z = 0; z < 2; ++z)
        for (std::size_t j = 0; j < 7; ++j)
          EXPECT_NEAR(joint[z][j], fitted.joint[z][j], 4.5 * std::sqrt((fitted.joint[z][j] + 1e-4) / samples));
    }
  }
}

TEST(SemidiscreteLabels, APenaltyOfZeroIsNoLabels) {
  Matrix<float> y = normal_cloud(200, 3, 1);
  for (Index k = 0; k < 3; ++k) y(7, k) = y(8, k);
  std::vector<std::int32_t> labels(200);
  std::iota(labels.begin(), labels.end(), 0);
  const SemidiscreteResult with = semidiscrete(y.view(), {}, {.labels = labels, .label_penalty = 0, .seed = 2});
  const SemidiscreteResult without = semidiscrete(y.view(), {}, {.seed = 2});
  EXPECT_EQ(with.merged, 1);
  EXPECT_EQ(with.potentials.g, without.potentials.g);
  EXPECT_EQ(with.certificate.upper, without.certificate.upper);
  const auto matcher = pass_matcher(y.view(), with.potentials);
  EXPECT_TRUE(matcher->noise_labels().empty());
  const MarginalError error = marginal_error(*matcher, 200, 3, 40000, 3);
  EXPECT_LE(error.lower, 0.05);
}

// Alike in d dimensions or in the PCA's two, atoms of different labels stay apart; of one label they are merged.
TEST(SemidiscreteLabels, OnlyDuplicatesOfOneLabelAreMerged) {
  Matrix<float> y = normal_cloud(64, 4, 2);
  for (Index i = 0; i < 64; ++i) y(i, 0) *= 9, y(i, 1) *= 7, y(i, 2) = y(i, 3) = 0;
  std::copy_n(y.view().row(3), 4, y.view().row(40));
  std::copy_n(y.view().row(5), 4, y.view().row(50));
  std::vector<std::int32_t> labels(64, 1);
  for (std::size_t j = 32; j < 64; ++j) labels[j] = 2;
  labels[50] = 1, labels[6] = 2;
  for (const Index pca : {0, 2}) {
    const SemidiscreteResult r = semidiscrete(y.view(), {}, {.pca = pca, .labels = labels, .seed = 2});
    EXPECT_EQ(r.merged, 1) << pca;
    EXPECT_EQ(r.potentials.g[5], r.potentials.g[50]);
    EXPECT_NE(r.potentials.g[3], r.potentials.g[40]);
    EXPECT_EQ(semidiscrete(y.view(), {}, {.max_samples_per_atom = 1, .pca = pca}).merged, 2) << pca;
    EXPECT_EQ(r.status, Status::converged);
    const auto matcher = pass_matcher(y.view(), r.potentials);
    constexpr Index samples = 20000;
    const Matrix<float> x = normal_cloud(samples, 4, 5);
    std::vector<std::int32_t> z(samples), atoms(samples);
    matcher->noise_labels().draw(Rng{6}, 0, z);
    matcher->match(x.view(), z, Rng{1}, 0, atoms);
    for (std::size_t i = 0; i < atoms.size(); ++i) ASSERT_EQ(labels[static_cast<std::size_t>(atoms[i])], z[i]);
  }
}

TEST(SemidiscreteLabels, WhatNoPlanCanMeetIsInfeasible) {
  const TwoLines p;
  const auto fit = [&](std::vector<LabelShare> noise, double penalty = never, double tau = never) {
    return [&p, noise, penalty, tau] {
      semidiscrete(
          p.view(), p.b,
          {.max_samples_per_atom = 4, .labels = p.labels, .label_penalty = penalty, .noise_labels = noise, .tau = tau});
    };
  };
  expect_error(Errc::infeasible, "has label -4", fit({{7, 0.5}, {-4, 0.5}}));
  expect_error(Errc::infeasible, "has label 9", fit({{7, 4}, {-4, 6}, {9, 1e-7}}));
  expect_error(Errc::infeasible, "has label 7", fit({{7, 1}}));
  EXPECT_NO_THROW(fit({{7, 4}, {-4, 6}})());  // on any scale
  EXPECT_NO_THROW(fit({{7, 0.5}, {-4, 0.5}}, 3.0)());
  EXPECT_NO_THROW(fit({{7, 0.5}, {-4, 0.5}}, never, 1.0)());
  EXPECT_NO_THROW(fit({{7, 0.5}, {9, 0.5}}, 3.0)());
  expect_error(Errc::infeasible, "has label 9", fit({{7, 0.5}, {9, 0.5}}, never, 1.0));
}

TEST(SemidiscreteLabels, NonsenseIsRefused) {
  const TwoLines p;
  const auto fit = [&](const auto& change) {
    return [&p, change] {
      SemidiscreteOptions options{.labels = p.labels, .label_penalty = 1};
      change(options);
      semidiscrete(p.view(), p.b, options);
    };
  };
  using O = SemidiscreteOptions;
  expect_error(Errc::invalid_argument, "6 labels for 7 atoms", fit([&](O& o) { o.labels = {p.labels.data(), 6, {}}; }));
  expect_error(Errc::invalid_argument, "6 labels for 7 atoms", fit([&](O& o) {
                 o.labels = {p.labels.data(), 6, {}}, o.label_penalty = 0;
               }));
  expect_error(Errc::invalid_argument, "without labels", fit([](O& o) { o.labels = {}, o.noise_labels = {{7, 1}}; }));
  expect_error(Errc::invalid_argument, "label 7 is 0", fit([](O& o) { o.noise_labels = {{7, 0}, {-4, 1}}; }));
  expect_error(Errc::invalid_argument, "label 7 has two", fit([](O& o) { o.noise_labels = {{7, 1}, {7, 1}}; }));
  expect_error(Errc::not_finite, "label -4", fit([](O& o) { o.noise_labels = {{7, 1}, {-4, NAN}}; }));
  for (const double bad : {-1.0, std::nan("")}) {
    expect_error(Errc::invalid_argument, "label_penalty", fit([&](O& o) { o.label_penalty = bad; }));
    expect_error(Errc::invalid_argument, "tau", fit([&](O& o) { o.tau = bad; }));
  }
  expect_error(Errc::invalid_argument, "tau is 0", fit([](O& o) { o.tau = 0; }));
}

// As ConfidenceCertificate does without labels: either end misses in 2.5% of all checks at most.
TEST(SemidiscreteLabels, CertificatesMissAsSeldomAsTheySay) {
  const TwoLines p;
  const AtomSet atoms = make_atoms("test", p.view(), p.b, {}, {}, p.labels);
  const detail::SemidualProblem problem{
      .atoms = atoms, .labels = LabelLaw("test", {{7, 0.4}, {-4, 0.6}}), .label_penalty = never};
  std::vector<double> v(p.y.size());
  for (const std::int32_t label : {7, -4}) {
    std::vector<float> points;
    for (const std::size_t j : p.members(label)) points.push_back(p.y[j]);
    const std::vector<double> g = p.line(label).potentials(points);
    for (std::size_t k = 0; k < g.size(); ++k) v[p.members(label)[k]] = g[k];
  }
  for (const double off : {0.0, 0.1}) {
    std::vector<double> potentials(v);
    for (std::size_t j = 0; j < v.size(); ++j) potentials[j] += j % 2 ? off : -off;
    SCOPED_TRACE(off);
    expect_coverage(problem, potentials, p.cost(), 0.4);  // of a cost near one
  }
}

SemidiscretePotentials potentials(Index atoms, double penalty) {
  SemidiscretePotentials p;
  p.label_penalty = penalty;
  for (Index j = 0; j < atoms; ++j) {
    p.g.push_back(std::sin(static_cast<double>(j)));
    p.labels.push_back(static_cast<std::int32_t>(j % 3));
  }
  p.noise_labels = {{0, 1}, {1, 1}, {2, 2}};
  return p;
}

TEST(LabelledMatcher, FindsTheBestOfThePenalisedScores) {
  const Matrix<float> y = normal_cloud(70, 5, 1), x = normal_cloud(400, 5, 2);
  std::vector<std::int32_t> labels(400), atoms(400);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i * i % 3);
  for (const double penalty : {0.5, 2.0, never}) {
    for (const Cost cost : {Cost::negative_dot, Cost::squared_euclidean}) {
      SemidiscretePotentials p = potentials(70, penalty);
      p.cost = cost;
      pass_matcher(y.view(), p)->match(x.view(), labels, Rng{}, 0, atoms);
      for (Index i = 0; i < 400; ++i) {
        double best = HUGE_VAL, chosen = HUGE_VAL;
        for (Index j = 0; j < 70; ++j) {
          double c = -p.g[static_cast<std::size_t>(j)];
          for (Index k = 0; k < 5; ++k) {
            const double a = x(i, k), e = y(j, k);
            c += cost == Cost::negative_dot ? -a * e : (a - e) * (a - e);
          }
          if (p.labels[static_cast<std::size_t>(j)] != labels[static_cast<std::size_t>(i)]) c += penalty;
          best = std::min(best, c);
          if (atoms[static_cast<std::size_t>(i)] == j) chosen = c;
        }
        ASSERT_NEAR(chosen, best, 1e-4) << i << " " << penalty;  // of floats of size ten
      }
    }
  }
}

TEST(LabelledMatcher, DrawsByThePenalisedSoftmax) {
  const std::vector<float> y = {-1, 0.5f, 2};
  SemidiscretePotentials p = potentials(3, 0.8);
  p.epsilon = 0.5;
  const auto matcher = pass_matcher({y.data(), 3, 1}, p);
  constexpr Index samples = 40000;
  Matrix<float> x(samples, 1);
  std::fill_n(x.data(), samples, 0.7f);
  const std::vector<std::int32_t> labels(samples, 1);
  std::vector<std::int32_t> atoms(samples);
  matcher->match(x.view(), labels, Rng{3}, 0, atoms);
  double total = 0, share[3], count[3] = {};
  for (std::size_t j = 0; j < 3; ++j) total += share[j] = std::exp((0.7 * y[j] + p.g[j] - (j == 1 ? 0 : 0.8)) / 0.5);
  for (const std::int32_t j : atoms) count[j] += 1.0 / samples;
  for (std::size_t j = 0; j < 3; ++j) EXPECT_NEAR(count[j], share[j] / total, 4.5 * 0.5 / std::sqrt(samples));
}

TEST(LabelledMatcher, RefusesWhatDoesNotFit) {
  const Matrix<float> y = normal_cloud(9, 2, 1), x = normal_cloud(4, 2, 2);
  std::vector<std::int32_t> atoms(4), labels = {0, 1, 2, 5};
  const auto match = [&](const SemidiscretePotentials& p, VectorView<const std::int32_t> z) {
    return [&, z] { pass_matcher(y.view(), p)->match(x.view(), z, Rng{}, 0, atoms); };
  };
  SemidiscretePotentials p = potentials(9, never);
  expect_error(Errc::invalid_argument, "0 labels for 4 noise rows", match(p, {}));
  expect_error(Errc::invalid_argument, "3 labels for 4 noise rows", match(p, {labels.data(), 3, {}}));
  expect_error(Errc::invalid_argument, "row 3 has label 5", match(p, labels));
  p.label_penalty = 1;
  EXPECT_NO_THROW(match(p, labels)());
  p.noise_labels.clear();
  expect_error(Errc::invalid_argument, "no law", match(p, labels));
  p = potentials(9, never);
  p.noise_labels.push_back({5, 1});
  expect_error(Errc::infeasible, "label 5", match(p, labels));
  p = potentials(9, -1);
  expect_error(Errc::invalid_argument, "label_penalty", match(p, labels));
  p = potentials(9, 1);
  p.labels.pop_back();
  expect_error(Errc::invalid_argument, "8 labels for 9", match(p, labels));
  p.labels.clear(), p.noise_labels.clear();
  expect_error(Errc::invalid_argument, "without labels", match(p, labels));
}

}  // namespace
}  // namespace monge::ot
