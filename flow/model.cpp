#include "monge/flow/model.h"

#include <algorithm>

#include "monge/flow/networks.h"
#include "monge/flow/nn/layers.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

void check_dit(const ModelOptions& o) {
  const nn::PatchGrid& image = o.image;
  require(image.image_size() == o.dimensions, "ModelOptions: images of ", image.height, " x ", image.width, " x ",
          image.channels, " have ", image.image_size(), " dimensions, not ", o.dimensions);
  require(image.patch > 0 && image.height % image.patch == 0 && image.width % image.patch == 0,
          "ModelOptions: images of ", image.height, " x ", image.width, " cannot be cut into patches of ", image.patch);
  require(o.heads > 0 && o.width % o.heads == 0 && o.width % 4 == 0, "ModelOptions: the width of a dit, ", o.width,
          ", must be a multiple of 4 and of its heads, ", o.heads);
}

const ModelOptions& checked(const ModelOptions& o) {
  require(o.dimensions > 0, "ModelOptions: dimensions must be positive, not ", o.dimensions);
  require(o.width > 0, "ModelOptions: width must be positive, not ", o.width);
  require(o.blocks >= 0, "ModelOptions: blocks must not be negative, not ", o.blocks);
  const bool raw_time = o.time_features == 0 && (o.network == Network::mlp || o.network == Network::residual_flow);
  require(raw_time || (o.time_features > 0 && o.time_features % 2 == 0),
          "ModelOptions: time_features must be even and positive, not ", o.time_features);
  require(o.max_frequency >= 1, "ModelOptions: max_frequency must be at least 1, not ", o.max_frequency);
  require(o.sigma_floor > 0 && o.sigma_floor < 1, "ModelOptions: sigma_floor must be in (0, 1), not ", o.sigma_floor);
  require(o.activation != nn::Function::cosine && o.activation != nn::Function::exponential &&
              o.activation != nn::Function::logarithm,
          "ModelOptions: the activation must be gelu, silu, selu or tanh");
  require(o.classes >= 0 && o.classes < 1 << 24, "ModelOptions: classes must be in [0, 2^24), not ", o.classes);
  require(o.dropout >= 0 && o.dropout < 1, "ModelOptions: dropout must be in [0, 1), not ", o.dropout);
  require(o.blocks > 0 || (o.network != Network::mlp && o.network != Network::residual_flow),
          "ModelOptions: an mlp has at least one hidden layer, a residual_flow one block");
  if (o.network == Network::dit) check_dit(o);
  if (o.network == Network::residual_flow) {
    require(o.role == Role::neural_flow, "ModelOptions: a residual_flow is a neural_flow and nothing else");
    require(o.lipschitz > 0 && o.lipschitz < 1, "ModelOptions: lipschitz must be in (0, 1), not ", o.lipschitz);
  }
  check(o.path);
  return o;
}

nn::Tensor record_network(nn::Graph& graph, const ModelOptions& o, const NetworkTimes& times, nn::Tensor x,
                          const Extras& extras) {
  require(o.classes == 0 || extras.labels.id >= 0, "record_network: a model with classes needs labels");
  switch (o.network) {
    case Network::mlp:
      return record_mlp(graph, o, times, x, extras);
    case Network::dit:
      return record_dit(graph, o, times, x, extras);
    default:
      return record_residual_mlp(graph, o, times, x, extras);
  }
}

// The velocity that the network's output stands for.
nn::Tensor as_velocity(nn::Graph& graph, const ModelOptions& o, nn::Tensor y, const TimeColumns& times, nn::Tensor x) {
  if (o.prediction == Prediction::velocity) return y;
  return graph.add(graph.multiply(y, times.output_factor), graph.multiply(x, times.state_factor));
}

// x as the network is given it.
nn::Tensor scaled(nn::Graph& graph, const ModelOptions& o, const TimeColumns& times, nn::Tensor x) {
  return o.path.kind == Path::Kind::ve ? graph.multiply(x, times.input_factor) : x;
}

