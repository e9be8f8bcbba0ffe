#include "monge/ot/semidiscrete_fit.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "monge/ot/moments.h"

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
  for (Index j = 0; j < n; ++j) {
    const float* y = atoms.y.view().row(j);
    double mean = 0, variance = 0;
    for (Index k = 0; k < d; ++k) {
      const double yk = y[k];
      if (!problem.source) {
        variance += yk * yk;
        continue;
      }
      mean += yk * moments.mean[static_cast<std::size_t>(k)];
      const double* row = moments.covariance.data() + k * d;
      double dot = 0;
      for (Index l = 0; l < d; ++l) dot += row[l] * static_cast<double>(y[l]);
      variance += yk * dot;
    }
    scale.mean[static_cast<std::size_t>(j)] = mean;
    scale.deviation[static_cast<std::size_t>(j)] = std::sqrt(std::max(0.0, variance));
  }
  return scale;
}

// Where the semidual's maximum would be if every atom met its own independent Gaussian scores: the extreme-value level
// of N draws, or above the freezing temperature of that random-energy model its free energy.
double start_value(double mean, double deviation, double b, double epsilon) {
  const double freezing = std::sqrt(std::max(1e-12, 2 * std::log(1 / b)));
  if (epsilon > deviation / freezing) return -mean - 0.5 * deviation * deviation / epsilon;
  return -mean - deviation * upper_quantile(b) + (epsilon > 0 ? -epsilon * std::log(b) : 0.0);
}

void recentre(std::vector<double>& v, const std::vector<double>& b) {
  double mean = 0;
  for (std::size_t j = 0; j < v.size(); ++j) mean += b[j] * v[j];
  for (double& value : v) value -= mean;
}

// The ascent itself: per-atom steps, damped as 1/S, and an average weighted by S, S being the samples per atom so far.
class Ascent {
 public:
  Ascent(const SemidualProblem& problem, const ScoreScale& scale)
      : problem_(problem), v_(problem.atoms.b.size()), step_(v_.size()), sum_(v_.size(), 0.0) {
    double rms = 0;
    for (double s : scale.deviation) rms += s * s / static_cast<double>(v_.size());
    const double floor = 0.1 * std::sqrt(rms);
    for (std::size_t j = 0; j < v_.size(); ++j) {
      const double b = problem.atoms.b[j];
      const double rarity = std::sqrt(std::max(1.0, 2 * std::log(1 / b)));
      v_[j] = start_value(scale.mean[j], scale.deviation[j], b, problem.epsilon);
      step_[j] = std::hypot(std::max(scale.deviation[j], floor) / rarity, problem.epsilon);
    }
    recentre(v_, problem.atoms.b);
  }

