#include "monge/apps/ot_solve/epsilon.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

namespace monge::apps {
namespace {

struct Moments {
  std::vector<double> mean;
  double variance = 0;  // E|x - mean|^2
};

template <class T>
Moments moments(const Matrix<T>& x, const std::vector<double>& weights) {
  const auto weight = [&](Index i) { return weights.empty() ? 1.0 : weights[static_cast<std::size_t>(i)]; };
  Moments m{std::vector<double>(static_cast<std::size_t>(x.cols()), 0.0)};
  double total = 0;
  for (Index i = 0; i < x.rows(); ++i) {
    total += weight(i);
    for (Index k = 0; k < x.cols(); ++k)
      m.mean[static_cast<std::size_t>(k)] += weight(i) * static_cast<double>(x(i, k));
  }
  for (double& e : m.mean) e /= total;
  for (Index i = 0; i < x.rows(); ++i) {
    for (Index k = 0; k < x.cols(); ++k) {
      const double off = static_cast<double>(x(i, k)) - m.mean[static_cast<std::size_t>(k)];
      m.variance += weight(i) * off * off / total;
    }
  }
  return m;
}

template <class T>
double half_squared_distance(const Input<T>& in) {
  const Moments x = moments(in.x, in.a), y = moments(in.y, in.b);
  double sum = x.variance + y.variance;
  for (std::size_t k = 0; k < x.mean.size(); ++k) sum += (x.mean[k] - y.mean[k]) * (x.mean[k] - y.mean[k]);
  return 0.5 * sum;
}

// 0 if no cost is negative.
template <class T>
double mean_above_smallest(const Matrix<T>& cost) {
  double mean = 0, smallest = HUGE_VAL;
  const double count = static_cast<double>(cost.rows()) * static_cast<double>(cost.cols());
  for (Index i = 0; i < cost.rows(); ++i) {
    for (Index j = 0; j < cost.cols(); ++j) {
      const double c = static_cast<double>(cost(i, j));
      mean += c / count;
      smallest = std::min(smallest, c);
    }
  }
  return smallest < 0 ? mean - smallest : 0;
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g%% of ", 100 * share);
  return text;
}

}  // namespace

template <class T>
std::string set_epsilon(const Input<T>& in, const Request& request, ot::SinkhornOptions& options) {
  options.epsilon = request.epsilon.value_or(default_epsilon);
  options.epsilon_unit = ot::EpsilonUnit::cost;
  if (request.epsilon && !request.relative) return "";
  const std::string share = percent(options.epsilon);
  const bool dense = in.cost_matrix.rows() > 0, dot = !dense && in.cost == ot::Cost::negative_dot;
  const double measure = dot ? half_squared_distance(in) : dense ? mean_above_smallest(in.cost_matrix) : 0;
  if (measure > 0 && std::isfinite(measure)) {
    options.epsilon *= measure;
    return share + (dot ? "half the mean squared distance" : "the mean cost above the smallest");
  }
  options.epsilon_unit = ot::EpsilonUnit::mean_cost;
  return share + "the mean cost";
}

template std::string set_epsilon(const Input<float>&, const Request&, ot::SinkhornOptions&);
template std::string set_epsilon(const Input<double>&, const Request&, ot::SinkhornOptions&);

}  // namespace monge::apps
