// What semidiscrete results claim with 95% confidence, against problems on the line whose answers are known: how often
// does an end miss?
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "coverage.h"
#include "monge/ot/core/error.h"
#include "monge/ot/semidiscrete_fit.h"

namespace monge::ot {
namespace {

using truth::most_misses;

double density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * M_PI); }
double distribution(double x) { return 0.5 * std::erfc(-x * M_SQRT1_2); }

double chi_square(const std::vector<double>& m, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t j = 0; j < m.size(); ++j) sum += (m[j] - b[j]) * (m[j] - b[j]) / b[j];
  return sum;
}

// Counts of n draws from m.
std::vector<double> draws_from(const std::vector<double>& m, int n, const Rng& rng) {
  std::vector<double> counts(m.size(), 0.0), sums(m.size());
  std::partial_sum(m.begin(), m.end(), sums.begin());
  for (int i = 0; i < n; ++i) {
    const Rng::Block w = rng.bits(static_cast<std::uint64_t>(i));
    const auto at = std::upper_bound(sums.begin(), sums.end(), Rng::uniform(w.w[0], w.w[1]) * sums.back());
    ++counts[std::min<std::size_t>(at - sums.begin(), m.size() - 1)];
  }
  return counts;
}

struct ChiSquareCase {
  std::size_t atoms;
  int samples;
  double decades;     // over which b spreads
  double distortion;  // of m against b
};

class ChiSquareInterval : public testing::TestWithParam<ChiSquareCase> {};

TEST_P(ChiSquareInterval, MissesAsSeldomAsItSays) {
  const auto [atoms, samples, decades, distortion] = GetParam();
  std::vector<double> b(atoms), m(atoms);
  for (std::size_t j = 0; j < atoms; ++j) {
    b[j] = std::pow(10.0, decades * static_cast<double>(j) / static_cast<double>(atoms));
    m[j] = b[j] * (j % 2 ? 1 + distortion : 1 - distortion);
  }
  for (auto* w : {&b, &m}) {
    const double total = std::accumulate(w->begin(), w->end(), 0.0);
    for (double& e : *w) e /= total;
  }
  const double truth = chi_square(m, b);
  constexpr int trials = 2000;
  int above = 0, below = 0;
  for (int t = 0; t < trials; ++t) {
    const MarginalError e = detail::marginal_error(draws_from(m, samples, Rng{5, static_cast<std::uint64_t>(t)}), b);
    EXPECT_LE(e.lower, e.chi2);
    EXPECT_LE(e.chi2, e.upper);
    above += e.lower > truth;
    below += e.upper < truth;
  }
  EXPECT_LE(above, most_misses(trials));
  EXPECT_LE(below, most_misses(trials));
}

INSTANTIATE_TEST_SUITE_P(Laws, ChiSquareInterval,
                         testing::Values(ChiSquareCase{100000, 300, 0, 1},    // hardly a meeting
                                         ChiSquareCase{20000, 300, 0, 0},     //
                                         ChiSquareCase{3000, 300, 0, 0.5},    // some
                                         ChiSquareCase{50, 2000, 0, 0.2},     // many
                                         ChiSquareCase{50, 2000, 0, 0},       //
                                         ChiSquareCase{3, 500, 0, 0.3},       //
                                         ChiSquareCase{2000, 500, 3, 0.3},    // rare atoms of large weight
                                         ChiSquareCase{200, 3000, 3, 0.3}));  //

// A source on the line that meets atoms y in their order: cells, potentials and the optimum of -E[x y] are known.
struct LineProblem {
  AtomSet atoms;
  SourceLaw source;
  std::vector<double> v;  // optimal, in the order of the atoms
  double optimum = 0;
};

Matrix<float> column(const std::vector<double>& y) {
  Matrix<float> out(static_cast<Index>(y.size()), 1);
  std::copy(y.begin(), y.end(), out.data());
  return out;
}

