#include <algorithm>
#include <cmath>
#include <utility>

#include "monge/ot/blocks.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/on_device.h"
#include "monge/ot/recombine.h"
#include "monge/ot/score_tree.h"
#include "monge/ot/semidiscrete_fit.h"

namespace monge::ot::detail {
namespace {

// What a group of rows gives the atoms it reaches, by column.
using GroupMass = std::vector<std::pair<std::int32_t, double>>;

// Sums masses by atom, and the squares within each group, so that chi-square counts only collisions between groups.
class MassSum {
 public:
  explicit MassSum(const std::vector<double>& b) : b_(b), total_(b.size(), 0.0) {}

  void add(const GroupMass& group, Index rows) {
    for (const auto& [column, mass] : group) {
      const auto j = static_cast<std::size_t>(column);
      total_[j] += mass;
      within_ += mass * mass / b_[j];
    }
    rows_ += rows;
    pairs_within_ += static_cast<double>(rows) * static_cast<double>(rows);
  }

  double chi2() const {
    double all = 0;
    for (std::size_t j = 0; j < b_.size(); ++j) all += total_[j] * total_[j] / b_[j];
    const double pairs = static_cast<double>(rows_) * static_cast<double>(rows_) - pairs_within_;
    return pairs > 0 ? (all - within_) / pairs - 1 : 0.0;
  }

  Index rows() const { return rows_; }
  std::vector<double>& total() { return total_; }

 private:
  const std::vector<double>& b_;
  std::vector<double> total_;
  double within_ = 0, pairs_within_ = 0;
  Index rows_ = 0;
};

// Mean of an exponential law seen only up to a limit: total time over number of events. Without a limit, of those seen.
struct GapMean {
  double total = 0;
  Index seen = 0;

  void add(double gap, double limit) {  // infinity when alone
    if (std::min(gap, limit) < HUGE_VAL) total += std::min(gap, limit);
    seen += gap < limit;
  }
  void add(const GapMean& other) {
    total += other.total;
    seen += other.seen;
  }
  double mean() const { return seen > 0 ? total / static_cast<double>(seen) : 0.0; }
};

// What the candidates of one group of rows come to.
struct GroupSum {
  GroupMass masses;
  GapMean gaps, widths;
  std::vector<Link> links;
  Index crowded = 0;

  GroupSum() = default;
  // scores, columns: as recombined_candidates and ScoreTree give them.
  GroupSum(MatrixView<const double> scores, MatrixView<const std::int32_t> columns, const BatchPlan& plan,
           const AtomDistance& distance) {
    const auto temperature = [&](std::int32_t j, std::int32_t k) {
      return plan.width > 0 ? plan.width * distance(j, k) : plan.epsilon;
    };
    std::vector<double> share(static_cast<std::size_t>(columns.cols));
    for (Index i = 0; i < columns.rows; ++i) {
      if (columns(i, 0) < 0) continue;
      double total = 1, border = HUGE_VAL;
      Index count = 1;
      share[0] = 1;
      for (; count < columns.cols && columns(i, count) >= 0; ++count) {
        const double below = scores(i, 0) - scores(i, count), epsilon = temperature(columns(i, 0), columns(i, count));
        share[count] = epsilon > 0 ? std::exp(-below / epsilon) : 0.0;
        total += share[count];
        if (plan.links) border = std::min(border, below / distance(columns(i, 0), columns(i, count)));
      }
      for (Index k = 0; k < count; ++k) {
        share[k] /= total;
        if (share[k] > 0) masses.emplace_back(columns(i, k), share[k]);
      }
      if (plan.links) link(columns.row(i), share, count, temperature);
      if (plan.links) widths.add(border, plan.width > 0 ? BatchPlan::reach * plan.width : HUGE_VAL);
      if (plan.window > 0 && plan.width == 0) gaps.add(count > 1 ? scores(i, 0) - scores(i, 1) : HUGE_VAL, plan.window);
      crowded += count == columns.cols;
    }
    merge();
  }

