#include "monge/ot/cell_sampler.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "monge/ot/blocks.h"
#include "monge/ot/matcher.h"
#include "semidiscrete_truth.h"

namespace monge::ot {
namespace {

using namespace truth;

constexpr double never = std::numeric_limits<double>::infinity();

SemidiscretePotentials with(std::vector<double> g) {
  SemidiscretePotentials p;
  p.g = std::move(g);
  return p;
}

struct CellCase {
  const char* name;
  double epsilon;
  double penalty;  // 0: no labels
  Index pca;
};

class Cells : public testing::TestWithParam<CellCase> {
 protected:
  static constexpr Index n = 12, d = 4;

  Cells() : y(normal_cloud(n, d, 3)) {
    const CellCase c = GetParam();
    for (Index j = 0; j < n; ++j) {
      p.g.push_back(0.3 * std::sin(2.0 * static_cast<double>(j)) - (c.epsilon > 0 ? 0.0 : 0.5 * norm(j)));
      if (c.penalty > 0) p.labels.push_back(j % 3 == 0 ? 1 : 0);
    }
    p.epsilon = c.epsilon;
    p.label_penalty = c.penalty;
    if (c.penalty > 0) p.noise_labels = {{0, 0.7}, {1, 0.3}};
    if (c.pca > 0) p.pca = fit_pca(y.view(), c.pca, {}, {});
  }

  double norm(Index j) const { return dot(y.view().row(j), y.view().row(j), d); }

  Matrix<float> y;
  SemidiscretePotentials p;
};

// What is compared: <x, y_j>, |x|^2, the label.
struct Moments {
  double count = 0;
  std::array<double, 3> sum{}, square{};