nn::Tensor record_labels(nn::Graph& graph, const ModelOptions& o, Index rows) {
  return o.classes > 0 ? graph.input(rows, 1) : nn::Tensor{};
}

nn::Tensor record_form(nn::Graph& graph, const ModelOptions& o, ModelProgram::Form form, const TimeColumns& start,
                       nn::Tensor end, nn::Tensor x, nn::Tensor labels) {
  if (form == ModelProgram::Form::velocity) return record_velocity(graph, o, start, x, {labels});
  if (o.role == Role::neural_flow) return record_neural_flow(graph, o, end, x, {labels});
  return record_flow_map(graph, o, start, end, x, {labels}).x;
}

std::vector<nn::Parameter> recorded_table(const ModelOptions& o) {
  nn::Graph graph;
  const TimeColumns times(graph, 1);
  const nn::Tensor x = graph.input(1, checked(o).dimensions), labels = record_labels(graph, o, 1);
  const bool velocity = o.role == Role::velocity;
  record_form(graph, o, velocity ? ModelProgram::Form::velocity : ModelProgram::Form::map, times, times.t, x, labels);
  return graph.parameters();
}

}  // namespace

TimeColumns::TimeColumns(nn::Graph& graph, Index rows) {
  for (nn::Tensor* column : {&t, &alpha, &sigma, &noise, &alpha_rate, &sigma_rate, &noise_rate, &output_factor,
                             &state_factor, &output_rate, &state_rate, &input_factor, &input_rate}) {
    *column = graph.input(rows, 1);
  }
}

template <class T>
void TimeColumns::set(nn::Program<T>& program, const ModelOptions& options, Index i, double time) const {
  const PathPoint p = path_at(options.path, time);
  const ToVelocity v = to_velocity(options.prediction, p, options.sigma_floor);
  const auto write = [&](nn::Tensor column, double value) {
    if (const MatrixView<T> view = program.view(column); view.data) view(i, 0) = static_cast<T>(value);
  };
  write(t, time);
  write(alpha, p.alpha);
  write(sigma, p.sigma);
  write(noise, p.noise);
  write(alpha_rate, p.alpha_rate);
  write(sigma_rate, p.sigma_rate);
  write(noise_rate, p.noise_rate);
  write(output_factor, v.output);
  write(state_factor, v.state);
  write(output_rate, v.output_rate);
  write(state_rate, v.state_rate);
  const InputFactor in = flow::input_factor(options.path, p);
  write(input_factor, in.value);
  write(input_rate, in.rate);
}

template void TimeColumns::set(nn::Program<float>&, const ModelOptions&, Index, double) const;
template void TimeColumns::set(nn::Program<double>&, const ModelOptions&, Index, double) const;

nn::Tensor Dropout::operator()(nn::Graph& graph, nn::Tensor x) {
  if (rate_ == 0) return x;
  masks_.push_back(graph.input(graph.node(x).rows, graph.node(x).cols));
  return graph.multiply(x, masks_.back());
}

template <class T>
void Dropout::fill(nn::Program<T>& program, std::uint64_t seed, std::uint64_t step) const {
  const T kept = static_cast<T>(1 / (1 - rate_));
  for (std::size_t m = 0; m < masks_.size(); ++m) {
    const MatrixView<T> mask = program.view(masks_[m]);
    const Rng rng = Rng{seed, 0}.substream(0x64726F70).substream(m);  // "drop"
    const Index size = mask.rows * mask.cols, blocks = (size + 3) / 4;
    for (Index b = 0; b < blocks; ++b) {
      const Rng::Block bits = rng.bits(step * static_cast<std::uint64_t>(blocks) + static_cast<std::uint64_t>(b));
      for (Index k = 0; k < std::min<Index>(4, size - 4 * b); ++k) {
        mask.data[4 * b + k] = Rng::uniform(bits.w[k]) < static_cast<float>(rate_) ? T(0) : kept;
      }
    }
  }
}

template void Dropout::fill(nn::Program<float>&, std::uint64_t, std::uint64_t) const;
template void Dropout::fill(nn::Program<double>&, std::uint64_t, std::uint64_t) const;