 private:
  template <class Temperature>
  void link(const std::int32_t* columns, const std::vector<double>& share, Index count,
            const Temperature& temperature) {
    constexpr double least = 1e-3;  // what is below does not add up to much
    for (Index k = 1; k < count; ++k) {
      for (Index l = 0; l < k; ++l) {
        const double both = share[k] * share[l];
        if (both >= least)
          links.push_back({std::min(columns[k], columns[l]), std::max(columns[k], columns[l]),
                           both / temperature(columns[k], columns[l])});
      }
    }
  }

  // One entry for each column, in their order.
  void merge() {
    std::stable_sort(masses.begin(), masses.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::size_t kept = 0;
    for (const auto& entry : masses) {
      if (kept > 0 && masses[kept - 1].first == entry.first)
        masses[kept - 1].second += entry.second;
      else
        masses[kept++] = entry;
    }
    masses.resize(kept);
  }
};

// Noise is made, and its candidates are found, on the device; what comes back are these.
BatchMass sparse_batch(const SemidualProblem& problem, const std::vector<float>& biases,
                       const std::vector<double>& target, Index rows, const BatchPlan& plan, const Rng& rng,
                       std::uint64_t& next_row, const Context& context) {
  constexpr Index keep = 16, slab_groups = 64;
  const Rng noise = rng.substream(0), signs = rng.substream(1), labels = rng.substream(2);
  const Index sets = std::max<Index>(1, plan.rounds), group = group_rows * sets;
  Index groups = (rows + group - 1) / group;
  const OnDevice<float> v(biases, context.device);
  const OnDevice<std::int32_t> atom_labels(problem.atoms.labels, context.device);
  const AtomDistance distance(problem.atoms);
  MassSum sum(target);
  GapMean gaps, widths;
  BatchMass batch;
  Index crowded = 0;
  std::size_t links = 1 << 16;
  for (; groups > 0; groups -= std::min(groups, slab_groups)) {
    Matrix<float> x(std::min(groups, slab_groups) * group_rows, problem.atoms.dimensions(), context.device);
    const std::vector<std::int32_t> row_labels =
        problem.draw_labels(labels, next_row * static_cast<std::uint64_t>(sets), x.rows() * sets);
    draw(problem.source, noise, next_row, row_labels, x.view(), context);
    Recombination r{.x = x.view(),
                    .y = problem.atoms.y.view(),
                    .v = v,
                    .y_ready = problem.atoms.ready.get(),
                    .rounds = plan.rounds,
                    .signs = signs,
                    .first_group = next_row / group_rows,
                    .window = static_cast<float>(plan.window)};
    if (problem.is_labelled()) {
      r.row_labels = row_labels;
      r.col_labels = atom_labels;
      r.label_penalty = static_cast<float>(problem.label_penalty);
    }
    Matrix<double> scores(r.rows(), keep);
    Matrix<std::int32_t> columns(r.rows(), keep);
    if (problem.tree && plan.width > 0) {
      problem.tree->find_near(r.x, r.row_labels, BatchPlan::reach * plan.width, scores.view(), columns.view(), context);
    } else if (problem.tree) {
      problem.tree->find(r.x, r.row_labels, plan.window, scores.view(), columns.view(), context);
    } else {
      Matrix<float> rounded(r.rows(), keep);
      recombined_candidates(r, rounded.view(), columns.view(), context);
      std::copy_n(rounded.data(), r.rows() * keep, scores.data());
    }
    next_row += static_cast<std::uint64_t>(x.rows());
    batch.gemm_rows += x.rows();
    std::vector<GroupSum> sums(static_cast<std::size_t>(r.groups()));
    parallel_for(threads_worth(context.threads, 16 * r.rows()), r.groups(), [&](Index q, int) {
      sums[q] = GroupSum(std::as_const(scores).view().rows_from(q * group, group),
                         std::as_const(columns).view().rows_from(q * group, group), plan, distance);
    });
    for (const GroupSum& one : sums) {
      sum.add(one.masses, group);
      gaps.add(one.gaps);
      widths.add(one.widths);
      crowded += one.crowded;
      batch.links.insert(batch.links.end(), one.links.begin(), one.links.end());
    }
    if (batch.links.size() > 4 * links) {  // now and then, so as not to hold those of all rows
      merge_links(batch.links, problem.atoms.size());
      links = std::max(links, batch.links.size());
    }
  }
  if (!batch.links.empty()) merge_links(batch.links, problem.atoms.size());
  batch.rows = sum.rows();
  batch.chi2 = sum.chi2();
  batch.mean_gap = gaps.mean();
  batch.mean_width = widths.mean();
  batch.crowded = static_cast<double>(crowded) / static_cast<double>(batch.rows);
  batch.mass = std::move(sum.total());
  return batch;
}

template <class T>
Matrix<T> rows_of(MatrixView<const T> points, const std::vector<std::int32_t>& rows) {
  Matrix<T> some(static_cast<Index>(rows.size()), points.cols);
  for (Index i = 0; i < some.rows(); ++i)
    std::copy_n(points.row(rows[static_cast<std::size_t>(i)]), points.cols, some.view().row(i));
  return some;
}

BatchMass dense_batch(const SemidualProblem& problem, const std::vector<float>& biases,
                      const std::vector<double>& target, Index rows, const BatchPlan& plan, const Rng& rng,
                      std::uint64_t& next_row, const Context& context) {
  constexpr Index chunks = 8;  // independent parts, for the chi-square
  const Rng noise = rng.substream(0), labels = rng.substream(2);
  const Index chunk = (rows + chunks - 1) / chunks;
  auto& passes = passes_for<float>(context.device);
  MassSum sum(target);
  const OnDevice<float> v(biases, context.device);
  Matrix<float> x(chunk, problem.atoms.dimensions(), context.device);
  Buffer<float> f(chunk, context.device);
  std::vector<double> mass(target.size());
  GroupMass masses;
  for (Index c = 0; c < chunks; ++c) {
    const std::vector<std::int32_t> row_labels = problem.draw_labels(labels, next_row, chunk);
    draw(problem.source, noise, next_row, row_labels, x.view(), context);
    next_row += static_cast<std::uint64_t>(chunk);
    const Scores<float> s = scores_of(problem, x.view(), row_labels, v);
    passes.softmin(s, static_cast<float>(plan.epsilon), f.view(), context);
    passes.histogram(s, static_cast<float>(plan.epsilon), f.view(), {}, mass, context);
    masses.clear();
    for (std::size_t j = 0; j < mass.size(); ++j) masses.emplace_back(static_cast<std::int32_t>(j), mass[j]);
    sum.add(masses, chunk);
  }
  BatchMass batch;
  batch.rows = batch.gemm_rows = sum.rows();
  batch.chi2 = sum.chi2();
  batch.mass = std::move(sum.total());
  return batch;
}

}  // namespace

AtomDistance::AtomDistance(const AtomSet& atoms) : y_(atoms.exact.view()) {
  double largest = 0;
  for (Index j = 0; j < y_.rows; ++j) largest = std::max(largest, dot(y_.row(j), y_.row(j), y_.cols));
  least_ = std::max(1e-12 * std::sqrt(largest), 1e-300);
}

double AtomDistance::operator()(std::int32_t j, std::int32_t k) const {
  double square = 0;
  for (Index c = 0; c < y_.cols; ++c) square += (y_(j, c) - y_(k, c)) * (y_(j, c) - y_(k, c));
  return std::max(least_, std::sqrt(square));
}

BatchMass assign_batch(const SemidualProblem& problem, const std::vector<double>& v, Index rows, const BatchPlan& plan,
                       const Rng& rng, std::uint64_t& next_row, const Context& context) {
  const std::vector<float> biases = score_biases(problem.atoms, problem.epsilon, v);
  std::vector<double> masses = target(problem, v).mass;
  if (problem.tree) problem.tree->set_biases(v, context);
  BatchMass batch = plan.dense ? dense_batch(problem, biases, masses, rows, plan, rng, next_row, context)
                               : sparse_batch(problem, biases, masses, rows, plan, rng, next_row, context);
  batch.target = std::move(masses);
  return batch;
}

std::vector<double> shortfalls(const SemidualProblem& problem, const std::vector<double>& v,
                               const std::vector<std::int32_t>& atoms, const Rng& rng, std::uint64_t first, Index rows,
                               const Context& context) {
  constexpr Index most = 32;
  const AtomSet& all = problem.atoms;
  const Index d = all.dimensions(), count = static_cast<Index>(atoms.size());
  const Rng noise = rng.substream(0);
  const std::vector<std::int32_t> labels = problem.draw_labels(rng.substream(2), first, rows);
  const bool away = context.device.type != DeviceType::cpu;
  Matrix<float> x(rows, d), there(away ? rows : 0, d, context.device);
  Matrix<double> best(rows, 1);
  draw(problem.source, noise, first, labels, x.view(), context);
  if (away) draw(problem.source, noise, first, labels, there.view(), context);
  const std::vector<float> biases = score_biases(all, 0, v);
  const OnDevice<float> biases_there(biases, context.device);
  if (problem.tree) problem.tree->set_biases(v, context);
  Matrix<std::int32_t> columns(rows, 1);
  best_scores(problem, scores_of(problem, away ? there.view() : x.view(), labels, biases_there), best.view(),
              columns.view(), context);

  // The atoms look for the noise that they come closest to winning, <x, y_j> + v_j being short of the best of all.
  std::vector<double> prices;
  for (Index i = 0; i < rows; ++i) prices.push_back(-best(i, 0));
  std::vector<std::int32_t> own_labels;
  for (const std::int32_t j : atoms)
    if (problem.is_labelled()) own_labels.push_back(all.labels[static_cast<std::size_t>(j)]);
  Matrix<double> scores(count, std::min(most, rows));
  Matrix<std::int32_t> nearest(count, scores.cols());
  if (problem.tree) {
    ScoreTree tree(std::as_const(x).view(), labels, context);
    tree.set_biases(prices, context);
    tree.find(rows_of<double>(all.exact.view(), atoms).view(), own_labels, HUGE_VAL, scores.view(), nearest.view(),
              context);
  } else {
    const Matrix<float> y = rows_of<float>(all.y.view(), atoms);
    const std::vector<float> rounded(prices.begin(), prices.end());
    Matrix<float> rounded_scores(count, scores.cols());
    Scores<float> s{.x = y.view(), .y = std::as_const(x).view(), .v = rounded};
    if (problem.is_labelled()) {
      s.row_labels = own_labels;
      s.col_labels = labels;
      s.label_penalty = static_cast<float>(problem.label_penalty);
    }
    Context here = context;
    here.device = {};
    passes_for<float>(here.device).hardmin(s, rounded_scores.view(), nearest.view(), here);
    std::copy_n(rounded_scores.data(), count * scores.cols(), scores.data());
  }
  const std::vector<double> share = target(problem, v).mass;
  std::vector<double> rise;
  for (Index a = 0; a < count; ++a) {
    const auto j = static_cast<std::size_t>(atoms[static_cast<std::size_t>(a)]);
    const double due = std::ceil(0.5 * share[j] * static_cast<double>(rows));
    const double score = scores(a, static_cast<Index>(std::min(due, static_cast<double>(scores.cols()))) - 1);
    rise.push_back(score == -HUGE_VAL ? 0.0 : std::max(0.0, -score - v[j]));
  }
  return rise;
}

}  // namespace monge::ot::detail