  void add(const std::array<double, 3>& values) {
    ++count;
    for (std::size_t k = 0; k < 3; ++k) sum[k] += values[k], square[k] += values[k] * values[k];
  }
  double mean(std::size_t k) const { return sum[k] / count; }
  double error2(std::size_t k) const { return (square[k] / count - mean(k) * mean(k)) / count; }  // squared
};

// Against plain noise that a matcher sends there.
TEST_P(Cells, HaveTheLawOfMatchedNoise) {
  const auto matcher = pass_matcher(y.view(), p);
  const bool labelled = !p.labels.empty();
  constexpr Index samples = 50000, draws = 2000;
  const Matrix<float> x = normal_cloud(samples, d, 11);
  std::vector<std::int32_t> z(labelled ? samples : 0), partner(samples);
  if (labelled) matcher->noise_labels().draw(Rng{12}, 0, z);
  matcher->match(x.view(), z, Rng{13}, 0, partner);
  const auto values = [&](MatrixView<const float> points, Index i, Index atom, std::int32_t label) {
    const float* row = points.row(i);
    return std::array<double, 3>{dot(row, y.view().row(atom), d), dot(row, row, d), static_cast<double>(label)};
  };
  std::vector<Moments> plain(n);
  for (Index i = 0; i < samples; ++i) {
    const auto j = static_cast<std::size_t>(partner[static_cast<std::size_t>(i)]);
    plain[j].add(values(x.view(), i, static_cast<Index>(j), labelled ? z[static_cast<std::size_t>(i)] : 0));
  }
  const CellSampler sampler(y.view(), p);
  int compared = 0;
  for (Index atom = 0; atom < n && compared < 2; ++atom) {
    if (plain[static_cast<std::size_t>(atom)].count < 1000) continue;
    ++compared;
    const std::vector<std::int32_t> atoms(draws, static_cast<std::int32_t>(atom));
    Matrix<float> noise(draws, d);
    std::vector<std::int32_t> labels(labelled ? draws : 0);
    sampler.draw(atoms, Rng{14}, 0, noise.view(), labels);
    Moments cell;
    for (Index i = 0; i < draws; ++i)
      cell.add(values(noise.view(), i, atom, labelled ? labels[static_cast<std::size_t>(i)] : 0));
    for (std::size_t k = 0; k < (labelled ? 3u : 2u); ++k) {
      const Moments& other = plain[static_cast<std::size_t>(atom)];
      EXPECT_NEAR(cell.mean(k), other.mean(k), 4.5 * std::sqrt(cell.error2(k) + other.error2(k)) + 1e-12)
          << "atom " << atom << ", moment " << k;
    }
    if (p.epsilon > 0) continue;
    sampler.draw(atoms, Rng{15}, 7, noise.view(), labels);
    std::vector<std::int32_t> back(draws);
    matcher->match(noise.view(), labels, Rng{}, 0, back);
    EXPECT_EQ(back, atoms);
  }
  EXPECT_EQ(compared, 2);
}

INSTANTIATE_TEST_SUITE_P(Problems, Cells,
                         testing::Values(CellCase{"plain", 0, 0, 0}, CellCase{"entropic", 0.4, 0, 0},
                                         CellCase{"labels", 0, 0.8, 0}, CellCase{"forbidden", 0, never, 0},
                                         CellCase{"entropic_labels", 0.4, 0.8, 0}, CellCase{"pca", 0, 0, 2},
                                         CellCase{"entropic_pca", 0.4, 0, 2}),
                         [](const auto& info) { return info.param.name; });

TEST(CellSampler, DrawsAreMatchedToTheirAtoms) {
  const Matrix<float> y = normal_cloud(500, 24, 1);
  const SemidiscreteResult r = semidiscrete(y.view(), {}, {.cost = Cost::squared_euclidean, .seed = 1});
  std::vector<std::int32_t> atoms, back(600);
  for (Index i = 0; i < 600; ++i) atoms.push_back(static_cast<std::int32_t>(7 * i % 500));
  Matrix<float> noise(600, 24);
  CellSampler(y.view(), r.potentials, {.steps = 16}).draw(atoms, Rng{2}, 0, noise.view());
  pass_matcher(y.view(), r.potentials)->match(noise.view(), Rng{}, 0, back);
  EXPECT_EQ(back, atoms);
}

// On a line cells are intervals, of which floats could tell some thousands apart.
TEST(CellSampler, OnALineDrawsAreExact) {
  constexpr Index n = 20000, draws = 4000;
  Matrix<float> y(n, 1);
  fill_normal(Rng{4}, 0, {y.data(), n});
  const SemidiscreteResult r = semidiscrete(y.view(), {}, {.seed = 1});
  Matrix<float> x(draws, 1);
  std::vector<std::int32_t> atoms, matched(draws);
  for (std::int32_t i = 0; i < draws; ++i) atoms.push_back(5 * i);
  CellSampler(y.view(), r.potentials).draw(atoms, Rng{2}, 0, x.view());
  pass_matcher(y.view(), r.potentials)->match(x.view(), Rng{3}, 0, matched);
  for (Index i = 0; i < draws; ++i) EXPECT_EQ(y(matched[i], 0), y(atoms[i], 0)) << i;  // some atoms are equal

  // Two atoms, one of which gets what is above a border: its draws' mean is known.
  const float pair[] = {0, 1};
  for (const double border : {-1.0, 0.5, 3.0, 40.0}) {
    const SemidiscretePotentials p{.g = {border, 0}};
    const std::vector<std::int32_t> second(draws, 1);
    CellSampler({pair, 2, 1}, p).draw(second, Rng{2}, 0, x.view());
    double mean = 0;
    for (Index i = 0; i < draws; ++i) mean += static_cast<double>(x(i, 0)) / draws;
    const double tail = 0.5 * std::erfc(border / std::sqrt(2.0)),
                 density = std::exp(-border * border / 2) / std::sqrt(2 * M_PI);
    const double truth = border < 30 ? density / tail : border + 1 / border - 2 / std::pow(border, 3);
    EXPECT_NEAR(mean, truth, 4 * std::min(1.0, 1 / std::max(1.0, border)) / std::sqrt(static_cast<double>(draws)))
        << border;
    EXPECT_GE(*std::min_element(x.data(), x.data() + draws), static_cast<float>(border));
  }
}

TEST(CellSampler, DirectionsTheAtomsDoNotKnowAreThoseOfPlainNoise) {
  Matrix<float> y = normal_cloud(30, 6, 2);
  SemidiscretePotentials p = with(std::vector<double>(30, 0.0));
  p.pca = fit_pca(y.view(), 2, {}, {});
  for (std::size_t j = 0; j < 30; ++j) p.g[j] = -0.5 * dot(y.view().row(j), y.view().row(j), 6);
  constexpr Index draws = 4000;
  const std::vector<std::int32_t> atoms(draws, 4);
  Matrix<float> noise(draws, 6);
  CellSampler(y.view(), p).draw(atoms, Rng{2}, 0, noise.view());
  // Coordinates less their part along the basis; of a direction e the variance is 1 - |basis e|^2.
  for (Index e = 0; e < 6; ++e) {
    double mean = 0, square = 0, left = 1;
    for (Index k = 0; k < 2; ++k) left -= std::pow(p.pca->basis(k, e), 2);
    for (Index i = 0; i < draws; ++i) {
      double value = noise(i, e);
      for (Index k = 0; k < 2; ++k)
        value -= p.pca->basis(k, e) * dot(noise.view().row(i), p.pca->basis.view().row(k), 6);
      mean += value / draws, square += value * value / draws;
    }
    EXPECT_NEAR(mean, 0, 4.5 * std::sqrt(left / draws));
    EXPECT_NEAR(square, left, 4.5 * left * std::sqrt(2.0 / draws));
  }
}

TEST(CellSampler, SameBitsAtAnyNumberOfThreadsAndTheSameDrawsInAnyBatch) {
  const Matrix<float> y = normal_cloud(200, 10, 1);
  for (const double epsilon : {0.0, 0.5}) {
    SemidiscretePotentials p;
    p.epsilon = epsilon, p.label_penalty = 0.5, p.noise_labels = {{0, 1}, {1, 2}};
    for (Index j = 0; j < 200; ++j) {
      p.g.push_back(-0.5 * dot(y.view().row(j), y.view().row(j), 10));
      p.labels.push_back(static_cast<std::int32_t>(j % 2));
    }
    std::vector<std::int32_t> atoms(90), a(90), b(90), c(20);
    for (std::size_t i = 0; i < atoms.size(); ++i) atoms[i] = static_cast<std::int32_t>(2 * i);
    Matrix<float> one(90, 10), two(90, 10), part(20, 10);
    const CellSamplerOptions single{.steps = 8, .context = {.threads = 1}},
        twice{.steps = 8, .context = {.threads = 2}};
    const CellSampler sampler(y.view(), p, single);
    sampler.draw(atoms, Rng{3}, 40, one.view(), a);
    CellSampler(y.view(), p, twice).draw(atoms, Rng{3}, 40, two.view(), b);
    sampler.draw({atoms.data() + 50, 20, {}}, Rng{3}, 90, part.view(), c);
    EXPECT_TRUE(std::equal(one.data(), one.data() + 900, two.data())) << epsilon;
    for (Index k = 0; k < 200; ++k) EXPECT_NEAR(part.data()[k], one.view().row(50)[k], 1e-4) << epsilon;
    EXPECT_EQ(a, b);
    EXPECT_TRUE(std::equal(c.begin(), c.end(), a.begin() + 50));
  }
}

TEST(CellSampler, RefusesWhatDoesNotFit) {
  const Matrix<float> y = normal_cloud(10, 3, 1);
  SemidiscretePotentials p = with(std::vector<double>(10, 0.0));
  p.b.assign(10, 1.0);
  p.b[6] = 0, p.g[6] = -never;
  const CellSampler sampler(y.view(), p, {.max_moves = 50});
  Matrix<float> noise(2, 3);
  std::vector<std::int32_t> atoms = {0, 6}, labels(2);
  const auto draw = [&](MatrixView<float> out, VectorView<std::int32_t> z = {}) {
    return [&, out, z] { sampler.draw(atoms, Rng{1}, 0, out, z); };
  };
  expect_error(Errc::infeasible, "atom 6 has weight 0", draw(noise.view()));
  atoms[1] = 10;
  expect_error(Errc::invalid_argument, "row 1 asks for atom 10 of 10", draw(noise.view()));
  atoms[1] = -1;
  expect_error(Errc::invalid_argument, "row 1 asks for atom -1", draw(noise.view()));
  atoms[1] = 2;
  expect_error(Errc::invalid_argument, "room for noise of 1 x 3", draw(noise.view().rows_from(0, 1)));
  expect_error(Errc::invalid_argument, "room for 2 labels", draw(noise.view(), labels));
  expect_error(Errc::invalid_argument, "steps is 0", [&] { CellSampler(y.view(), p, {.steps = 0}); });
  expect_error(Errc::invalid_argument, "max_moves is 0", [&] { CellSampler(y.view(), p, {.max_moves = 0}); });
  expect_error(Errc::invalid_argument, "10 potentials for 9", [&] { CellSampler(y.view().rows_from(0, 9), p); });
}

// An atom between two others on a line, too low for any x.
TEST(CellSampler, AnEmptyCellIsFound) {
  const std::vector<float> y = {-1, 0, 1};
  const CellSampler sampler({y.data(), 3, 1}, with({0, -1e-2, 0}), {.max_moves = 200});
  Matrix<float> noise(1, 1);
  const std::vector<std::int32_t> atom = {1};
  expect_error(Errc::infeasible, "atom 1", [&] { sampler.draw(atom, Rng{1}, 0, noise.view()); });
}

// Nor is there noise for an atom whose label none has, where unequal labels are forbidden.
TEST(CellSampler, AnAtomThatNoLabelReachesIsInfeasible) {
  const Matrix<float> y = normal_cloud(6, 2, 1);
  SemidiscretePotentials p = with(std::vector<double>(6, 0.0));
  p.labels = {1, 1, 1, 2, 1, 1};
  p.noise_labels = {{1, 1}};
  const CellSampler sampler(y.view(), p);
  Matrix<float> noise(1, 2);
  std::vector<std::int32_t> atom = {3}, label(1);
  expect_error(Errc::infeasible, "atom 3 has label 2", [&] { sampler.draw(atom, Rng{1}, 0, noise.view(), label); });
}

}  // namespace
}  // namespace monge::ot
