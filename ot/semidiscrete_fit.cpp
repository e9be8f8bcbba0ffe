#include "monge/ot/semidiscrete_fit.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "monge/ot/core/stop.h"
#include "monge/ot/kd_tree.h"
#include "monge/ot/recombine.h"
#include "monge/ot/semidiscrete_ascent.h"
#include "monge/ot/semidiscrete_levels.h"

namespace monge::ot::detail {
namespace {

using Clock = std::chrono::steady_clock;

// The error of the averaged potentials falls between S^-1/2 and S^-1, so checks made at different S tell of one
// another.
struct Decay {
  double sum = 0, count = 0;
  void add(double chi2, double samples) { sum += chi2 * std::pow(samples, 0.75), ++count; }
  double at(double samples) const { return sum / count / std::pow(samples, 0.75); }
};

// Standard error of the fit's own looks at the average, as a share of the tolerance.
constexpr double look_error = 0.125;

// The temperature of the fit at epsilon = 0, in mean gaps between best and second best. Half a gap nearly halves the
// variance for a bias of the chi-square below 0.01, which grows as the fourth power: less for a sharper tolerance, and
// less again once the end was to be expected.
double smoothing(double tolerance, double samples) {
  return 0.5 * std::pow(std::min(1.0, tolerance / 0.05), 0.25) *
         std::sqrt(std::min(1.0, 2 / (tolerance * std::max(1.0, samples))));
}

// Recombination is exact for the standard normal alone, and saves nothing in a tree. More rounds where a GEMM row is
// dearer, fewer where the batch is too small to leave several independent groups.
Index rounds_for(const SemidualProblem& problem, double batch_rows) {
  if (problem.source || problem.tree) return 0;
  const Index d = problem.atoms.dimensions();
  const Index most = d <= 32 ? 8 : d <= 256 ? 16 : d <= 1536 ? 32 : 64;
  Index rounds = 1;
  while (2 * rounds <= most && batch_rows / static_cast<double>(64 * 2 * rounds) >= 8) rounds *= 2;
  return rounds > 1 ? rounds : 0;
}

// Assigns batches under the temperature that the fit has come to, and counts what that takes.
class Assigner {
 public:
  Assigner(const SemidualProblem& problem, const SemidiscreteOptions& options, double gap, Fit& fit)
      : problem_(problem), options_(options), fit_(fit), gap_(gap) {
    const auto n = static_cast<double>(problem.atoms.size());
    batch_rows_ = static_cast<Index>(std::max(8.0 * group_rows, 0.5 * n));
    plan_.rounds = rounds_for(problem, static_cast<double>(batch_rows_));
    fit_noise_ = Rng{options.seed}.substream(1), check_noise_ = Rng{options.seed}.substream(2);
  }

  // One batch of the ascent, softened at epsilon = 0 by a temperature in proportion to the measured gap. left: samples
  // per atom that may still be drawn.
  BatchMass batch(const std::vector<double>& v, double samples, double left = HUGE_VAL) {
    // A Newton step, which leads astray far from the end, is worth a larger batch.
    const double per_atom = std::min(left, std::max(4.0, 0.2 * samples));
    if (near_ && width_ == 0) width_ = measure_width(v);
    plan_.links = near_ && width_ > 0;
    Index rows = batch_rows_;
    if (plan_.links) rows = std::max(rows, static_cast<Index>(per_atom * static_cast<double>(problem_.atoms.size())));
    if (has_neighbours() && !measured_) rows = 1024;  // too many atoms share a row as yet
    last_row_ = fit_row_;
    const double smooth = smoothing(options_.tolerance, samples);
    plan_.width = plan_.links && measured_ && by_width(problem_) ? smooth * width_ : 0;
    BatchMass result = assign(v, rows, smooth * gap_, fit_noise_, fit_row_);
    if (measured_) start_from(result.chi2);
    if (plan_.width > 0 && result.mean_width > 0) width_ = 0.5 * (width_ + result.mean_width);
    const double gap = gap_;
    if (result.mean_gap > 0) gap_ = measured_ ? 0.5 * (gap_ + result.mean_gap) : result.mean_gap;
    if (measured_) width_ *= gap_ / gap;  // which is not measured where widths are
    measured_ |= result.mean_gap > 0;
    return result;
  }