nn::Tensor record_velocity(nn::Graph& graph, const ModelOptions& options, const TimeColumns& times, nn::Tensor x,
                           const Extras& extras) {
  require(options.role != Role::neural_flow, "record_velocity: a neural flow has no velocity");
  if (options.role == Role::flow_map) return record_flow_map(graph, options, times, times.t, x, extras).velocity;
  const nn::Tensor in = scaled(graph, checked(options), times, x);
  return as_velocity(graph, options, record_network(graph, options, {times.t}, in, extras), times, x);
}

RecordedMap record_flow_map(nn::Graph& graph, const ModelOptions& options, const TimeColumns& start, nn::Tensor end,
                            nn::Tensor x, const Extras& extras) {
  require(options.role == Role::flow_map, "record_flow_map: the model is not a flow map");
  const nn::Tensor span = graph.subtract(end, start.t);
  const nn::Tensor in = scaled(graph, checked(options), start, x);
  const nn::Tensor y = record_network(graph, options, {start.t, span}, in, extras);
  const nn::Tensor v = as_velocity(graph, options, y, start, x);
  return {graph.add(x, graph.multiply(v, span)), v};
}

nn::Tensor record_neural_flow(nn::Graph& graph, const ModelOptions& options, nn::Tensor t, nn::Tensor x,
                              const Extras& extras) {
  require(options.role == Role::neural_flow, "record_neural_flow: the model is not a neural flow");
  if (checked(options).network == Network::residual_flow) return record_residual_flow(graph, options, t, x, extras);
  // A jump from time 0: the average velocity as of a flow map.
  const PathPoint noise = path_at(options.path, 0);
  const ToVelocity start = to_velocity(options.prediction, noise, options.sigma_floor);
  const double in = input_factor(options.path, noise).value;
  nn::Tensor v = record_network(graph, options, {t}, in == 1 ? x : graph.scale(x, in), extras);
  if (options.prediction != Prediction::velocity) {
    v = graph.add(graph.scale(v, start.output), graph.scale(x, start.state));
  }
  return graph.add(x, graph.multiply(v, t));
}

std::vector<nn::Parameter> parameter_table(const ModelOptions& options) { return recorded_table(options); }

Index weight_count(const ModelOptions& options) {
  const std::vector<nn::Parameter> table = recorded_table(options);
  return table.empty() ? 0 : table.back().offset + table.back().size();
}

void initialize_weights(const ModelOptions& options, std::uint64_t seed, std::span<float> weights) {
  const std::vector<nn::Parameter> table = parameter_table(options);
  const std::size_t count = static_cast<std::size_t>(table.back().offset + table.back().size());
  require(weights.size() == count, "initialize_weights: room for ", weights.size(), " weights, the model has ", count);
  nn::initialize(table, seed, weights);
}

ModelProgram::ModelProgram(const ModelOptions& options, Form form, std::span<const float> weights, Index batch,
                           const Context& context)
    : options_(checked(options)),
      batch_(batch),
      label_(options.classes),
      start_(graph_, batch),
      end_(graph_.input(batch, 1)),
      labels_(record_labels(graph_, options, batch)),
      x_(graph_.input(batch, options.dimensions)),
      out_(record_form(graph_, options, form, start_, end_, x_, labels_)),
      program_(graph_, {out_}, {}, context),
      weights_(graph_.weight_count()) {
  set_weights(weights);
}

void ModelProgram::set_weights(std::span<const float> weights) {
  require(static_cast<Index>(weights.size()) == weights_.size(), "VelocityModel: ", weights.size(),
          " weights given, the model has ", weights_.size());
  std::copy(weights.begin(), weights.end(), weights_.data());
}

void ModelProgram::set_class(Index label, double guidance) {
  require(label >= 0 && label < options_.classes, "VelocityModel: class ", label, " of ", options_.classes);
  label_ = label;
  guidance_ = guidance;
}

