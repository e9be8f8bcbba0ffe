#include "monge/flow/nn/layers.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow::nn {

Tensor linear_layer(Graph& graph, const std::string& name, Tensor x, Index width, double gain, Bias bias) {
  const Index inputs = graph.node(x).cols;
  const double deviation = gain / std::sqrt(static_cast<double>(inputs));
  const Tensor weight = graph.parameter(name + ".weight", width, inputs, {Initial::Law::normal, deviation});
  if (bias == Bias::none) return graph.linear(x, weight);
  return graph.linear(x, weight, graph.parameter(name + ".bias", 1, width, {Initial::Law::constant, 0}));
}

Tensor spectral_layer(Graph& graph, const std::string& name, Tensor x, Index width, double bound) {
  const Index inputs = graph.node(x).cols;
  const double deviation = 1 / std::sqrt(static_cast<double>(inputs));
  const Tensor weight = graph.parameter(name + ".weight", width, inputs, {Initial::Law::normal, deviation});
  const Tensor bias = graph.parameter(name + ".bias", 1, width, {Initial::Law::constant, 0});
  const Tensor u = graph.parameter(name + ".u", 1, width, {Initial::Law::normal, 1});
  const auto log_square = [&](Tensor a) {
    return graph.activation(Function::logarithm, graph.sum(graph.multiply(a, a), 1, 1));
  };
  const auto times_exp = [&](Tensor a, Tensor log, double factor) {
    return graph.multiply(a, graph.scale(graph.activation(Function::exponential, log), factor));
  };
  // One step of the power iteration, then sigma = |u W| / |u|, whose derivative in W is that of u' W v at the unit
  // vectors u and v = W' u / |W' u|.
  const Tensor next = graph.stop(graph.matmul(graph.matmul(u, weight), weight, false, true));
  const Tensor size = log_square(next);
  graph.update(u, times_exp(next, graph.scale(size, -0.5), 1));
  const Tensor log_sigma = graph.scale(graph.subtract(log_square(graph.matmul(next, weight)), size), 0.5);
  return graph.linear(x, times_exp(weight, graph.scale(log_sigma, -1), bound), bias);
}

Tensor embedding(Graph& graph, const std::string& name, Tensor labels, Index count, Index width) {
  return graph.gather_rows(graph.parameter(name + ".weight", count, width, {Initial::Law::normal, 1}), labels);
}

Tensor layer_norm(Graph& graph, const std::string& name, Tensor x) {
  const Index width = graph.node(x).cols;
  const Tensor gain = graph.parameter(name + ".gain", 1, width, {Initial::Law::constant, 1});
  const Tensor shift = graph.parameter(name + ".shift", 1, width, {Initial::Law::constant, 0});
  return graph.add(graph.multiply(graph.normalize(x), gain), shift);
}

Tensor cross_entropy(Graph& graph, Tensor logits, Tensor labels) {
  const Node n = graph.node(logits);
  std::vector<double> identity(static_cast<std::size_t>(n.cols * n.cols));
  for (Index k = 0; k < n.cols; ++k) identity[static_cast<std::size_t>(k * (n.cols + 1))] = 1;
  const Tensor chosen = graph.gather_rows(graph.constant(n.cols, n.cols, identity), labels);
  const Tensor score = graph.sum(graph.multiply(logits, chosen), n.rows, 1);
  const Tensor total = graph.sum(graph.subtract(graph.log_sum_exp(logits), score), 1, 1);
  return graph.scale(total, 1 / static_cast<double>(n.rows));
}

Tensor time_features(Graph& graph, Tensor t, Index count, double max_frequency) {
  require(count > 0 && count % 2 == 0, "time_features: the number of features must be even and positive, not ", count);
  require(max_frequency >= 1, "time_features: the largest frequency must be at least 1, not ", max_frequency);
  const Index half = count / 2;
  std::vector<double> frequencies, phases;
  for (Index k = 0; k < count; ++k) {
    const double exponent = half > 1 ? static_cast<double>(k % half) / static_cast<double>(half - 1) : 0;
    frequencies.push_back(std::pow(max_frequency, exponent));
    phases.push_back(k < half ? 0 : -std::numbers::pi / 2);  // cos(z - pi/2) = sin z
  }
  const Tensor angles = graph.linear(t, graph.constant(count, 1, frequencies), graph.constant(1, count, phases));
  return graph.activation(Function::cosine, angles);
}

void initialize(const std::vector<Parameter>& parameters, std::uint64_t seed, std::span<float> weights) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& p = parameters[i];
    require(static_cast<std::size_t>(p.offset + p.size()) <= weights.size(), "initialize: ", p.name,
            " does not fit into ", weights.size(), " weights");
    const VectorView<float> values(weights.data() + p.offset, p.size());
    if (p.initial.law == Initial::Law::constant) {
      std::fill(values.begin(), values.end(), static_cast<float>(p.initial.value));
      continue;
    }
    fill_normal(Rng{seed, 0}.substream(i), 0, values);
    for (float& w : values) w *= static_cast<float>(p.initial.value);
  }
}

}  // namespace monge::flow::nn