  // What is known of the potentials to come. After a step that overshot the end is as near as before: it is taken back.
  void start_from(double chi2) { near_ |= !strayed_ && has_neighbours() && chi2 < (by_width(problem_) ? 5 : 1); }
  // No start was good.
  void expect_hardship() { hard_ = true; }
  // Whether steps take account of how neighbours' masses hang together. In few dimensions waves over many cells would
  // take for ever else; in more, where an atom has many neighbours, all of them near, steps of its own take less noise,
  // unless cells are of very different sizes.
  bool has_neighbours() const {
    const Index d = problem_.atoms.dimensions();
    return d >= 2 && d <= (hard_ ? KdTree::most_dims : 4);
  }
  // Neighbours are no help to this problem.
  void leave_neighbours() { near_ = false, strayed_ = true; }

  // A batch that is not softened, to compare starts.
  BatchMass look(const std::vector<double>& v) { return assign_hard(v, batch_rows_, fit_noise_, fit_row_); }

  // Chi-square of the marginal that v gives, with a standard error of so much of the tolerance.
  double check(const std::vector<double>& v) {
    const double tolerance = options_.tolerance;
    const double rows =
        samples_for_error(static_cast<double>(problem_.atoms.size()), tolerance, look_error * tolerance);
    return assign_hard(v, static_cast<Index>(std::ceil(rows)), check_noise_, check_row_).chi2;
  }

  // How much the potentials of these atoms have to rise for them to get some of the last batch.
  std::vector<double> shortfalls(const std::vector<double>& v, const std::vector<std::int32_t>& atoms) const {
    const Index rows =
        std::min(static_cast<Index>(fit_row_ - last_row_), 4 * std::max<Index>(256, problem_.atoms.size()));
    return detail::shortfalls(problem_, v, atoms, fit_noise_, last_row_, rows, options_.context);
  }

  double gap() const { return gap_; }
  double width() const { return width_; }  // as BatchMass::mean_width, once Newton's steps are taken

 private:
  // Without a temperature, but the problem's own.
  BatchMass assign_hard(const std::vector<double>& v, Index rows, const Rng& rng, std::uint64_t& row) {
    plan_.width = 0, plan_.links = false;
    return assign(v, rows, 0, rng, row);
  }

  double measure_width(const std::vector<double>& v) {
    constexpr Index rows = 1024;
    const BatchPlan plan{.window = HUGE_VAL, .links = true};
    const BatchMass batch = assign_batch(problem_, v, rows, plan, fit_noise_, fit_row_, options_.context);
    count(batch);
    return batch.mean_width;
  }

  BatchMass assign(const std::vector<double>& v, Index rows, double smooth, const Rng& rng, std::uint64_t& row) {
    const double target = problem_.epsilon;
    plan_.epsilon = target > 0 ? target : smooth;
    plan_.window = target > 0 ? 12 * target : 4 * smooth;
    BatchMass result = assign_batch(problem_, v, rows, plan_, rng, row, options_.context);
    if (target > 0 && !plan_.dense && result.crowded > 0.01) {
      plan_.dense = true;
      count(result);
      result = assign_batch(problem_, v, rows, plan_, rng, row, options_.context);
    }
    count(result);
    return result;
  }

  void count(const BatchMass& batch) {
    fit_.samples += static_cast<double>(batch.rows) / static_cast<double>(problem_.atoms.size());
    fit_.gemm_rows += static_cast<double>(batch.gemm_rows) / static_cast<double>(problem_.atoms.size());
  }

  const SemidualProblem& problem_;
  const SemidiscreteOptions& options_;
  Fit& fit_;
  BatchPlan plan_;
  Index batch_rows_ = 0;
  double gap_, width_ = 0;
  bool measured_ = false, near_ = false, strayed_ = false, hard_ = false;  // the gap; the end; from it; see above
  Rng fit_noise_, check_noise_;
  std::uint64_t fit_row_ = 0, check_row_ = 0, last_row_ = 0;
};

// Whether Newton's steps lead away, as they may where borders are known by one temperature alone. Then the ascent goes
// on from where they began, each atom for itself.
class Stray {
 public:
  // Before a step, by the batch that it is made of.
  bool look(const BatchMass& batch, const Ascent& ascent) {
    if (batch.links.empty()) return false;
    if (from_.empty()) from_ = ascent.current(), samples_ = ascent.samples(), chi2_ = batch.chi2;
    const bool off = batch.chi2 > std::max(2.0, 4 * chi2_);
    worse_ = off ? worse_ + 1 : 0;
    return worse_ >= patience;
  }
  const std::vector<double>& from() const { return from_; }
  double samples() const { return samples_; }

