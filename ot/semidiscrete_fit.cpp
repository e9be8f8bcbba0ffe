#include "monge/ot/semidiscrete_fit.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "monge/ot/blocks.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/cpu/gemm.h"
#include "monge/ot/moments.h"
#include "monge/ot/recombine.h"

namespace monge::ot::detail {
namespace {

using Clock = std::chrono::steady_clock;

// z with P(N(0,1) > z) = p: Abramowitz and Stegun 26.2.23, then Newton on the logarithm.
double upper_quantile(double p) {
  if (p > 0.5) return -upper_quantile(1 - p);
  const double t = std::sqrt(-2 * std::log(p));
  double z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (int i = 0; i < 2; ++i) {
    const double tail = 0.5 * std::erfc(z * M_SQRT1_2);
    const double density = std::exp(-0.5 * z * z) * 0.3989422804014327;
    z += tail / density * std::log(tail / p);
  }
  return z;
}

// Mean and spread of each atom's score over the source, from which the start and the steps are made.
struct ScoreScale {
  std::vector<double> mean, deviation;
};

ScoreScale score_scale(const SemidualProblem& problem, const Rng& rng, const Context& context) {
  const AtomSet& atoms = problem.atoms;
  const Index n = atoms.size(), d = atoms.dimensions();
  ScoreScale scale{std::vector<double>(static_cast<std::size_t>(n), 0.0),
                   std::vector<double>(static_cast<std::size_t>(n))};
  Moments moments;
  if (problem.source) {
    Matrix<float> x(4096, d);
    draw(problem.source, rng, 0, x.view(), context);
    moments = cloud_moments(x.view(), {}, context);
  }
  const std::vector<float> covariance(moments.covariance.begin(), moments.covariance.end());
  constexpr Index block = 256;
  parallel_for(context.threads, (n + block - 1) / block, [&](Index k, int) {
    const Index first = k * block, count = std::min(block, n - first);
    const MatrixView<const float> y = atoms.y.view().rows_from(first, count);
    Matrix<float> spread(count, d);  // y, or times the covariance
    if (problem.source) cpu::gemm(1.0f, y, {covariance.data(), d, d}, spread.data(), d);
    for (Index i = 0; i < count; ++i) {
      const auto j = static_cast<std::size_t>(first + i);
      if (problem.source) scale.mean[j] = dot(y.row(i), moments.mean.data(), d);
      const double variance = dot(y.row(i), problem.source ? spread.view().row(i) : y.row(i), d);
      scale.deviation[j] = std::sqrt(std::max(0.0, variance));
    }
  });
  return scale;
}

double root_mean_square(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value * value;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

void recentre(std::vector<double>& v, const std::vector<double>& b) {
  double mean = 0;
  for (std::size_t j = 0; j < v.size(); ++j) mean += b[j] * v[j];
  for (double& value : v) value -= mean;
}

// Where the semidual's maximum would be if every atom met its own independent Gaussian scores: the extreme-value level
// of N draws, or above the freezing temperature of that random-energy model its free energy.
std::vector<double> extreme_start(const SemidualProblem& problem, const ScoreScale& scale) {
  const double epsilon = problem.epsilon;
  std::vector<double> v(scale.mean.size());
  for (std::size_t j = 0; j < v.size(); ++j) {
    const double b = problem.atoms.b[j], deviation = scale.deviation[j];
    const double freezing = std::sqrt(std::max(1e-12, 2 * std::log(1 / b)));
    v[j] = epsilon > deviation / freezing ? -0.5 * deviation * deviation / epsilon
                                          : -deviation * upper_quantile(b) - epsilon * std::log(b);
    v[j] -= scale.mean[j];
  }
  recentre(v, problem.atoms.b);
  return v;
}

// Where it would be between isotropic Gaussians: better where dimensions are few and scores far from independent.
std::vector<double> quadratic_start(const SemidualProblem& problem, const ScoreScale& scale) {
  const double spread = root_mean_square(scale.deviation) / std::sqrt(static_cast<double>(problem.atoms.dimensions()));
  std::vector<double> v(scale.mean.size());
  for (std::size_t j = 0; j < v.size(); ++j) {
    v[j] = -0.5 * scale.deviation[j] * scale.deviation[j] / std::max(spread, 1e-300) - scale.mean[j];
  }
  recentre(v, problem.atoms.b);
  return v;
}

// The ascent itself: per-atom steps, damped as 1/S, and an average weighted by S, S being the samples per atom so far.
class Ascent {
 public:
  Ascent(const SemidualProblem& problem, const ScoreScale& scale, double expected_end)
      : problem_(problem),
        expected_end_(expected_end),
        v_(extreme_start(problem, scale)),
        step_(v_.size()),
        sum_(v_.size()),
        trust_(v_.size(), 1.0),
        last_error_(v_.size()) {
    const double floor = 0.1 * root_mean_square(scale.deviation);
    for (std::size_t j = 0; j < v_.size(); ++j) {
      const double b = problem.atoms.b[j];
      step_[j] = std::max(scale.deviation[j], floor) / std::sqrt(std::max(1.0, 2 * std::log(1 / b)));
      mean_step_ += step_[j] / static_cast<double>(v_.size());
    }
  }

  void start_from(std::vector<double> v) { v_ = std::move(v); }

  // `gap`: mean distance between a row's best and second best score.
  void update(const BatchMass& batch, double gap) {
    const auto n = static_cast<double>(v_.size());
    const double per_atom = static_cast<double>(batch.rows) / n;
    samples_ += per_atom;
    const bool early = samples_ <= 4;
    // Scores of independent Gaussians are a step apart at the top. Where they crowd closer, as in low dimension, a cell
    // loses all its mass within a few gaps.
    const double crowding = std::min(1.0, 4 * gap / mean_step_);
    // 1/S is best where every direction of v has converged by the expected end. Long waves over many crowded cells have
    // not; slower decay, with the average, then serves them.
    const double late = std::sqrt(std::max(1.0, samples_ / (crowding < 1 ? 4 : expected_end_)));
    const double damping = early ? 1.0 : std::min(1.0, 2 * per_atom / samples_ * late);
    for (std::size_t j = 0; j < v_.size(); ++j) {
      const double expected = problem_.atoms.b[j] * static_cast<double>(batch.rows);
      const double gain = early ? 1.0 : std::min(1 + 1 / expected, 1 + 1 / per_atom);
      // The logarithm tames the first, large errors; near the end its mean would depend on how an atom's mass scatters.
      const double mass = batch.mass[j];
      const double error = samples_ <= 8 ? std::log((expected + 1) / (mass + 1)) : (expected - mass) / (expected + 1);
      const double step = std::hypot(crowding * step_[j], problem_.epsilon);
      v_[j] += damping * gain * trust(j, error, expected) * step * error;
    }
    recentre(v_, problem_.atoms.b);
    if (early && per_atom < 1) return;
    weight_ += samples_;
    for (std::size_t j = 0; j < v_.size(); ++j) sum_[j] += samples_ * v_[j];
  }

  const std::vector<double>& current() const { return v_; }
  std::vector<double> average() const {
    if (weight_ == 0) return v_;
    std::vector<double> mean(sum_);
    for (double& value : mean) value /= weight_;
    return mean;
  }
  double samples() const { return samples_; }
  double mean_step() const { return mean_step_; }

 private:
  // A step that overshoots, beyond the noise, is halved for that atom; one that falls short grows back.
  double trust(std::size_t j, double error, double expected) {
    if (std::abs(error) > 2 / std::sqrt(expected + 1)) {
      const bool overshot = error * last_error_[j] < 0;
      trust_[j] = overshot ? 0.5 * trust_[j] : std::min(1.0, 1.2 * trust_[j]);
      last_error_[j] = error;
    }
    return trust_[j];
  }

  const SemidualProblem& problem_;
  double expected_end_;
  std::vector<double> v_, step_, sum_, trust_, last_error_;
  double mean_step_ = 0, samples_ = 0, weight_ = 0;
};

// The error of the averaged potentials falls between S^-1/2 and S^-1, so checks made at different S tell of one
// another.
struct Decay {
  double sum = 0, count = 0;
  void add(double chi2, double samples) { sum += chi2 * std::pow(samples, 0.75), ++count; }
  double at(double samples) const { return sum / count / std::pow(samples, 0.75); }
};

// The temperature of the fit at epsilon = 0, in mean gaps between best and second best. Half a gap nearly halves the
// variance for a bias of the chi-square below 0.01, which grows as the fourth power: less for a sharper tolerance, and
// less again once the end was to be expected.
double smoothing(double tolerance, double samples) {
  return 0.5 * std::pow(std::min(1.0, tolerance / 0.05), 0.25) *
         std::sqrt(std::min(1.0, 2 / (tolerance * std::max(1.0, samples))));
}

// Recombination is exact for the standard normal alone. More rounds where a GEMM row is dearer, fewer where the batch
// is too small to leave several independent groups.
Index rounds_for(const SemidualProblem& problem, double batch_rows) {
  if (problem.source) return 0;
  const Index d = problem.atoms.dimensions();
  const Index most = d <= 32 ? 8 : d <= 256 ? 16 : d <= 1536 ? 32 : 64;
  Index rounds = 1;
  while (2 * rounds <= most && batch_rows / static_cast<double>(64 * 2 * rounds) >= 8) rounds *= 2;
  return rounds > 1 ? rounds : 0;
}

}  // namespace

std::vector<float> score_biases(const SemidualProblem& problem, const std::vector<double>& v) {
  std::vector<float> biases(v.size());
  for (std::size_t j = 0; j < v.size(); ++j) {
    biases[j] = static_cast<float>(v[j] + (problem.epsilon > 0 ? problem.epsilon * std::log(problem.atoms.b[j]) : 0.0));
  }
  return biases;
}

namespace {

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

