#include "monge/flow/networks.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "monge/flow/nn/layers.h"

namespace monge::flow {
namespace {

using nn::Bias;
using nn::Graph;
using nn::Tensor;

Tensor features(Graph& g, const ModelOptions& o, Tensor t) {
  return o.time_features == 0 ? t : nn::time_features(g, t, o.time_features, o.max_frequency);
}

// sum, plus what the length of a jump and the class add: "NAME.span", "NAME.class".
Tensor add_conditions(Graph& g, const ModelOptions& o, const std::string& name, Tensor sum, const NetworkTimes& times,
                      const Extras& extras) {
  const Index width = g.node(sum).cols;
  if (times.span.id >= 0) {
    sum = g.add(sum, nn::linear_layer(g, name + ".span", features(g, o, times.span), width, 1, Bias::none));
  }
  if (o.classes > 0) sum = g.add(sum, nn::embedding(g, name + ".class", extras.labels, o.classes + 1, width));
  return sum;
}

Tensor dropped(Graph& g, const Extras& extras, Tensor x) { return extras.dropout ? (*extras.dropout)(g, x) : x; }

// The largest slope of an activation.
double steepest(nn::Function f) {
  switch (f) {
    case nn::Function::gelu:
      return 1.1290;
    case nn::Function::silu:
      return 1.0999;
    case nn::Function::selu:
      return 1.7581;
    default:
      return 1;
  }
}

}  // namespace

Tensor record_residual_mlp(Graph& g, const ModelOptions& o, const NetworkTimes& times, Tensor x, const Extras& extras) {
  const auto norm = [&](const std::string& name, Tensor h) { return o.normalize ? nn::layer_norm(g, name, h) : h; };
  const Tensor embedded = nn::linear_layer(g, "time", features(g, o, times.time), 2 * o.time_features);
  const Tensor e = g.activation(o.activation, add_conditions(g, o, "time", embedded, times, extras));
  const Tensor time = nn::linear_layer(g, "in.time", e, o.width, 1, Bias::none);
  Tensor h = g.add(nn::linear_layer(g, "in", x, o.width), time);
  // The residual stream keeps its scale with depth: each block starts small.
  const double small = 1 / std::sqrt(2.0 * static_cast<double>(std::max<Index>(1, o.blocks)));
  for (Index k = 0; k < o.blocks; ++k) {
    const std::string name = "block" + std::to_string(k);
    const Tensor inner = nn::linear_layer(g, name + ".up", norm(name + ".norm", h), o.width);
    const Tensor outer = nn::linear_layer(g, name + ".down", g.activation(o.activation, inner), o.width, small);
    h = g.add(h, dropped(g, extras, outer));
  }
  return nn::linear_layer(g, "out", norm("out.norm", h), o.dimensions, 0);
}

Tensor record_mlp(Graph& g, const ModelOptions& o, const NetworkTimes& times, Tensor x, const Extras& extras) {
  const Tensor place = nn::linear_layer(g, "in", x, o.width);
  const Tensor time = nn::linear_layer(g, "in.time", features(g, o, times.time), o.width, 1, Bias::none);
  Tensor h = g.activation(o.activation, add_conditions(g, o, "in", g.add(place, time), times, extras));
  for (Index k = 1; k < o.blocks; ++k) {
    h = nn::linear_layer(g, "hidden" + std::to_string(k), dropped(g, extras, h), o.width);
    h = g.activation(o.activation, h);
  }
  return nn::linear_layer(g, "out", h, o.dimensions, 0);
}

Tensor record_residual_flow(Graph& g, const ModelOptions& o, Tensor t, Tensor x, const Extras& extras) {
  // Both layers share the bound.
  const double bound = std::sqrt(o.lipschitz / steepest(o.activation));
  Tensor h = x;
  for (Index k = 0; k < o.blocks; ++k) {
    const std::string name = "block" + std::to_string(k);
    const Tensor up = nn::spectral_layer(g, name + ".up", h, o.width, bound);
    const Tensor time = nn::linear_layer(g, name + ".time", features(g, o, t), o.width, 1, Bias::none);
    const Tensor inner = g.activation(o.activation, add_conditions(g, o, name, g.add(up, time), {t}, extras));
    const Tensor outer = nn::spectral_layer(g, name + ".down", dropped(g, extras, inner), o.dimensions, bound);
    h = g.add(h, g.multiply(outer, t));
  }
  return h;
}

}  // namespace monge::flow
