#include "monge/ot/semidiscrete_ascent.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "monge/ot/blocks.h"

namespace monge::ot::detail {

Ascent::Ascent(const SemidualProblem& problem, const ScoreScale& scale, double expected_end)
    : problem_(problem),
      expected_end_(expected_end),
      v_(extreme_start(problem, scale)),
      step_(natural_steps(problem, scale)),
      sum_(v_.size()),
      trust_(v_.size(), 1.0),
      last_error_(v_.size()),
      worth_(v_.size()),
      weight_(v_.size()),
      last_weight_(v_.size()) {
  for (const double step : step_) mean_step_ += step / static_cast<double>(v_.size());
}

void Ascent::start_from(std::vector<double> v, const std::vector<double>& worth) {
  v_ = std::move(v);
  worth_ = worth;
  samples_ = *std::max_element(worth.begin(), worth.end());
  // Samples weighted by S would have summed to S^2 / 2. Half of that, as the problem is not quite the one that v
  // solved.
  for (std::size_t j = 0; j < v_.size(); ++j) {
    weight_[j] = 0.25 * worth[j] * worth[j];
    sum_[j] = weight_[j] * v_[j];
    worth_[j] -= samples_;
  }
}

void Ascent::update(const BatchMass& batch, double gap, double width) {
  const double per_atom = static_cast<double>(batch.rows) / static_cast<double>(v_.size());
  samples_ += per_atom;
  drawn_ += per_atom;
  if (batch.links.empty()) {
    leap_.reset();
    own_steps(batch, gap);
  } else {
    if (step_back(batch)) {
      samples_ -= per_atom;
      return;
    }
    forget_worse(batch);
    newton_step(batch, width);
  }
  recentre(v_, problem_.atoms.b);
  for (std::size_t j = 0; j < v_.size(); ++j) {
    const double samples = samples_ + worth_[j];
    last_weight_[j] = samples <= 4 && per_atom < 1 ? 0.0 : per_atom * samples;
    weight_[j] += last_weight_[j];
    sum_[j] += last_weight_[j] * v_[j];
  }
}

// What was far worse does an average no good.
void Ascent::forget_worse(const BatchMass& batch) {
  constexpr double much = 4;
  const double noise = 4 * std::sqrt(2 * static_cast<double>(v_.size())) / static_cast<double>(batch.rows);
  const double weight = *std::max_element(last_weight_.begin(), last_weight_.end());
  past_ += weight * std::max(0.0, batch.chi2);
  past_weight_ += weight;
  if (past_ <= past_weight_ * (much * std::max(0.0, batch.chi2) + noise)) return;
  past_ = past_weight_ = 0;
  for (std::size_t j = 0; j < v_.size(); ++j) {
    weight_[j] = 0.25 * std::pow(samples_ + worth_[j], 2);
    sum_[j] = weight_[j] * v_[j];
  }
}

std::vector<std::int32_t> Ascent::lost(double worth) const {
  return leap_ ? curvature_->lost(worth) : std::vector<std::int32_t>();
}

void Ascent::raise(const std::vector<std::int32_t>& atoms, const std::vector<double>& by) {
  for (std::size_t i = 0; i < atoms.size(); ++i) {
    const auto j = static_cast<std::size_t>(atoms[i]);
    v_[j] += by[i];
    sum_[j] += last_weight_[j] * by[i];
    leap_->from[j] += by[i];
  }
}

void Ascent::newton_step(const BatchMass& batch, double width) {
  const auto rows = static_cast<double>(batch.rows);
  if (!curvature_) {
    // Far clusters, which share no noise, answer as independent scores would, or sooner.
    std::vector<double> own(v_.size());
    for (std::size_t j = 0; j < own.size(); ++j)
      own[j] = 0.1 * problem_.atoms.b[j] / step_[j] + batch.target[j] / problem_.tau;
    curvature_.emplace(problem_, std::move(own), Context());
  }
  curvature_->add(batch, width);
  std::vector<double> missing(v_.size());
  for (std::size_t j = 0; j < missing.size(); ++j) missing[j] = batch.target[j] - batch.mass[j] / rows;
  std::vector<double> change = curvature_->solve(missing);
  const double per_atom = rows / static_cast<double>(v_.size());
  leap_ = Leap{.from = v_, .change = std::move(change)};
  for (std::size_t j = 0; j < v_.size(); ++j) {
    leap_->change[j] *= std::min(0.5, 2 * per_atom / (samples_ + worth_[j]));
    leap_->slope += leap_->change[j] * missing[j];
    v_[j] += leap_share_ * leap_->change[j];
  }
}

// Borders do not stay what they are, and a cell that is lost has none: a step may overshoot by far. The dual is
// concave, so where it falls the way it was to rise, beyond the noise, the best of that way lies behind: a share of the
// step is taken from where it began, in the average, too. (The chi-square says less: it may rise threefold again and
// again.)
bool Ascent::step_back(const BatchMass& batch) {
  constexpr double least = 1.0 / 4096;
  if (!leap_) return false;
  const auto rows = static_cast<double>(batch.rows);
  double slope = 0, square = 0;
  for (std::size_t j = 0; j < v_.size(); ++j) {
    const double change = leap_->change[j];
    slope += change * (batch.target[j] - batch.mass[j] / rows);
    square += change * change * std::max(batch.target[j], batch.mass[j] / rows);
  }
  const double noise = std::sqrt(square / rows);
  // Without noise, half of the slope is left on the other side where a step was half as long again as it should be.
  if (slope >= -0.5 * leap_->slope - 4 * noise || leap_share_ < least) {
    if (slope >= -0.25 * leap_->slope - noise) leap_share_ = std::min(1.0, 2 * leap_share_);
    return false;
  }
  leap_share_ *= std::clamp(leap_->slope / (leap_->slope - slope), 1.0 / 32, 0.25);
  for (std::size_t j = 0; j < v_.size(); ++j) {
    const double end = leap_->from[j] + leap_share_ * leap_->change[j];
    sum_[j] += last_weight_[j] * (end - v_[j]);
    v_[j] = end;
  }
  return true;
}

void Ascent::own_steps(const BatchMass& batch, double gap) {
  const double per_atom = static_cast<double>(batch.rows) / static_cast<double>(v_.size());
  // Scores of independent Gaussians are a step apart at the top. Where they crowd closer, as in low dimension, a cell
  // loses all its mass within a few gaps.
  const double crowding = std::min(1.0, 4 * gap / mean_step_);
  for_blocks(static_cast<Index>(v_.size()), 32, [&](Index, Index begin, Index end) {
    for (Index j = begin; j < end; ++j) {
      const double samples = samples_ + worth_[j];
      const bool early = samples <= 4;
      // 1/S is best where every direction of v has converged by the expected end. Long waves over many crowded cells
      // have not; slower decay, with the average, then serves them.
      const double late = std::sqrt(std::max(1.0, samples / (crowding < 1 ? 4 : expected_end_)));
      const double damping = early ? 1.0 : std::min(1.0, 2 * per_atom / samples * late);
      const double expected = batch.target[j] * static_cast<double>(batch.rows);
      const double gain = early ? 1.0 : std::min(1 + 1 / expected, 1 + 1 / per_atom);
      // The logarithm tames the first, large errors; near the end its mean would depend on how an atom's mass scatters.
      const double mass = batch.mass[j];
      const double error = samples <= 8 ? std::log((expected + 1) / (mass + 1)) : (expected - mass) / (expected + 1);
      double step = std::hypot(crowding * step_[j], problem_.epsilon);
      if (problem_.is_unbalanced()) step *= problem_.tau / (problem_.tau + step);  // the target comes to meet the mass
      v_[j] += damping * gain * trust(j, error, expected) * step * error;
    }
  });
}

std::vector<double> Ascent::average() const {
  std::vector<double> mean(v_);
  for (std::size_t j = 0; j < mean.size(); ++j)
    if (weight_[j] > 0) mean[j] = sum_[j] / weight_[j];
  return mean;
}

// A step that overshoots, beyond the noise, is halved for that atom; one that falls short grows back.
double Ascent::trust(std::size_t j, double error, double expected) {
  if (std::abs(error) > 2 / std::sqrt(expected + 1)) {
    const bool overshot = error * last_error_[j] < 0;
    trust_[j] = overshot ? 0.5 * trust_[j] : std::min(1.0, 1.2 * trust_[j]);
    last_error_[j] = error;
  }
  return trust_[j];
}

}  // namespace monge::ot::detail
