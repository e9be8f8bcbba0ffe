#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "monge/flow/model.h"

// A flow map or velocity field of Network::mlp with tanh and two hidden layers, data prediction on the linear path, in
// plain loops, with derivatives by dual numbers.
namespace monge::flow {

struct Dual {
  double v = 0, d = 0;
  Dual() = default;
  Dual(double value, double derivative = 0) : v(value), d(derivative) {}
};
inline Dual operator+(Dual a, Dual b) { return {a.v + b.v, a.d + b.d}; }
inline Dual operator-(Dual a, Dual b) { return {a.v - b.v, a.d - b.d}; }
inline Dual operator*(Dual a, Dual b) { return {a.v * b.v, a.d * b.v + a.v * b.d}; }
inline Dual operator/(Dual a, Dual b) { return {a.v / b.v, (a.d - a.v / b.v * b.d) / b.v}; }
inline Dual tanh(Dual a) { return {std::tanh(a.v), a.d * (1 - std::tanh(a.v) * std::tanh(a.v))}; }
inline Dual at_least(Dual a, double floor) { return a.v > floor ? a : Dual(floor); }

using Point = std::vector<Dual>;

class NaiveMap {
 public:
  NaiveMap(const ModelOptions& options, const std::vector<double>& weights)
      : options_(options), table_(parameter_table(options)), weights_(&weights) {}

  Point velocity(Dual s, Dual t, const Point& x) const {
    const bool map = options_.role == Role::flow_map;
    const Dual told = options_.role == Role::neural_flow ? t : s;
    Point h(static_cast<std::size_t>(options_.width));
    for (std::size_t j = 0; j < h.size(); ++j) {
      h[j] = linear("in", x, j) + at("in.time.weight", j, 0) * told;
      if (map) h[j] = h[j] + at("in.span.weight", j, 0) * (t - s);
      h[j] = tanh(h[j]);
    }
    Point inner(h.size());
    for (std::size_t j = 0; j < h.size(); ++j) inner[j] = tanh(linear("hidden1", h, j));
    Point v(x.size());
    for (std::size_t j = 0; j < x.size(); ++j) {
      v[j] = (linear("out", inner, j) - x[j]) / at_least(Dual(1) - s, options_.sigma_floor);
    }
    return v;
  }

  Point map(Dual s, Dual t, const Point& x) const {
    Point v = velocity(s, t, x);
    for (std::size_t j = 0; j < x.size(); ++j) v[j] = x[j] + (t - s) * v[j];
    return v;
  }

 private:
  double at(const std::string& name, std::size_t row, std::size_t col) const {
    const auto p = std::find_if(table_.begin(), table_.end(), [&](const auto& q) { return q.name == name; });
    return (*weights_)[static_cast<std::size_t>(p->offset + static_cast<Index>(row) * p->cols) + col];
  }
  Dual linear(const std::string& name, const Point& x, std::size_t row) const {
    Dual sum = at(name + ".bias", 0, row);
    for (std::size_t k = 0; k < x.size(); ++k) sum = sum + at(name + ".weight", row, k) * x[k];
    return sum;
  }

  ModelOptions options_;
  std::vector<nn::Parameter> table_;
  const std::vector<double>* weights_;
};

}  // namespace monge::flow