// Writes the label of each row; `unconditional`: none.
void ModelProgram::set_labels(const Condition& condition, bool unconditional, Index first, Index rows) {
  if (options_.classes == 0) return;
  const MatrixView<float> column = program_.view(labels_);
  for (Index i = 0; i < batch_; ++i) {
    const std::size_t row = static_cast<std::size_t>(first + std::min(i, rows - 1));
    const Index label = condition.labels.empty() ? label_ : condition.labels[row];
    column(i, 0) = static_cast<float>(unconditional ? options_.classes : label);
  }
}

// Guidance runs the batch twice, without class first.
void ModelProgram::run_batch(const Condition& condition, Index first, Index rows, MatrixView<float> out) {
  const std::span<const float> weights(weights_.data(), static_cast<std::size_t>(weights_.size()));
  const MatrixView<float> result = program_.view(out_);
  const float guidance = static_cast<float>(condition.labels.empty() ? guidance_ : condition.guidance);
  const bool guided = guidance != 1;
  if (guided) {
    set_labels(condition, true, first, rows);
    program_.run(weights);
    for (Index i = 0; i < rows; ++i) std::copy_n(result.row(i), result.cols, out.row(first + i));
  }
  set_labels(condition, false, first, rows);
  program_.run(weights);
  for (Index i = 0; i < rows; ++i) {
    float* to = out.row(first + i);
    for (Index j = 0; j < result.cols; ++j) to[j] = guided ? to[j] + guidance * (result(i, j) - to[j]) : result(i, j);
  }
}

template <class TimesOfRow>
void ModelProgram::run(const TimesOfRow& times, MatrixView<const float> x, MatrixView<float> out,
                       const Condition& condition) {
  const Index d = options_.dimensions;
  require(x.cols == d && out.cols == d && x.rows == out.rows, "VelocityModel: x is ", x.rows, " x ", x.cols,
          " and the result ", out.rows, " x ", out.cols, ", the model has ", d, " dimensions");
  require(condition.labels.empty() || options_.classes > 0, "VelocityModel: labels for a model without classes");
  require(condition.labels.empty() || static_cast<Index>(condition.labels.size()) == x.rows,
          "VelocityModel: ", condition.labels.size(), " labels for ", x.rows, " rows");
  for (const std::int32_t label : condition.labels) {
    require(label >= 0 && label <= options_.classes, "VelocityModel: label ", label, " of ", options_.classes,
            " classes");
  }
  const MatrixView<float> in = program_.view(x_), end = program_.view(end_);
  for (Index first = 0; first < x.rows; first += batch_) {
    // A last, short batch is padded with rows of zeros, so that every product has the same shape.
    const Index rows = std::min(batch_, x.rows - first);
    for (Index i = 0; i < batch_; ++i) {
      const auto [s, t] = times(std::min(first + i, x.rows - 1));
      start_.set(program_, options_, i, s);
      if (end.data) end(i, 0) = static_cast<float>(t);
    }
    for (Index i = 0; i < rows; ++i) std::copy_n(x.row(first + i), d, in.row(i));
    for (Index i = rows; i < batch_; ++i) std::fill_n(in.row(i), d, 0.0f);
    run_batch(condition, first, rows, out);
  }
}

void VelocityModel::operator()(double t, MatrixView<const float> x, MatrixView<float> v, const Condition& condition) {
  program_.run([t](Index) { return std::pair{t, t}; }, x, v, condition);
}

void VelocityModel::operator()(std::span<const double> t, MatrixView<const float> x, MatrixView<float> v,
                               const Condition& condition) {
  require(static_cast<Index>(t.size()) == x.rows, "VelocityModel: ", t.size(), " times for ", x.rows, " rows");
  const auto time = [t](Index i) { return t[static_cast<std::size_t>(i)]; };
  program_.run([&](Index i) { return std::pair{time(i), time(i)}; }, x, v, condition);
}

void FlowMapModel::operator()(double s, double t, MatrixView<const float> x, MatrixView<float> out,
                              const Condition& condition) {
  require(options().role != Role::neural_flow || s == 0, "FlowMapModel: a neural flow starts at time 0, not at ", s);
  program_.run([s, t](Index) { return std::pair{s, t}; }, x, out, condition);
}

}  // namespace monge::flow