 private:
  static constexpr Index patience = 5;  // batches
  std::vector<double> from_;
  double samples_ = 0, chi2_ = 0;
  Index worse_ = 0;
};

}  // namespace

Fit fit_semidual(const SemidualProblem& problem, const SemidiscreteOptions& given,
                 const std::function<bool(const std::vector<double>&)>& accept, const std::vector<double>& known) {
  const auto start = Clock::now();
  const auto n = static_cast<double>(problem.atoms.size());
  const double tolerance = given.tolerance;
  Fit fit;
  if (problem.atoms.size() == 1) {
    fit.v = {0.0};
    fit.status = Status::converged;
    accept(fit.v);
    return fit;
  }

  // The caller is asked after every batch, and within long ones.
  SemidiscreteStep step;
  double checking = 0;  // seconds of final checks, no part of the fit
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count() - checking; };
  const auto go_on = [&] {
    step.seconds = seconds();
    if (given.context.stop && given.context.stop->requested()) return false;
    return !given.on_step || given.on_step(step);
  };
  const auto deadline = [&] {
    const double left = given.max_seconds - seconds();
    return given.max_seconds > 0 && left < 1e9
               ? Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(left))
               : Stop::never;
  };
  Stop stop(go_on, deadline());
  SemidiscreteOptions options = given;
  options.context.stop = &stop;

  double expected_end = 2 / tolerance, next_check = std::max(6.0, 1.4 / tolerance), strictness = 1;
  const ScoreScale scale = score_scale(problem, Rng{options.seed}.substream(3), given.context);
  Ascent ascent(problem, scale, expected_end);
  Assigner assigner(problem, options, ascent.mean_step(), fit);  // the gap of Gaussian scores, until it is measured
  Decay decay;
  const double budget =
      options.max_samples_per_atom > 0 ? options.max_samples_per_atom : std::max(600.0, 30 / tolerance) + 1e6 / n;
  const auto average = [&] {
    std::vector<double> v = ascent.average();
    recentre(v, problem.atoms.b);
    return v;
  };
  // The best that was looked at.
  double least_chi2 = HUGE_VAL, latest_chi2 = HUGE_VAL;
  std::vector<double> kept;
  const auto remember = [&](double chi2, std::vector<double> v) {
    latest_chi2 = chi2;
    if (chi2 < least_chi2) least_chi2 = chi2, kept = std::move(v);
  };
  // Whether the average will do: by what all looks at it have said so far, then by fresh noise.
  const auto good = [&](double latest) {
    remember(latest, average());
    decay.add(latest, ascent.samples());
    const double error = look_error * tolerance;
    const double chi2 = std::min(latest + error, decay.at(ascent.samples()));
    const double goal = strictness * (0.92 * tolerance - error / std::sqrt(decay.count));
    if (chi2 <= goal && latest <= strictness * 0.9 * tolerance) {
      const auto from = Clock::now();
      const bool accepted = accept(average());
      checking += std::chrono::duration<double>(Clock::now() - from).count();
      stop.rearm(deadline());
      if (accepted) return true;
      strictness *= 0.85;
    }
    expected_end = ascent.samples() * std::clamp(chi2 / goal, 1.12, 2.0);
    next_check = std::min(expected_end, 1.5 * ascent.samples());
    return false;
  };

  // A start is worth as many samples as it would have taken to come that close.
  const auto worth_of = [&](double chi2) {
    return std::min(expected_end, 24 * std::pow(0.05 / std::max(chi2, 0.1 * tolerance), 4.0 / 3));
  };
  // Atoms whose potentials were only guessed are worth less.
  const auto go_on_from = [&](std::vector<double> v, const std::vector<double>& guessed) {
    std::vector<double> worth(v.size());
    const double before = fit.samples, chi2 = assigner.check(v);
    assigner.start_from(chi2);
    for (std::size_t j = 0; j < v.size(); ++j)
      worth[j] = !guessed.empty() && std::isnan(guessed[j]) ? 8 : std::max(8.0, worth_of(chi2));
    ascent.start_from(std::move(v), worth);
    const bool done = good(chi2);
    next_check = ascent.samples() + std::max(5.0, fit.samples - before);  // a check of few atoms is dear
    return done;
  };
  const auto start_well = [&](std::vector<double> carried) {
    std::vector<std::vector<double>> starts = {std::move(carried), extreme_start(problem, scale)};
    if (!problem.source) starts.push_back(frozen_start(problem, scale, options.context));
    if (problem.source && problem.atoms.dimensions() <= 16 && problem.epsilon == 0)
      starts.push_back(quadratic_start(problem, scale));
    starts.push_back(quantile_start(problem, scale, Rng{options.seed}.substream(10), options.context));
    const bool on_line = !starts.back().empty();
    double least = HUGE_VAL, error = 0;
    std::vector<double> best;
    const auto compare = [&](std::vector<double> v) {
      const BatchMass batch = assigner.look(v);
      error = std::sqrt(2 * n) / static_cast<double>(batch.rows);
      if (batch.chi2 < least || best.empty()) least = batch.chi2, best = std::move(v);
    };
    for (std::vector<double>& v : starts)
      if (!v.empty()) compare(std::move(v));
    if (least > 0.5) {  // none knows the shape of this cloud
      assigner.expect_hardship();
      LevelsStart levels = levels_start(problem, options);
      fit.samples += levels.samples;
      fit.gemm_rows += levels.gemm_rows;
      if (!levels.v.empty()) compare(std::move(levels.v));
    }
    assigner.start_from(least);
    const double soft = assigner.batch(best, 0).chi2;  // measures the gap, too
    const double chi2 = assigner.has_neighbours() ? least : soft + 2 * error;
    if (on_line && least <= tolerance + 2 * error) return go_on_from(std::move(best), {});
    if (on_line) remember(assigner.check(best), best);
    const double worth = chi2 < 0.5 ? std::max(4.0, worth_of(chi2)) : 0;  // first, large steps would lead away from it
    ascent.start_from(std::move(best), std::vector<double>(problem.atoms.b.size(), worth));
    next_check = std::max(worth + 2, next_check);
    return false;
  };
  const auto carry_on = [&] {
    constexpr double changed = 0.2;  // chi-square of potentials that are known, but of quite another cloud
    std::vector<double> v = carried_start(problem, scale, known, options.context);
    if (assigner.look(v).chi2 > changed) return start_well(std::move(v));
    assigner.batch(v, 0);  // measures the gap
    return go_on_from(std::move(v), known);
  };

  // Steps find it hard to bring back a cell that has no noise left. They need not for a few, met by chance.
  const auto raise_lost = [&] {
    const std::vector<std::int32_t> lost = ascent.lost(0.02 * tolerance);
    if (problem.epsilon == 0 && !lost.empty()) ascent.raise(lost, assigner.shortfalls(ascent.current(), lost));
  };

  Stray stray;
  const auto ascend = [&] {
    if (known.empty() ? start_well({}) : carry_on()) return Status::converged;
    for (;;) {
      const BatchMass batch = assigner.batch(ascent.current(), ascent.samples(), budget - ascent.drawn());
      if (stray.look(batch, ascent)) {
        assigner.leave_neighbours();
        ascent.start_from(stray.from(), std::vector<double>(stray.from().size(), std::max(4.0, stray.samples())));
        next_check = std::max(next_check, ascent.samples() + 2);
        continue;
      }
      ascent.update(batch, assigner.gap(), assigner.width());
      raise_lost();
      step.samples_per_atom = fit.samples;
      step.chi2 = batch.chi2;
      step.progress = std::min(1.0, ascent.samples() / expected_end);
      if (!std::isfinite(batch.chi2)) return Status::numerical_failure;
      if (!go_on()) return Status::stopped_by_caller;
      if (options.max_seconds > 0 && seconds() >= options.max_seconds) return Status::time_limit;
      if (ascent.drawn() >= budget) return Status::iteration_limit;
      if (ascent.samples() >= next_check && good(assigner.check(ascent.average()))) return Status::converged;
    }
  };
  const bool finished = finishes([&] { fit.status = ascend(); });
  if (!finished)
    fit.status =
        options.max_seconds > 0 && seconds() >= options.max_seconds ? Status::time_limit : Status::stopped_by_caller;
  // What has come since the last look may be better; what was worse then is no longer taken for good.
  if (fit.status == Status::iteration_limit) finishes([&] { remember(assigner.check(ascent.average()), average()); });
  const bool astray = fit.status != Status::converged && latest_chi2 > least_chi2 + look_error * tolerance;
  fit.v = astray ? kept : average();
  return fit;
}

}  // namespace monge::ot::detail
