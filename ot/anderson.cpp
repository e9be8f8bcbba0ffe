#include "monge/ot/anderson.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

namespace monge::ot::detail {

double Anderson::product(const std::vector<double>& r, const std::vector<double>& s) const {
  double sum = 0;
  for (std::size_t j = 0; j < r.size(); ++j) sum += weights_[j] * r[j] * s[j];
  return sum;
}

std::vector<double> Anderson::coefficients(const std::vector<double>& r) const {
  const auto k = static_cast<Eigen::Index>(differences_.size());
  Eigen::MatrixXd gram(k, k);
  Eigen::VectorXd right(k);
  for (Eigen::Index s = 0; s < k; ++s) {
    right(s) = product(differences_[static_cast<std::size_t>(s)].r, r);
    for (Eigen::Index t = 0; t < k; ++t) gram(s, t) = gram_[static_cast<std::size_t>(s)][static_cast<std::size_t>(t)];
  }
  // Differences become all but parallel; a little damping keeps the step finite.
  gram.diagonal().array() *= 1 + 1e-9;
  gram.diagonal().array() += 1e-12 * gram.trace() / static_cast<double>(k);
  const Eigen::VectorXd solution = gram.ldlt().solve(right);
  if (!solution.allFinite()) return {};
  return {solution.data(), solution.data() + k};
}

void Anderson::remember(const std::vector<double>& x, const std::vector<double>& r) {
  if (!last_x_.empty()) {
    Difference difference{x, r};
    for (std::size_t j = 0; j < x.size(); ++j) {
      difference.x[j] -= last_x_[j];
      difference.r[j] -= last_r_[j];
    }
    if (static_cast<int>(differences_.size()) == memory_) {
      differences_.erase(differences_.begin());
      gram_.erase(gram_.begin());
      for (auto& row : gram_) row.erase(row.begin());
    }
    differences_.push_back(std::move(difference));
    gram_.emplace_back();
    for (std::size_t s = 0; s < differences_.size(); ++s) {
      const double g = product(differences_[s].r, differences_.back().r);
      if (s + 1 < differences_.size()) gram_[s].push_back(g);
      gram_.back().push_back(g);
    }
  }
  last_x_ = x, last_r_ = r;
}

void Anderson::advance(std::vector<double>& x, const std::vector<double>& r, double error) {
  const bool known = std::isfinite(error) || !best_x_.empty();  // else a plain step can only be better
  if (memory_ > 0 && known) {
    if (best_x_.empty() || error < least_error_) {
      best_x_ = x, best_r_ = r, least_error_ = error;
      retreats_ = 0;
      if (error < 0.5 * last_mark_) last_mark_ = error, growth_ = 2;
    } else if (plain_steps_ == 0 && !(error <= growth_ * least_error_)) {
      differences_.clear(), gram_.clear(), last_x_.clear();
      plain_steps_ = std::int64_t{1} << std::min(retreats_++, 40);
      growth_ = std::min(20.0, 2 * growth_);
      x = best_x_;
      for (std::size_t j = 0; j < x.size(); ++j) x[j] += best_r_[j];
      return;
    }
    if (plain_steps_ > 0) --plain_steps_;
    if (plain_steps_ == 0) remember(x, r);
  }

  const std::vector<double> gamma = differences_.empty() ? std::vector<double>() : coefficients(r);
  for (std::size_t j = 0; j < x.size(); ++j) x[j] += r[j];
  for (std::size_t s = 0; s < gamma.size(); ++s) {
    for (std::size_t j = 0; j < x.size(); ++j) x[j] -= gamma[s] * (differences_[s].x[j] + differences_[s].r[j]);
  }
}

}  // namespace monge::ot::detail