  // One batch of the ascent, softened at epsilon = 0 by a temperature in proportion to the measured gap.
  BatchMass batch(const std::vector<double>& v, double samples) {
    BatchMass result = assign(v, batch_rows_, smoothing(options_.tolerance, samples) * gap_, fit_noise_, fit_row_);
    if (result.mean_gap > 0) gap_ = measured_ ? 0.5 * (gap_ + result.mean_gap) : result.mean_gap;
    measured_ |= result.mean_gap > 0;
    return result;
  }

  // Chi-square of the marginal that v gives, with a standard error of a tenth of the tolerance.
  double check(const std::vector<double>& v) {
    const double tolerance = options_.tolerance;
    const double rows = samples_for_error(static_cast<double>(problem_.atoms.size()), tolerance, tolerance / 10);
    return assign(v, static_cast<Index>(std::ceil(rows)), 0, check_noise_, check_row_).chi2;
  }

  double gap() const { return gap_; }

 private:
  BatchMass assign(const std::vector<double>& v, Index rows, double smooth, const Rng& rng, std::uint64_t& row) {
    const double target = problem_.epsilon;
    plan_.epsilon = target > 0 ? target : smooth;
    plan_.window = target > 0 ? 12 * target : 4 * smooth;
    const std::vector<float> biases = score_biases(problem_, v);
    BatchMass result = assign_batch(problem_, biases, rows, plan_, rng, row, options_.context);
    if (target > 0 && !plan_.dense && result.crowded > 0.01) {
      plan_.dense = true;
      count(result);
      result = assign_batch(problem_, biases, rows, plan_, rng, row, options_.context);
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
  double gap_;
  bool measured_ = false;
  Rng fit_noise_, check_noise_;
  std::uint64_t fit_row_ = 0, check_row_ = 0;
};

}  // namespace

Fit fit_semidual(const SemidualProblem& problem, const SemidiscreteOptions& given,
                 const std::function<bool(const std::vector<double>&)>& accept) {
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
      options.max_samples_per_atom > 0 ? options.max_samples_per_atom : std::max(400.0, 20 / tolerance) + 1e6 / n;
  const auto average = [&] {
    std::vector<double> v = ascent.average();
    recentre(v, problem.atoms.b);
    return v;
  };
  // Whether the average will do: by what all looks at it have said so far, then by fresh noise.
  const auto good = [&] {
    const double latest = assigner.check(ascent.average());
    decay.add(latest, ascent.samples());
    const double chi2 = std::min(latest + 0.1 * tolerance, decay.at(ascent.samples()));
    const double goal = strictness * (0.92 * tolerance - 2 * 0.1 * tolerance / std::sqrt(decay.count));
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

  const auto ascend = [&] {
    if (problem.atoms.dimensions() <= 16 && problem.epsilon == 0) {
      std::vector<double> other = quadratic_start(problem, scale);
      if (assigner.batch(other, 0).chi2 < assigner.batch(ascent.current(), 0).chi2) ascent.start_from(std::move(other));
    }
    for (;;) {
      const BatchMass batch = assigner.batch(ascent.current(), ascent.samples());
      ascent.update(batch, assigner.gap());
      step.samples_per_atom = fit.samples;
      step.chi2 = batch.chi2;
      step.progress = std::min(1.0, ascent.samples() / expected_end);
      if (!std::isfinite(batch.chi2)) return Status::numerical_failure;
      if (!go_on()) return Status::stopped_by_caller;
      if (options.max_seconds > 0 && seconds() >= options.max_seconds) return Status::time_limit;
      if (ascent.samples() >= budget) return Status::iteration_limit;
      if (ascent.samples() >= next_check && good()) return Status::converged;
    }
  };
  const bool finished = finishes([&] { fit.status = ascend(); });
  if (!finished)
    fit.status =
        options.max_seconds > 0 && seconds() >= options.max_seconds ? Status::time_limit : Status::stopped_by_caller;
  fit.v = average();
  return fit;
}

}  // namespace monge::ot::detail
