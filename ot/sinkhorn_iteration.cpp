#include "monge/ot/sinkhorn_iteration.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace monge::ot::detail {

template <class T>
SinkhornIteration<T>::SinkhornIteration(const Geometry<T>& geometry, Side rows, Side cols, const Context& context)
    : geometry_(geometry),
      rows_(std::move(rows)),
      cols_(std::move(cols)),
      context_(context),
      v_(static_cast<std::size_t>(geometry.cols())),
      fitted_(static_cast<std::size_t>(geometry.rows()), std::numeric_limits<double>::quiet_NaN()),
      col_masses_(v_.size()),
      residual_(v_.size()) {}

template <class T>
double SinkhornIteration<T>::look(const std::vector<double>& G, double epsilon) {
  epsilon_ = epsilon;
  for (std::size_t j = 0; j < v_.size(); ++j) {
    const double b = cols_.weights[j];
    v_[j] = b > 0 ? static_cast<T>(G[j] + epsilon * std::log(b)) : -std::numeric_limits<T>::infinity();
  }
  Passes<T>& passes = passes_for<T>(context_.device);
  const Scores<T> scores = geometry_.scores(VectorView<const T>(v_));
  if (rows_.law == Side::Law::fixed) {
    passes.balance(scores, static_cast<T>(epsilon), rows_.weights, fitted_, col_masses_, context_);
    rows_state_.potentials = fitted_;
    rows_state_.masses = rows_.weights;
  } else {
    std::vector<T> softmins(fitted_.size());
    passes.softmin(scores, static_cast<T>(epsilon), softmins, context_);
    fitted_.assign(softmins.begin(), softmins.end());
    rows_state_ = rows_.settle(fitted_, epsilon);
    // Masses of any size, in units of their largest.
    const double most = *std::max_element(rows_state_.masses.begin(), rows_state_.masses.end());
    const double unit = most > 0 && std::isfinite(most) ? std::ldexp(1.0, std::ilogb(most)) : 1;
    std::vector<T> masses(rows_state_.masses.size());
    for (std::size_t i = 0; i < masses.size(); ++i) masses[i] = static_cast<T>(rows_state_.masses[i] / unit);
    passes.histogram(scores, static_cast<T>(epsilon), VectorView<const T>(softmins), VectorView<const T>(masses),
                     col_masses_, context_);
    for (double& mass : col_masses_) mass *= unit;
  }

  // A column that nothing reaches climbs as far as its logarithm can say.
  constexpr double least = std::numeric_limits<T>::min(), tiny = std::numeric_limits<double>::min();
  std::vector<double> fitted(G);
  for (std::size_t j = 0; j < fitted.size(); ++j) {
    const double b = cols_.weights[j];
    if (b > 0)
      fitted[j] += rows_state_.level + epsilon * (std::log(b) - std::log(std::max({col_masses_[j], least * b, tiny})));
  }
  const Side::Settled settled = cols_.settle(fitted, epsilon);
  double error = 0;
  for (std::size_t j = 0; j < fitted.size(); ++j) {
    const bool counts = cols_.weights[j] > 0;
    residual_[j] = counts ? settled.potentials[j] - G[j] : 0;
    if (counts) error += std::abs(settled.masses[j] - col_masses_[j]);
  }
  return error;
}

template <class T>
double SinkhornIteration<T>::col_potential(Index j) const {
  return static_cast<double>(v_[j]) - epsilon_ * std::log(cols_.weights[j]);
}

template class SinkhornIteration<float>;
template class SinkhornIteration<double>;

}  // namespace monge::ot::detail