  void update(const BatchMass& batch) {
    const auto n = static_cast<double>(v_.size());
    const double per_atom = static_cast<double>(batch.rows) / n;
    samples_ += per_atom;
    const bool early = samples_ <= 4;
    const double damping = early ? 1.0 : std::min(1.0, 2 * per_atom / samples_);
    for (std::size_t j = 0; j < v_.size(); ++j) {
      const double expected = problem_.atoms.b[j] * static_cast<double>(batch.rows);
      const double gain = early ? 1.0 : std::min(1 + 1 / expected, 1 + 1 / per_atom);
      v_[j] += damping * gain * step_[j] * std::log((expected + 1) / (batch.mass[j] + 1));
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
  double mean_step() const {
    double mean = 0;
    for (double s : step_) mean += s / static_cast<double>(step_.size());
    return mean;
  }

 private:
  const SemidualProblem& problem_;
  std::vector<double> v_, step_, sum_;
  double samples_ = 0, weight_ = 0;
};

// The error of the averaged potentials falls as 1/S, so checks made at different S estimate one constant together.
struct Decay {
  double sum = 0, count = 0;
  void add(double chi2, double samples) { sum += chi2 * samples, ++count; }
  double at(double samples) const { return sum / count / samples; }
};

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

Fit fit_semidual(const SemidualProblem& problem, const SemidiscreteOptions& options) {
  const auto start = Clock::now();
  const auto n = static_cast<double>(problem.atoms.size());
  Fit fit;
  if (problem.atoms.size() == 1) return {{0.0}, Status::converged};

  const Rng root{options.seed};
  const Rng fit_noise = root.substream(1), check_noise = root.substream(2);
  const ScoreScale scale = score_scale(problem, root.substream(3), options.context);
  Ascent ascent(problem, scale);

  const Index batch_rows = static_cast<Index>(std::max(64.0 * 8, 0.5 * n));
  BatchPlan plan{.rounds = rounds_for(problem, static_cast<double>(batch_rows))};
  double gap = ascent.mean_step();  // E[best - second] of Gaussian scores, until it is measured
  const double budget = options.max_samples_per_atom > 0 ? options.max_samples_per_atom : std::max(400.0, 4e7 / n);

  // A check has a standard error of a tenth of the tolerance; one is worth making when the error ought to be there.
  const double tolerance = options.tolerance;
  const Index check_rows = static_cast<Index>(std::ceil(samples_for_error(n, tolerance, tolerance / 10)));
  double next_check = std::max(6.0, 1.2 / tolerance), expected_end = 2 / tolerance;
  std::uint64_t fit_row = 0, check_row = 0;
  Decay decay;

  const auto assign = [&](const std::vector<double>& v, Index rows, bool smooth, const Rng& rng, std::uint64_t& row) {
    const double target = problem.epsilon;
    plan.epsilon = target > 0 ? target : (smooth ? 0.5 * gap : 0.0);
    plan.window = target > 0 ? 12 * target : 4 * plan.epsilon;
    BatchMass batch = assign_batch(problem, score_biases(problem, v), rows, plan, rng, row, options.context);
    if (target > 0 && !plan.dense && batch.crowded > 0.01) {
      plan.dense = true;
      batch = assign_batch(problem, score_biases(problem, v), rows, plan, rng, row, options.context);
    }
    fit.samples += static_cast<double>(batch.rows) / n;
    fit.gemm_rows += static_cast<double>(batch.gemm_rows) / n;
    return batch;
  };

  for (;;) {
    const BatchMass batch = assign(ascent.current(), batch_rows, true, fit_noise, fit_row);
    if (batch.mean_gap > 0) gap = 0.5 * (gap + batch.mean_gap);
    ascent.update(batch);

    fit.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const SemidiscreteStep step{fit.samples, batch.chi2, fit.seconds, false,
                                std::min(1.0, ascent.samples() / expected_end)};
    if (options.on_step && !options.on_step(step)) {
      fit.status = Status::stopped_by_caller;
      break;
    }
    if (!std::isfinite(batch.chi2)) {
      fit.status = Status::numerical_failure;
      break;
    }
    if (fit.samples >= budget) {
      fit.status = Status::iteration_limit;
      break;
    }
    if (options.max_seconds > 0 && fit.seconds >= options.max_seconds) {
      fit.status = Status::time_limit;
      break;
    }
    if (ascent.samples() < next_check) continue;

    const BatchMass check = assign(ascent.average(), check_rows, false, check_noise, check_row);
    decay.add(check.chi2, ascent.samples());
    const double chi2 = decay.at(ascent.samples());
    const double goal = 0.9 * tolerance - 2 * 0.1 * tolerance / std::sqrt(decay.count);
    if (chi2 <= goal) {
      fit.status = Status::converged;
      break;
    }
    expected_end = ascent.samples() * std::clamp(chi2 / goal, 1.05, 2.0);
    next_check = std::min(expected_end, 1.5 * ascent.samples());
  }
  fit.v = ascent.average();
  recentre(fit.v, problem.atoms.b);
  fit.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return fit;
}

}  // namespace monge::ot::detail
