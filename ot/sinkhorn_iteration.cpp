#include "monge/ot/sinkhorn_iteration.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace monge::ot::detail {

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
    // Masses of any size, in units of their largest.
    const std::vector<double>& sent = next_.rows.masses;
    const double most = *std::max_element(sent.begin(), sent.end());
    const double unit = most > 0 && std::isfinite(most) ? std::ldexp(1.0, std::ilogb(most)) : 1;
    std::vector<T> masses(sent.size());
    for (std::size_t i = 0; i < masses.size(); ++i) masses[i] = static_cast<T>(sent[i] / unit);
    passes.histogram(scores, static_cast<T>(epsilon), VectorView<const T>(softmins), VectorView<const T>(masses),
                     next_.col_masses, context_);
    for (double& mass : next_.col_masses) mass *= unit;
  }

  // A column that nothing reaches climbs as far as its logarithm can say.
  constexpr double least = std::numeric_limits<T>::min(), tiny = std::numeric_limits<double>::min();
  std::vector<double> fitted(G);
  for (std::size_t j = 0; j < fitted.size(); ++j) {
    const double b = cols_.weights[j];
    if (b > 0)
      fitted[j] +=
          next_.rows.level + epsilon * (std::log(b) - std::log(std::max({next_.col_masses[j], least * b, tiny})));
  }
  const Side::Settled settled = cols_.settle(fitted, epsilon);
  double error = 0;
  for (std::size_t j = 0; j < fitted.size(); ++j) {
    const bool counts = cols_.weights[j] > 0;
    next_.residual[j] = counts ? settled.potentials[j] - G[j] : 0;
    if (counts) error += std::abs(settled.masses[j] - next_.col_masses[j]);
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
