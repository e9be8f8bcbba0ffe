#include <algorithm>
#include <cmath>
#include <numeric>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/semidiscrete_fit.h"

namespace monge::ot::detail {
namespace {

// Mean of independent values and its standard error, by Welford's sums.
class Mean {
 public:
  void add(double value) {
    const double from = value - mean_;
    mean_ += from / ++count_;
    squares_ += from * (value - mean_);
  }
  double mean() const { return mean_; }
  double error() const { return count_ > 1 ? std::sqrt(squares_ / (count_ - 1) / count_) : INFINITY; }

 private:
  double count_ = 0, mean_ = 0, squares_ = 0;
};

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

// Looks at the potentials through fresh noise, some of it at a time.
class Checker {
 public:
  Checker(const SemidualProblem& problem, const std::vector<double>& v, const SemidiscreteOptions& options, int attempt)
      : problem_(problem),
        atoms_(problem.atoms),
        options_(options),
        squared_(options.cost == Cost::squared_euclidean),
        noise_(Rng{options.seed}.substream(4 + 8 * static_cast<std::uint64_t>(attempt))),
        draws_(Rng{options.seed}.substream(5 + 8 * static_cast<std::uint64_t>(attempt))),
        hard_(v.begin(), v.end()),
        soft_(score_biases(problem, v)),
        counts_(v.size(), 0.0) {
    for (std::size_t j = 0; j < v.size(); ++j) mean_potential_ += atoms_.b[j] * static_cast<double>(hard_[j]);
  }

  Check run() {
    Check check;
    const Stop stop([&] { return go_on(); });
    context_ = options_.context;
    context_.stop = &stop;
    check.stopped = !finishes([&] {
      const Index rows = check_rows(atoms_.size(), options_), blocks = (rows + most_rows - 1) / most_rows;
      for (Index k = 0; k < blocks; ++k) {
        const Index first = rows * k / blocks, count = rows * (k + 1) / blocks - first;
        look_at(first, count);
        done_ = static_cast<double>(first + count) / static_cast<double>(rows);
        if (!go_on()) stop.request();
        stop.look();
      }
    });
    if (check.stopped) return check;

    double atoms_part = 0;  // sum_j b_j |y_j|^2
    for (Index j = 0; j < atoms_.size() && squared_; ++j) {
      atoms_part += atoms_.b[static_cast<std::size_t>(j)] * atoms_.squared_norm(j);
    }
    const double factor = squared_ ? 2 : 1;
    check.marginal = marginal_error(counts_, atoms_.b);
    check.cost = factor * own_.mean() + atoms_part;
    check.lower = factor * (dual_.mean() - z95 * dual_.error()) + atoms_part;
    // Rows share the atoms' capacities, so their costs alone do not say how far the mean may be off. It is no less than
    // the dual value of the same noise, whose rows are independent.
    check.upper = factor * (primal_.mean() + z95 * std::max(dual_.error(), primal_.error())) + atoms_part;
    return check;
  }

 private:
  static constexpr Index most_rows = 1 << 17;  // coupled to the atoms at a time

  bool go_on() const {
    if (options_.context.stop && options_.context.stop->requested()) return false;
    return !options_.on_step || options_.on_step({.checking = true, .progress = done_});
  }

  // A block of rows, an empirical law that is coupled to the exact weights.
  void look_at(Index first, Index rows) {
    constexpr Index chunk = 4096;
    const Index d = atoms_.dimensions(), ranks = std::min<Index>(32, atoms_.size());
    Ranked ranked{Matrix<float>(rows, ranks), Matrix<std::int32_t>(rows, ranks)};
    // In units of the inner product: c = offset_i - <x_i, y_j> with centred y, plus a part of the atoms alone. What is
    // constant in expectation for the standard normal is not left to chance.
    std::vector<double> offset(static_cast<std::size_t>(rows),
                               squared_ && !problem_.source ? 0.5 * static_cast<double>(d) : 0.0);
    Matrix<float> x(std::min(chunk, rows), d);
    for (Index k = 0; k < rows; k += chunk) {
      const Index count = std::min(chunk, rows - k);
      const MatrixView<float> xs = x.view().rows_from(0, count);
      draw(problem_.source, noise_, static_cast<std::uint64_t>(first + k), xs, context_);
      match(first + k, xs, ranked.scores.view().rows_from(k, count), ranked.columns.view().rows_from(k, count),
            offset.data() + k);
    }

    std::vector<double> primal(offset), left(offset.size(), 1.0), capacity(atoms_.b);
    for (double& c : capacity) c *= static_cast<double>(rows);
    fill_greedily(ranked, hard_, capacity, primal, left);
    // What found no room goes to the remaining capacity in proportion: its cost needs only the mean of the free atoms.
    const std::vector<double> free_mean = mean_of_atoms(capacity);
    for (Index k = 0; k < rows; k += chunk) {
      const Index count = std::min(chunk, rows - k);
      draw(problem_.source, noise_, static_cast<std::uint64_t>(first + k), x.view().rows_from(0, count), context_);
      for (Index i = 0; i < count; ++i) {
        const auto row = static_cast<std::size_t>(k + i);
        if (left[row] > 0) primal[row] -= left[row] * dot(x.view().row(i), free_mean);
        primal_.add(primal[row]);
        dual_.add(offset[row] + mean_potential_ - static_cast<double>(ranked.scores(k + i, 0)));
      }
    }
  }

