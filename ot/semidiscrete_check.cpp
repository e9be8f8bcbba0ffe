#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "monge/ot/blocks.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/on_device.h"
#include "monge/ot/product_error.h"
#include "monge/ot/score_tree.h"
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

// The best columns of every row, from which a plan with the right marginals is built.
struct Ranked {
  Matrix<double> scores;
  Matrix<std::int32_t> columns;
};

// What rows pay: c_ij of what was placed (-<x_i, y_j>, plus a penalty), and some function of the atoms, `level`_j.
struct Paid {
  std::vector<double> cost, level;
};

// Gives each row's mass to its best columns as far as their capacity lasts, best choices of all rows first. `left` is
// what was not placed.
void fill_greedily(const Ranked& ranked, const std::vector<double>& biases, const std::vector<double>& level,
                   std::vector<double>& capacity, Paid& paid, std::vector<double>& left) {
  for (Index k = 0; k < ranked.columns.cols(); ++k) {
    for (Index i = 0; i < ranked.columns.rows(); ++i) {
      if (ranked.scores(i, k) == -HUGE_VAL) continue;  // forbidden, whatever the room
      const auto row = static_cast<std::size_t>(i), j = static_cast<std::size_t>(ranked.columns(i, k));
      const double mass = std::min(left[row], capacity[j]);
      if (mass <= 0) continue;
      left[row] -= mass;
      capacity[j] -= mass;
      paid.cost[row] += mass * (biases[j] - ranked.scores(i, k));
      paid.level[row] += mass * level[j];
    }
  }
}