// Standard normal; the cell of each atom is an interval of mass b.
LineProblem normal_problem(const std::vector<double>& y, const std::vector<double>& b) {
  LineProblem p{.atoms = make_atoms("test", column(y).view(), b, {}, {}), .source = {}, .v = {0.0}};
  double edge = -INFINITY, mass = 0;
  for (std::size_t j = 0; j < y.size(); ++j) {
    mass += b[j];
    double next = j + 1 < y.size() ? 0.0 : INFINITY;
    for (int k = 0; k < 100 && std::isfinite(next); ++k)
      next -= (distribution(next) - mass) / std::max(density(next), 1e-3);
    p.optimum -= static_cast<double>(static_cast<float>(y[j])) * (density(edge) - density(next));
    if (j + 1 < y.size()) p.v.push_back(p.v.back() - next * (y[j + 1] - y[j]));
    edge = next;
  }
  return p;
}

// x = -exp(U), U uniform on [0, 1.5], against exp(-U) at the middle of each cell: all costs are nearly one, and how
// rows share the atoms decides.
LineProblem level_problem(int n) {
  std::vector<double> y(static_cast<std::size_t>(n));
  for (int j = 0; j < n; ++j) y[static_cast<std::size_t>(j)] = std::exp(-1.5 * (j + 0.5) / n);
  LineProblem p{.atoms = make_atoms("test", column(y).view(), {}, {}, {}),
                .source =
                    [](const Rng& rng, std::uint64_t first, MatrixView<float> out) {
                      for (Index i = 0; i < out.rows; ++i) {
                        const Rng::Block w = rng.bits(first + static_cast<std::uint64_t>(i));
                        out(i, 0) = static_cast<float>(-std::exp(1.5 * Rng::uniform(w.w[0], w.w[1])));
                      }
                    },
                .v = {0.0}};
  for (int j = 0; j < n; ++j) {
    const double from = std::exp(1.5 * j / n), to = std::exp(1.5 * (j + 1) / n);
    p.optimum += (to - from) / 1.5 * y[static_cast<std::size_t>(j)];
    if (j + 1 < n)
      p.v.push_back(p.v.back() + to * (y[static_cast<std::size_t>(j) + 1] - y[static_cast<std::size_t>(j)]));
  }
  return p;
}

void expect_coverage(const LineProblem& p, const std::vector<double>& v, double width) {
  truth::expect_coverage({p.atoms, 0, p.source}, v, p.optimum, width);
}

TEST(ConfidenceCertificate, HoldsOfANormalSource) {
  const LineProblem p = normal_problem({-2, -1, -0.5, 0.25, 1, 3}, {0.1, 0.2, 0.15, 0.25, 0.2, 0.1});
  expect_coverage(p, p.v, 0.35);
  std::vector<double> off(p.v);
  for (std::size_t j = 0; j < off.size(); ++j) off[j] += j % 2 ? 0.1 : -0.1;
  expect_coverage(p, off, 0.4);
}

TEST(ConfidenceCertificate, HoldsWhereRowsShareCapacitiesAlone) {
  for (const int n : {8, 32}) {
    const LineProblem p = level_problem(n);
    expect_coverage(p, p.v, 0.05);
  }
}

TEST(ConfidenceCertificate, BlocksOfNoiseAgreeWithTheOptimum) {
  const LineProblem p = normal_problem({-1, 0, 2}, {0.3, 0.3, 0.4});
  SemidiscreteOptions options;
  options.check_samples = 300000;  // three blocks
  const detail::Check check = detail::check_semidual({p.atoms, 0, p.source}, p.v, options, 0);
  EXPECT_EQ(check.marginal.samples, 300000);
  EXPECT_NEAR(check.lower, p.optimum, 0.01);
  EXPECT_NEAR(check.upper, p.optimum, 0.01);
  EXPECT_NEAR(check.cost, p.optimum, 0.01);
}

