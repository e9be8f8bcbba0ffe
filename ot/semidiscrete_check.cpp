#include <algorithm>
#include <cmath>
#include <numeric>

#include "monge/ot/core/backend.h"
#include "monge/ot/semidiscrete_fit.h"

namespace monge::ot::detail {
namespace {

constexpr double z95 = 1.959963984540054;

struct MeanError {
  double mean = 0, error = 0;
};

MeanError mean_error(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double square = 0;
  for (double value : values) square += (value - mean) * (value - mean);
  return {mean, n > 1 ? std::sqrt(square / (n - 1) / n) : INFINITY};
}

double dot(const float* x, const float* y, Index d) {
  double sum = 0;
  for (Index k = 0; k < d; ++k) sum += static_cast<double>(x[k]) * static_cast<double>(y[k]);
  return sum;
}

double dot(const float* x, const std::vector<double>& y) {
  double sum = 0;
  for (std::size_t k = 0; k < y.size(); ++k) sum += static_cast<double>(x[k]) * y[k];
  return sum;
}

// The best columns of every row, from which a plan with the right marginals is built.
struct Ranked {
  Matrix<float> scores;
  Matrix<std::int32_t> columns;
};

// Gives each row of unit mass to its best columns as far as their capacity lasts, best choices of all rows first.
// `cost` gathers -<x_i, y_j> of what was placed, `left` what was not.
void fill_greedily(const Ranked& ranked, const std::vector<float>& biases, std::vector<double>& capacity,
                   std::vector<double>& cost, std::vector<double>& left) {
  for (Index k = 0; k < ranked.columns.cols(); ++k) {
    for (Index i = 0; i < ranked.columns.rows(); ++i) {
      const auto row = static_cast<std::size_t>(i), j = static_cast<std::size_t>(ranked.columns(i, k));
      const double mass = std::min(left[row], capacity[j]);
      if (mass <= 0) continue;
      left[row] -= mass;
      capacity[j] -= mass;
      cost[row] += mass * (static_cast<double>(biases[j]) - static_cast<double>(ranked.scores(i, k)));
    }
  }
}

}  // namespace

double samples_for_error(double n, double chi2, double error) {
  const double e2 = error * error;
  return (4 * chi2 + std::sqrt(16 * chi2 * chi2 + 8 * n * e2)) / (2 * e2);
}

MarginalError marginal_error(const std::vector<double>& counts, const std::vector<double>& b) {
  double n = 0, pairs = 0, pairs2 = 0, triples = 0;
  for (std::size_t j = 0; j < counts.size(); ++j) {
    const double c = counts[j];
    n += c;
    if (c == 0) continue;
    pairs += c * (c - 1) / b[j];
    pairs2 += c * (c - 1) / (b[j] * b[j]);
    triples += c * (c - 1) * (c - 2) / (b[j] * b[j]);
  }
  // U-statistic with kernel 1{j = j'} / b_j: variance 4 zeta1 / n + 2 zeta2 / n^2, both estimated without bias.
  const double ordered = n * (n - 1);
  const double one_plus = pairs / ordered;
  const double zeta1 = std::max(0.0, triples / (ordered * (n - 2)) - one_plus * one_plus);
  const double zeta2 = std::max(0.0, pairs2 / ordered - one_plus * one_plus);
  const double error = std::sqrt(4 * (n - 2) / ordered * zeta1 + 2 / ordered * zeta2);
  return {one_plus - 1, one_plus - 1 - z95 * error, one_plus - 1 + z95 * error, n};
}

// Lower bound: the dual value of v, whose expectation over x is below the optimum for any v. Upper bound: the fresh
// noise, as an empirical law, is coupled to the exact weights; optimal transport is convex in the law, so the expected
// cost of any such plan is above the optimum. Each end has 97.5% on its side, so both hold at 95%.
Check check_semidual(const SemidualProblem& problem, const std::vector<double>& v, const SemidiscreteOptions& options) {
  const AtomSet& atoms = problem.atoms;
  const Index d = atoms.dimensions();
  const bool squared = options.cost == Cost::squared_euclidean;
  const auto wanted = options.check_samples > 0 ? options.check_samples
                                                : samples_for_error(static_cast<double>(atoms.size()),
                                                                    options.tolerance, options.tolerance / 17);
  const Index rows = static_cast<Index>(std::max(1024.0, std::ceil(wanted)));
  const Index ranks = std::min<Index>(32, atoms.size()), chunk = 4096;
  const Rng noise = Rng{options.seed}.substream(4), draws = Rng{options.seed}.substream(5);
  auto& passes = passes_for<float>(options.context.device);

  // Hard scores give the bounds for any v; the plan of epsilon > 0 is drawn from its own softened scores.
  const std::vector<float> hard(v.begin(), v.end()), soft = score_biases(problem, v);
  Ranked ranked{Matrix<float>(rows, ranks), Matrix<std::int32_t>(rows, ranks)};
  std::vector<std::int32_t> drawn(static_cast<std::size_t>(rows));
  // In units of the inner product: c = offset_i - <x_i, y_j> with centred y, plus a part of the atoms alone. What is
  // constant in expectation for the standard normal is not left to chance.
  std::vector<double> offset(static_cast<std::size_t>(rows),
                             squared && !problem.source ? 0.5 * static_cast<double>(d) : 0.0);
  std::vector<double> counts(v.size(), 0.0), own(static_cast<std::size_t>(rows));

  Check check;
  Matrix<float> x(std::min(chunk, rows), d);
  for (Index first = 0; first < rows && !check.stopped; first += chunk) {
    const Index count = std::min(chunk, rows - first);
    const MatrixView<float> xs = x.view().rows_from(0, count);
    draw(problem.source, noise, static_cast<std::uint64_t>(first), xs, options.context);
    const VectorView<std::int32_t> plan(drawn.data() + first, count);
    passes.hardmin({.x = xs, .y = atoms.y.view(), .v = hard, .y_digits = atoms.digits.get()},
                   ranked.scores.view().rows_from(first, count), ranked.columns.view().rows_from(first, count),
                   options.context);
    if (problem.epsilon > 0) {
      passes.sample({.x = xs, .y = atoms.y.view(), .v = soft, .y_digits = atoms.digits.get()},
                    static_cast<float>(problem.epsilon), draws, static_cast<std::uint64_t>(first), plan,
                    options.context);
    } else {
      for (Index i = 0; i < count; ++i) plan[i] = ranked.columns(first + i, 0);
    }
    for (Index i = 0; i < count; ++i) {
      const auto row = static_cast<std::size_t>(first + i);
      const float* xi = xs.row(i);
      counts[static_cast<std::size_t>(plan[i])] += 1;
      if (problem.source) offset[row] = (squared ? 0.5 * dot(xi, xi, d) : 0.0) - dot(xi, atoms.centre);
      own[row] = offset[row] - dot(xi, atoms.y.view().row(plan[i]), d);
    }
    const SemidiscreteStep step{.checking = true,
                                .progress = static_cast<double>(first + count) / static_cast<double>(rows)};
    check.stopped = options.on_step && !options.on_step(step);
  }
  if (check.stopped) return check;
  check.marginal = marginal_error(counts, atoms.b);

  std::vector<double> dual(offset), primal(offset), left(offset.size(), 1.0), capacity(atoms.b);
  double mean_potential = 0;
  for (std::size_t j = 0; j < v.size(); ++j) mean_potential += atoms.b[j] * static_cast<double>(hard[j]);
  for (double& c : capacity) c *= static_cast<double>(rows);
  for (Index i = 0; i < rows; ++i) {
    dual[static_cast<std::size_t>(i)] += mean_potential - static_cast<double>(ranked.scores(i, 0));
  }
  fill_greedily(ranked, hard, capacity, primal, left);
  // What found no room goes to the remaining capacity in proportion: its cost needs only the mean of the free atoms.
  std::vector<double> free_mean(static_cast<std::size_t>(d), 0.0);
  const double remaining = std::accumulate(capacity.begin(), capacity.end(), 0.0);
  for (std::size_t j = 0; j < capacity.size() && remaining > 0; ++j) {
    if (capacity[j] <= 0) continue;
    const float* y = atoms.y.view().row(static_cast<Index>(j));
    for (Index k = 0; k < d; ++k) {
      free_mean[static_cast<std::size_t>(k)] += capacity[j] / remaining * static_cast<double>(y[k]);
    }
  }
  for (Index first = 0; first < rows; first += chunk) {
    const Index count = std::min(chunk, rows - first);
    draw(problem.source, noise, static_cast<std::uint64_t>(first), x.view().rows_from(0, count), options.context);
    for (Index i = 0; i < count; ++i) {
      const auto row = static_cast<std::size_t>(first + i);
      if (left[row] > 0) primal[row] -= left[row] * dot(x.view().row(i), free_mean);
    }
  }

  double atoms_part = 0;  // sum_j b_j |y_j|^2
  for (Index j = 0; j < atoms.size() && squared; ++j) {
    atoms_part += atoms.b[static_cast<std::size_t>(j)] * atoms.squared_norm(j);
  }
  const double factor = squared ? 2 : 1;
  const MeanError below = mean_error(dual), above = mean_error(primal);
  check.cost = factor * mean_error(own).mean + atoms_part;
  check.lower = factor * (below.mean - z95 * below.error) + atoms_part;
  // Rows share the atoms' capacities, so their costs alone do not say how far the mean may be off. It is no less than
  // the dual value of the same noise, whose rows are independent.
  check.upper = factor * (above.mean + z95 * std::max(below.error, above.error)) + atoms_part;
  return check;
}

}  // namespace monge::ot::detail