// On a line: rows and atoms in their order, which is the best plan there is.
void fill_in_order(const std::vector<float>& x, const AtomSet& atoms, const std::vector<double>& level,
                   std::vector<double>& capacity, Paid& paid, std::vector<double>& left) {
  const double* y = atoms.exact.data();
  std::vector<std::size_t> rows(x.size()), columns(capacity.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  std::iota(columns.begin(), columns.end(), std::size_t{0});
  std::sort(rows.begin(), rows.end(), [&](std::size_t a, std::size_t b) { return x[a] < x[b]; });
  std::sort(columns.begin(), columns.end(), [&](std::size_t a, std::size_t b) { return y[a] < y[b]; });
  for (std::size_t r = 0, c = 0; r < rows.size() && c < columns.size();) {
    const std::size_t i = rows[r], j = columns[c];
    const double mass = std::min(left[i], capacity[j]);
    left[i] -= mass;
    capacity[j] -= mass;
    paid.cost[i] -= mass * static_cast<double>(x[i]) * y[j];
    paid.level[i] += mass * level[j];
    if (left[i] <= 0) ++r;
    if (capacity[j] <= 0) ++c;
  }
}

// Looks at the potentials through fresh noise, some of it at a time.
class Checker {
 public:
  Checker(const SemidualProblem& problem, const std::vector<double>& v, const SemidiscreteOptions& options, int attempt,
          double seconds)
      : seconds_(seconds),
        problem_(problem),
        atoms_(problem.atoms),
        options_(options),
        squared_(options.cost == Cost::squared_euclidean),
        noise_(Rng{options.seed}.substream(4 + 8 * static_cast<std::uint64_t>(attempt))),
        draws_(Rng{options.seed}.substream(5 + 8 * static_cast<std::uint64_t>(attempt))),
        labels_(Rng{options.seed}.substream(6 + 8 * static_cast<std::uint64_t>(attempt))),
        rounded_(v.begin(), v.end()),
        hard_(problem.tree ? v : std::vector<double>(rounded_.begin(), rounded_.end())),
        soft_(score_biases(problem.atoms, problem.epsilon, v)),
        rounded_there_(rounded_, options.context.device),
        soft_there_(soft_, options.context.device),
        target_(target(problem, hard_)),
        counts_(v.size(), 0.0) {}

  Check run() {
    Check check;
    const Stop stop([&] { return go_on(); });
    context_ = options_.context;
    context_.stop = &stop;
    if (problem_.tree) problem_.tree->set_biases(hard_, context_);
    check.stopped = !finishes([&] {
      const Index rows = check_rows(atoms_.size(), options_), blocks = (rows + most_rows - 1) / most_rows;
      Index first = 0;
      for (Index k = 0; first < rows; ++k) {
        Index count = rows * (k + 1) / blocks - first;
        if (seconds_ < HUGE_VAL) count = std::min({rows - first, std::max(least_rows, first), most_rows});
        look_at(first, count);
        first += count;
        done_ = static_cast<double>(first) / static_cast<double>(rows);
        if (!go_on()) stop.request();
        stop.look();
        check.cut_short = first < rows && late(first, count);
        if (check.cut_short) break;
      }
    });
    if (check.stopped) return check;

    const std::vector<double>& mass = target_.mass;
    double mean_potential = 0;
    for (std::size_t j = 0; j < mass.size(); ++j) mean_potential += mass[j] * hard_[j];
    const double factor = squared_ ? 2 : 1;
    check.marginal = marginal_error(counts_, mass);
    check.cost = factor * own_.mean();
    check.cost_error = factor * z95 * own_.error();
    // Of masses m_j = b_j exp(-g_j / tau) KL(m | b) charges -<m, g>, which leaves of both ends the constant in g.
    check.lower = factor * (dual_.mean() - z95 * dual_.error() - target_.constant);
    // Rows share the atoms' capacities, so their costs alone do not say how far the mean may be off. It is no less than
    // the dual value of the same noise, whose rows are independent.
    const double error = std::max(dual_.error(), std::min(primal_.error(), centred_.error()));
    check.upper = factor * (primal_.mean() + z95 * error - mean_potential - target_.constant);
    check.lower -= factor * rounding();
    check.upper += factor * rounding();
    if (squared_) check.lower = std::max(0.0, check.lower);  // no cost is negative, nor a price of masses
    if (!complete_) check.upper = HUGE_VAL;
    return check;
  }

 private:
  static constexpr Index most_rows = 1 << 17, least_rows = 1024;  // coupled to the atoms at a time

  // What floats may take from a mean cost: products as docs/passes.md bounds them, biases half a unit, and atoms that
  // were rounded after centring.
  double rounding() const {
    constexpr double u = 0x1p-24;
    std::vector<double> norms(static_cast<std::size_t>(atoms_.size())), given(norms.size());
    parallel_for(options_.context.threads, (atoms_.size() + 1023) / 1024, [&](Index block, int) {
      for (Index j = 1024 * block; j < std::min(atoms_.size(), 1024 * (block + 1)); ++j) {
        const float* y = atoms_.y.view().row(j);
        norms[j] = dot(y, y, atoms_.dimensions()), given[j] = atoms_.squared_norm(j);
      }
    });
    const double longest = std::sqrt(*std::max_element(norms.begin(), norms.end()));
    const double farthest = std::sqrt(*std::max_element(given.begin(), given.end()));
    double largest = 0;
    for (const double v : hard_)
      if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
    return u * ((3 + product_error(atoms_.dimensions())) * lengths_.mean() * longest + 2 * largest +
                (squared_ ? longest * farthest : 0.0));
  }

  // Whether as many rows again as there were last would take too long.
  bool late(Index done, Index last) const {
    const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    return spent * (1 + static_cast<double>(std::max(last, std::min(done, most_rows))) / static_cast<double>(done)) >
           seconds_;
  }

  bool go_on() const {
    if (options_.context.stop && options_.context.stop->requested()) return false;
    return !options_.on_step || options_.on_step({.checking = true, .progress = done_});
  }

  // Of each row, 1 on average: the rows of one label have together what that label has.
  std::vector<double> row_masses(VectorView<const std::int32_t> labels) {
    std::vector<double> seen(problem_.labels.shares().size(), 0.0), mass;
    for (const std::int32_t label : labels) seen[static_cast<std::size_t>(problem_.labels.place(label))] += 1;
    complete_ &= std::find(seen.begin(), seen.end(), 0.0) == seen.end();
    for (const std::int32_t label : labels) {
      const auto k = static_cast<std::size_t>(problem_.labels.place(label));
      mass.push_back(problem_.labels.shares()[k].share * static_cast<double>(labels.size) / seen[k]);
    }
    return mass;
  }

  // A block of rows, an empirical law that is coupled to the exact masses.
  void look_at(Index first, Index rows) {
    constexpr Index chunk = 4096;
    const Index d = atoms_.dimensions(), ranks = std::min<Index>(32, atoms_.size());
    Ranked ranked{Matrix<double>(rows, ranks), Matrix<std::int32_t>(rows, ranks)};
    // In units of the inner product: c = offset_i - <x_i, y_j> with centred y, plus a part of the atoms alone. What is
    // constant in expectation for the standard normal is not left to chance.
    std::vector<double> offset(static_cast<std::size_t>(rows),
                               squared_ && !problem_.source ? 0.5 * static_cast<double>(d) : 0.0);
    const std::vector<std::int32_t> labels = problem_.draw_labels(labels_, static_cast<std::uint64_t>(first), rows);
    const auto labels_from = [&](Index k, Index count) {
      return VectorView<const std::int32_t>{labels.data() + k, labels.empty() ? 0 : count, {}};
    };
    std::vector<double> x_sum(static_cast<std::size_t>(d), 0.0);
    const bool in_order = d == 1 && !problem_.is_labelled();
    std::vector<float> on_line;  // the noise, if so
    // A device scores noise of its own, of the same bits; what costs are made of in double is the CPU's.
    const bool away = context_.device.type != DeviceType::cpu;
    Matrix<float> x(std::min(chunk, rows), d), there(away ? x.rows() : 0, d, context_.device);
    for (Index k = 0; k < rows; k += chunk) {
      const Index count = std::min(chunk, rows - k);
      const MatrixView<float> xs = x.view().rows_from(0, count);
      const MatrixView<float> scored = away ? there.view().rows_from(0, count) : xs;
      const VectorView<const std::int32_t> of_rows = labels_from(k, count);
      draw(problem_.source, noise_, static_cast<std::uint64_t>(first + k), of_rows, xs, context_);
      if (away) draw(problem_.source, noise_, static_cast<std::uint64_t>(first + k), of_rows, scored, context_);
      for (Index i = 0; i < count; ++i) {
        lengths_.add(std::sqrt(dot(xs.row(i), xs.row(i), d)));
        for (Index c = 0; c < d; ++c) x_sum[static_cast<std::size_t>(c)] += static_cast<double>(xs(i, c));
        if (in_order) on_line.push_back(xs(i, 0));
      }
      match(first + k, xs, scored, of_rows, ranked.scores.view().rows_from(k, count),
            ranked.columns.view().rows_from(k, count), offset.data() + k);
    }

    const std::vector<double> level = mean_products(x_sum, static_cast<double>(rows));
    std::vector<double> left(offset.size(), 1.0), capacity(target_.mass);
    Paid primal{offset, std::vector<double>(offset.size(), 0.0)};
    if (problem_.is_labelled()) left = row_masses(labels);
    for (std::size_t i = 0; i < left.size(); ++i) primal.cost[i] *= left[i];
    for (double& c : capacity) c *= static_cast<double>(rows);
    if (in_order)
      fill_in_order(on_line, atoms_, level, capacity, primal, left);
    else
      fill_greedily(ranked, hard_, level, capacity, primal, left);
    // What found no room goes to the remaining capacity in proportion: its cost needs only the mean of the free atoms.
    const Rest rest(*this, capacity, level);
    for (Index k = 0; k < rows; k += chunk) {
      const Index count = std::min(chunk, rows - k);
      draw(problem_.source, noise_, static_cast<std::uint64_t>(first + k), labels_from(k, count),
           x.view().rows_from(0, count), context_);
      for_blocks(count, d, [&](Index, Index begin, Index end) {
        for (Index i = begin; i < end; ++i) {
          const auto row = static_cast<std::size_t>(k + i);
          if (left[row] <= 0) continue;
          const std::int32_t label = labels.empty() ? 0 : labels[row];
          primal.cost[row] += left[row] * rest.cost(x.view().row(i), label);
          primal.level[row] += left[row] * rest.level(label);
        }
      });
      for (Index i = 0; i < count; ++i) {
        const auto row = static_cast<std::size_t>(k + i);
        primal_.add(primal.cost[row]);
        centred_.add(primal.cost[row] + primal.level[row]);
        dual_.add(offset[row] - ranked.scores(k + i, 0));
      }
    }
  }

  // <mean of x, y_j> less its mean under the masses. Masses being exact, it changes no mean cost, but takes from the
  // costs' spread what a source far from the origin has of it. Zeros for the standard normal.
  std::vector<double> mean_products(const std::vector<double>& x_sum, double rows) const {
    std::vector<double> level(target_.mass.size(), 0.0);
    if (!problem_.source) return level;
    double mean = 0, total = 0;
    for (std::size_t j = 0; j < level.size(); ++j) {
      const float* y = atoms_.y.view().row(static_cast<Index>(j));
      for (std::size_t k = 0; k < x_sum.size(); ++k) level[j] += x_sum[k] / rows * static_cast<double>(y[k]);
      mean += target_.mass[j] * level[j];
      total += target_.mass[j];
    }
    for (double& value : level) value -= mean / total;
    return level;
  }

  // Hard scores give the bounds for any v; the plan of epsilon > 0 is drawn from its own softened scores. `scored`: x
  // on the device.
  void match(Index first, MatrixView<const float> x, MatrixView<const float> scored,
             VectorView<const std::int32_t> labels, MatrixView<double> scores, MatrixView<std::int32_t> columns,
             double* offset) {
    Scores<float> s = scores_of(problem_, scored, labels, rounded_there_);
    best_scores(problem_, s, scores, columns, context_);
    std::vector<std::int32_t> plan(static_cast<std::size_t>(x.rows));
    s.v = soft_there_;
    if (problem_.epsilon > 0)
      passes_for<float>(context_.device)
          .sample(s, static_cast<float>(problem_.epsilon), draws_, static_cast<std::uint64_t>(first), plan, context_);
    const auto atom = [&](Index i) {
      return static_cast<std::size_t>(problem_.epsilon > 0 ? plan[static_cast<std::size_t>(i)] : columns(i, 0));
    };
    std::vector<double> own(plan.size());
    for_blocks(x.rows, x.cols, [&](Index, Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        const Index d = x.cols;
        const std::size_t j = atom(i);
        if (problem_.source)
          offset[i] = (squared_ ? 0.5 * dot(x.row(i), x.row(i), d) : 0.0) - dot(x.row(i), atoms_.centre.data(), d);
        const bool unequal = problem_.is_labelled() && labels[i] != atoms_.labels[j];
        own[i] = offset[i] - dot(x.row(i), atoms_.y.view().row(static_cast<Index>(j)), d) +
                 (unequal ? problem_.label_penalty : 0.0) + (squared_ ? problem_.level[j] : 0.0);
      }
    });
    for (Index i = 0; i < x.rows; ++i) {
      counts_[atom(i)] += 1;
      own_.add(own[i]);
    }
  }

  // The capacity that is left: what it costs a row to go there in proportion, where it may only to atoms of its label.
  class Rest {
   public:
    Rest(const Checker& checker, const std::vector<double>& capacity, const std::vector<double>& level)
        : problem_(checker.problem_) {
      const AtomSet& atoms = problem_.atoms;
      const bool apart = problem_.is_labelled() && std::isinf(problem_.label_penalty);
      const std::size_t parts = apart ? problem_.labels.shares().size() : 1;
      const auto d = static_cast<std::size_t>(atoms.dimensions());
      std::vector<double> total(parts, 0.0);
      means_.assign(parts, std::vector<double>(d, 0.0));
      levels_.assign(parts, 0.0);
      shares_.assign(problem_.labels.shares().size(), 0.0);
      for (std::size_t j = 0; j < capacity.size(); ++j) {
        if (capacity[j] <= 0) continue;
        const Index place = problem_.is_labelled() ? problem_.labels.place(atoms.labels[j]) : -1;
        const std::size_t part = apart ? static_cast<std::size_t>(place) : 0;
        const float* y = atoms.y.view().row(static_cast<Index>(j));
        for (std::size_t k = 0; k < d; ++k) means_[part][k] += capacity[j] * static_cast<double>(y[k]);
        levels_[part] += capacity[j] * level[j];
        total[part] += capacity[j];
        if (place >= 0) shares_[static_cast<std::size_t>(place)] += capacity[j];
      }
      for (std::size_t p = 0; p < parts; ++p)
        for (double& coordinate : means_[p]) coordinate /= std::max(total[p], 1e-300);
      for (std::size_t p = 0; p < parts; ++p) levels_[p] /= std::max(total[p], 1e-300);
      for (double& share : shares_) share /= std::max(total[0], 1e-300);
    }

    double cost(const float* x, std::int32_t label) const {
      const Index place = problem_.labels.place(label), d = problem_.atoms.dimensions();
      if (means_.size() > 1) return -dot(x, means_[static_cast<std::size_t>(place)].data(), d);
      const double equal = place >= 0 && problem_.is_labelled() ? shares_[static_cast<std::size_t>(place)] : 1.0;
      return -dot(x, means_[0].data(), d) + (equal < 1 ? problem_.label_penalty * (1 - equal) : 0.0);
    }

    double level(std::int32_t label) const {
      return levels_[levels_.size() > 1 ? static_cast<std::size_t>(problem_.labels.place(label)) : 0];
    }

   private:
    const SemidualProblem& problem_;
    std::vector<std::vector<double>> means_;  // of the atoms left; one, or one per label
    std::vector<double> levels_;              // of theirs, the mean
    std::vector<double> shares_;              // of the capacity left, by label
  };

  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const double seconds_;
  const SemidualProblem& problem_;
  const AtomSet& atoms_;
  const SemidiscreteOptions& options_;
  const bool squared_;
  const Rng noise_, draws_, labels_;
  const std::vector<float> rounded_;
  const std::vector<double> hard_;  // potentials, as scores have them
  const std::vector<float> soft_;
  const OnDevice<float> rounded_there_, soft_there_;
  const Target target_;
  Context context_;
  double done_ = 0;
  bool complete_ = true;  // noise of every label was seen
  std::vector<double> counts_;
  Mean own_, dual_, primal_, centred_, lengths_;
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
                     int attempt, double seconds) {
  return Checker(problem, v, options, attempt, seconds).run();
}

}  // namespace monge::ot::detail