// Potentials that are off give other masses than b, and the cost is of those.
TEST(ConfidenceCertificate, CostIsOfTheMassesThatThePlanGives) {
  const std::vector<double> y{4, 5.5, 7, 9}, b{0.3, 0.2, 0.3, 0.2};
  const LineProblem p = normal_problem(y, b);
  std::vector<double> v(p.v);
  for (std::size_t j = 0; j < v.size(); ++j) v[j] += j % 2 ? 0.2 : -0.2;
  double cost = 1, shift = 0, edge = -INFINITY;  // E |x|^2; what b in place of the masses would be off by
  for (std::size_t j = 0; j < y.size(); ++j) {
    const double next = j + 1 < y.size() ? (v[j] - v[j + 1]) / (y[j + 1] - y[j]) : INFINITY;
    ASSERT_LT(edge, next);
    const double mass = distribution(next) - distribution(edge);
    cost += mass * y[j] * y[j] - 2 * y[j] * (density(edge) - density(next));
    shift += (mass - b[j]) * y[j] * y[j];
    edge = next;
  }
  SemidiscreteOptions options;
  options.cost = Cost::squared_euclidean;
  options.check_samples = 60000;
  const detail::Check check = detail::check_semidual(detail::make_semidual(p.atoms, options, {}), v, options, 0);
  EXPECT_NEAR(check.cost, cost, 2 * check.cost_error);  // four standard errors
  EXPECT_LT(3 * check.cost_error, std::abs(shift));
}

// Masses that potentials give atoms of a line under the standard normal, by quadrature.
std::vector<double> masses(const std::vector<double>& y, const std::vector<double>& b, const std::vector<double>& g,
                           double epsilon) {
  std::vector<double> m(y.size(), 0.0), share(y.size());
  constexpr int points = 40000;
  for (int i = 0; i < points; ++i) {
    const double x = -8 + 16 * (i + 0.5) / points, weight = density(x) * 16 / points;
    double best = -INFINITY, total = 0;
    for (std::size_t j = 0; j < y.size(); ++j) {
      share[j] = x * y[j] + g[j] + (epsilon > 0 ? epsilon * std::log(b[j]) : 0);
      best = std::max(best, share[j]);
    }
    for (double& s : share) total += s = epsilon > 0 ? std::exp((s - best) / epsilon) : s == best;
    for (std::size_t j = 0; j < y.size(); ++j) m[j] += weight * share[j] / total;
  }
  return m;
}

TEST(ConfidenceInterval, HoldsTheTrueChiSquareOfFits) {
  const std::vector<double> y{-2, -1.2, -0.7, -0.1, 0.4, 0.9, 1.6, 2.5}, b(8, 0.125);
  const Matrix<float> atoms = column(y);
  for (const double epsilon : {0.0, 0.3}) {
    constexpr int trials = 40;
    int missed = 0;
    for (int t = 0; t < trials; ++t) {
      SemidiscreteOptions options;
      options.seed = static_cast<std::uint64_t>(t);
      options.epsilon = epsilon;
      options.max_samples_per_atom = 300;
      options.check_samples = 3000;
      const SemidiscreteResult r = semidiscrete(atoms.view(), {}, options);
      const double truth = chi_square(masses(y, b, r.potentials.g, epsilon), b);
      missed += truth < r.marginal.lower || truth > r.marginal.upper;
      if (r.status == Status::converged) {
        EXPECT_LE(r.marginal.upper, options.tolerance);
      }
    }
    EXPECT_LE(missed, most_misses(2 * trials)) << epsilon;
  }
}

TEST(ConfidenceCheck, RefusesMoreNoiseThanThereIs) {
  SemidiscreteOptions options;
  options.tolerance = 1e-9;
  EXPECT_THROW(detail::check_rows(1000, options), Error);
  options.tolerance = 0.05;
  EXPECT_EQ(detail::check_rows(1000, options), detail::check_rows(1000, options));
  options.check_samples = INFINITY;
  EXPECT_THROW(detail::check_rows(1000, options), Error);
  options.check_samples = 5;
  EXPECT_EQ(detail::check_rows(1000, options), 1024);
}

}  // namespace
}  // namespace monge::ot
