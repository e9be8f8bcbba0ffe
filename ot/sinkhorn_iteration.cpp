#include "monge/ot/sinkhorn_iteration.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace monge::ot::detail {
namespace {

// Masses of any size, also of one that no double has: times 2^power, about the largest of them.
struct Scaled {
  std::vector<double> masses;
  int power = 0;
};
Scaled scaled(const Side::Settled& side, const std::vector<double>& weights) {
  double most = -HUGE_VAL;
  for (std::size_t i = 0; i < weights.size(); ++i)
    if (weights[i] > 0) most = std::max(most, std::log(weights[i]) + side.logs[i]);
  constexpr double range = 1000;  // of powers that double has
  Scaled out{std::vector<double>(weights.size(), 0.0)};
  if (std::isfinite(most)) out.power = static_cast<int>(std::clamp(std::floor(most / std::numbers::ln2), -1e9, 1e9));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0)
      out.masses[i] = std::abs(out.power) < range
                          ? std::ldexp(side.masses[i], -out.power)
                          : std::exp(std::log(weights[i]) + side.logs[i] - out.power * std::numbers::ln2);
  }
  return out;
}

}  // namespace

template <class T>
SinkhornIteration<T>::SinkhornIteration(const Geometry<T>& geometry, Side rows, Side cols, const Context& context)
    : geometry_(geometry), rows_(std::move(rows)), cols_(std::move(cols)), context_(context) {
  const auto n = static_cast<std::size_t>(geometry.rows()), m = static_cast<std::size_t>(geometry.cols());
  last_.fitted.assign(n, std::numeric_limits<double>::quiet_NaN());
  for (Look* look : {&last_, &next_}) look->v.resize(m), look->col_masses.resize(m), look->residual.resize(m);
}

template <class T>
double SinkhornIteration<T>::look(const std::vector<double>& G, double epsilon) {
  next_.epsilon = epsilon;
  next_.fitted = last_.fitted;  // a guess
  for (std::size_t j = 0; j < next_.v.size(); ++j) {
    const double b = cols_.weights[j];
    next_.v[j] = b > 0 ? static_cast<T>(G[j] + epsilon * std::log(b)) : -std::numeric_limits<T>::infinity();
  }
  Passes<T>& passes = passes_for<T>(context_.device);
  int power = 0;  // of the unit of the masses
  const Scores<T> scores = geometry_.scores(VectorView<const T>(next_.v));
  if (rows_.law == Side::Law::fixed) {
    passes.balance(scores, static_cast<T>(epsilon), rows_.weights, next_.fitted, next_.col_masses, context_);
    next_.rows.potentials = next_.fitted;
    next_.rows.masses = rows_.weights;
  } else {
    std::vector<T> softmins(next_.fitted.size());
    passes.softmin(scores, static_cast<T>(epsilon), softmins, context_);
    next_.fitted.assign(softmins.begin(), softmins.end());
    next_.rows = rows_.settle(next_.fitted, epsilon);
    const Scaled sent = scaled(next_.rows, rows_.weights);
    power = sent.power;
    const std::vector<T> masses(sent.masses.begin(), sent.masses.end());
    passes.histogram(scores, static_cast<T>(epsilon), VectorView<const T>(softmins), VectorView<const T>(masses),
                     next_.col_masses, context_);
  }

  // A column that nothing reaches climbs as far as its logarithm can say.
  constexpr double least = std::numeric_limits<T>::min(), tiny = std::numeric_limits<double>::min();
  std::vector<double> fitted(G);
  for (std::size_t j = 0; j < fitted.size(); ++j) {
    const double b = cols_.weights[j];
    if (b == 0) continue;
    const double floor = rows_.law == Side::Law::fixed ? std::max(least * b, tiny) : least;
    const double log_mass = std::log(std::max(next_.col_masses[j], floor)) + power * std::numbers::ln2;
    fitted[j] += next_.rows.level + epsilon * (std::log(b) - log_mass);
    next_.col_masses[j] = std::ldexp(next_.col_masses[j], power);
  }
  const Side::Settled settled = cols_.settle(fitted, epsilon);
  double error = 0;
  for (std::size_t j = 0; j < fitted.size(); ++j) {
    const bool counts = cols_.weights[j] > 0;
    next_.residual[j] = counts ? settled.potentials[j] - G[j] : 0;
    const double gap = std::abs(settled.masses[j] - next_.col_masses[j]);
    if (counts) error += std::isnan(gap) ? HUGE_VAL : gap;
    if (!std::isfinite(next_.residual[j])) error = std::numeric_limits<double>::quiet_NaN();
  }
  std::swap(last_, next_);
  return error;
}

template <class T>
double SinkhornIteration<T>::col_potential(Index j) const {
  return static_cast<double>(last_.v[j]) - last_.epsilon * std::log(cols_.weights[j]);
}

template class SinkhornIteration<float>;
template class SinkhornIteration<double>;

}  // namespace monge::ot::detail