  // Hard scores give the bounds for any v; the plan of epsilon > 0 is drawn from its own softened scores.
  void match(Index first, MatrixView<const float> x, MatrixView<float> scores, MatrixView<std::int32_t> columns,
             double* offset) {
    auto& passes = passes_for<float>(context_.device);
    Scores<float> s{.x = x, .y = atoms_.y.view(), .v = hard_, .y_digits = atoms_.digits.get()};
    passes.hardmin(s, scores, columns, context_);
    std::vector<std::int32_t> plan(static_cast<std::size_t>(x.rows));
    s.v = soft_;
    if (problem_.epsilon > 0)
      passes.sample(s, static_cast<float>(problem_.epsilon), draws_, static_cast<std::uint64_t>(first), plan, context_);
    for (Index i = 0; i < x.rows; ++i) {
      const Index j = problem_.epsilon > 0 ? plan[static_cast<std::size_t>(i)] : columns(i, 0), d = x.cols;
      counts_[static_cast<std::size_t>(j)] += 1;
      if (problem_.source)
        offset[i] = (squared_ ? 0.5 * dot(x.row(i), x.row(i), d) : 0.0) - dot(x.row(i), atoms_.centre);
      own_.add(offset[i] - dot(x.row(i), atoms_.y.view().row(j), d));
    }
  }

  std::vector<double> mean_of_atoms(const std::vector<double>& weights) const {
    std::vector<double> mean(static_cast<std::size_t>(atoms_.dimensions()), 0.0);
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (std::size_t j = 0; j < weights.size() && total > 0; ++j) {
      if (weights[j] <= 0) continue;
      const float* y = atoms_.y.view().row(static_cast<Index>(j));
      for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += weights[j] / total * static_cast<double>(y[k]);
    }
    return mean;
  }

  const SemidualProblem& problem_;
  const AtomSet& atoms_;
  const SemidiscreteOptions& options_;
  const bool squared_;
  const Rng noise_, draws_;
  const std::vector<float> hard_, soft_;
  Context context_;
  double mean_potential_ = 0, done_ = 0;
  std::vector<double> counts_;
  Mean own_, dual_, primal_;
};

}  // namespace

Index check_rows(Index atoms, const SemidiscreteOptions& options) {
  const double wanted = options.check_samples > 0
                            ? options.check_samples
                            : samples_for_error(static_cast<double>(atoms), options.tolerance, options.tolerance / 17);
  require(wanted <= most_check_samples, "semidiscrete: ",
          options.check_samples > 0
              ? concat("check_samples is ", options.check_samples)
              : concat("the check of a tolerance of ", options.tolerance, " takes ", wanted, " noise vectors"),
          ", more than ", most_check_samples);
  return static_cast<Index>(std::max(1024.0, std::ceil(wanted)));
}

// Lower bound: the dual value of v, whose expectation over x is below the optimum for any v. Upper bound: the fresh
// noise, as an empirical law, is coupled to the exact weights; optimal transport is convex in the law, so the expected
// cost of any such plan is above the optimum. Each end has 97.5% on its side, so both hold at 95%.
Check check_semidual(const SemidualProblem& problem, const std::vector<double>& v, const SemidiscreteOptions& options,
                     int attempt) {
  return Checker(problem, v, options, attempt).run();
}

}  // namespace monge::ot::detail
