#include "monge/flow/model.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "monge/flow/nn/layers.h"
#include "monge/ot/core/error.h"

namespace monge::flow {
namespace {

const ModelOptions& checked(const ModelOptions& o) {
  require(o.dimensions > 0, "ModelOptions: dimensions must be positive, not ", o.dimensions);
  require(o.width > 0, "ModelOptions: width must be positive, not ", o.width);
  require(o.blocks >= 0, "ModelOptions: blocks must not be negative, not ", o.blocks);
  require(o.time_features > 0 && o.time_features % 2 == 0,
          "ModelOptions: time_features must be even and positive, not ", o.time_features);
  require(o.max_frequency >= 1, "ModelOptions: max_frequency must be at least 1, not ", o.max_frequency);
  require(o.sigma_floor > 0 && o.sigma_floor < 1, "ModelOptions: sigma_floor must be in (0, 1), not ", o.sigma_floor);
  return o;
}

// The network alone: x1 or v from x and the time features.
//   h = W x + T e;  h += W2 gelu(W1 norm(h) + T_k e) per block;  W norm(h),  with e = gelu(W features(t))
nn::Tensor record_network(nn::Graph& g, const ModelOptions& o, nn::Tensor t, nn::Tensor x) {
  using nn::Function;
  const nn::Tensor features = nn::time_features(g, t, o.time_features, o.max_frequency);
  const nn::Tensor e = g.activation(Function::gelu, nn::linear_layer(g, "time", features, 2 * o.time_features));
  nn::Tensor h =
      g.add(nn::linear_layer(g, "in", x, o.width), nn::linear_layer(g, "in.time", e, o.width, 1, nn::Bias::none));
  // The residual stream keeps its scale with depth: each block starts small.
  const double small = 1 / std::sqrt(2.0 * static_cast<double>(std::max<Index>(1, o.blocks)));
  for (Index k = 0; k < o.blocks; ++k) {
    const std::string name = "block" + std::to_string(k);
    const nn::Tensor normal = nn::layer_norm(g, name + ".norm", h);
    const nn::Tensor inner = nn::linear_layer(g, name + ".up", normal, o.width);
    h = g.add(h, nn::linear_layer(g, name + ".down", g.activation(Function::gelu, inner), o.width, small));
  }
  return nn::linear_layer(g, "out", nn::layer_norm(g, "out.norm", h), o.dimensions, 0);
}

struct Recorded {
  nn::Graph graph;
  explicit Recorded(const ModelOptions& o) {
    const TimeColumns times(graph, 1);
    record_velocity(graph, o, times, graph.input(1, checked(o).dimensions));
  }
};

}  // namespace

TimeColumns::TimeColumns(nn::Graph& graph, Index rows)
    : t(graph.input(rows, 1)),
      alpha(graph.input(rows, 1)),
      sigma(graph.input(rows, 1)),
      alpha_rate(graph.input(rows, 1)),
      sigma_rate(graph.input(rows, 1)),
      data_factor(graph.input(rows, 1)),
      state_factor(graph.input(rows, 1)) {}

template <class T>
void TimeColumns::set(nn::Program<T>& program, const ModelOptions& options, Index i, double time) const {
  const PathPoint p = path_at(options.path, time);
  const DataToVelocity v = data_to_velocity(p, options.sigma_floor);
  const auto write = [&](nn::Tensor column, double value) {
    if (const MatrixView<T> view = program.view(column); view.data) view(i, 0) = static_cast<T>(value);
  };
  write(t, time);
  write(alpha, p.alpha);
  write(sigma, p.sigma);
  write(alpha_rate, p.alpha_rate);
  write(sigma_rate, p.sigma_rate);
  write(data_factor, v.data);
  write(state_factor, v.state);
}

template void TimeColumns::set(nn::Program<float>&, const ModelOptions&, Index, double) const;
template void TimeColumns::set(nn::Program<double>&, const ModelOptions&, Index, double) const;

nn::Tensor record_velocity(nn::Graph& graph, const ModelOptions& options, const TimeColumns& times, nn::Tensor x) {
  const nn::Tensor y = record_network(graph, checked(options), times.t, x);
  if (options.prediction == Prediction::velocity) return y;
  return graph.add(graph.multiply(y, times.data_factor), graph.multiply(x, times.state_factor));
}

std::vector<nn::Parameter> parameter_table(const ModelOptions& options) { return Recorded(options).graph.parameters(); }

Index weight_count(const ModelOptions& options) { return Recorded(options).graph.weight_count(); }

void initialize_weights(const ModelOptions& options, std::uint64_t seed, std::span<float> weights) {
  const std::vector<nn::Parameter> table = parameter_table(options);
  const std::size_t count = static_cast<std::size_t>(table.back().offset + table.back().size());
  require(weights.size() == count, "initialize_weights: room for ", weights.size(), " weights, the model has ", count);
  nn::initialize(table, seed, weights);
}

VelocityModel::VelocityModel(const ModelOptions& options, std::span<const float> weights, Index batch,
                             const Context& context)
    : options_(checked(options)),
      batch_(batch),
      times_(graph_, batch),
      x_(graph_.input(batch, options.dimensions)),
      v_(record_velocity(graph_, options, times_, x_)),
      program_(graph_, {v_}, {}, context),
      weights_(graph_.weight_count()) {
  set_weights(weights);
}

void VelocityModel::set_weights(std::span<const float> weights) {
  require(static_cast<Index>(weights.size()) == weights_.size(), "VelocityModel: ", weights.size(),
          " weights given, the model has ", weights_.size());
  std::copy(weights.begin(), weights.end(), weights_.data());
}

template <class TimeOfRow>
void VelocityModel::evaluate(const TimeOfRow& time, MatrixView<const float> x, MatrixView<float> v) {
  const Index d = options_.dimensions;
  require(x.cols == d && v.cols == d && x.rows == v.rows, "VelocityModel: x is ", x.rows, " x ", x.cols, " and v ",
          v.rows, " x ", v.cols, ", the model has ", d, " dimensions");
  const MatrixView<float> in = program_.view(x_), out = program_.view(v_);
  const std::span<const float> weights(weights_.data(), static_cast<std::size_t>(weights_.size()));
  for (Index first = 0; first < x.rows; first += batch_) {
    // A last, short batch is padded with rows of zeros, so that every product has the same shape.
    const Index rows = std::min(batch_, x.rows - first);
    for (Index i = 0; i < batch_; ++i) times_.set(program_, options_, i, time(std::min(first + i, x.rows - 1)));
    for (Index i = 0; i < rows; ++i) std::copy_n(x.row(first + i), d, in.row(i));
    for (Index i = rows; i < batch_; ++i) std::fill_n(in.row(i), d, 0.0f);
    program_.run(weights);
    for (Index i = 0; i < rows; ++i) std::copy_n(out.row(i), d, v.row(first + i));
  }
}

void VelocityModel::operator()(double t, MatrixView<const float> x, MatrixView<float> v) {
  evaluate([t](Index) { return t; }, x, v);
}

void VelocityModel::operator()(std::span<const double> t, MatrixView<const float> x, MatrixView<float> v) {
  require(static_cast<Index>(t.size()) == x.rows, "VelocityModel: ", t.size(), " times for ", x.rows, " rows");
  evaluate([t](Index i) { return t[static_cast<std::size_t>(i)]; }, x, v);
}

}  // namespace monge::flow
