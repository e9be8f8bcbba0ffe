#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "monge/flow/nn/program.h"
#include "monge/flow/path.h"

namespace monge::flow {

// What a model is a model of.
enum class Role : std::uint8_t {
  velocity,     // the field v(t, x)
  neural_flow,  // the map F(t, x) from noise to time t, F(0, x) = x (OT-NFM)
  flow_map,     // X_{s,t}(x) = x + (t - s) v_{s,t}(x), from time s to time t; v_{t,t} is the field
};

enum class Network : std::uint8_t {
  residual_mlp,   // LayerNorm, two linear layers a block, time embedding
  mlp,            // linear layers and activations alone
  residual_flow,  // blocks h + t g(t, h) of bounded Lipschitz constant, each invertible; Role::neural_flow only
  dit,            // a transformer on image patches (Peebles and Xie, Scalable diffusion models with transformers, 2023)
};

struct ModelOptions {
  Index dimensions = 0;       // of a data point; must be set
  Index width = 512;          // of the residual stream, of hidden layers; cost grows with its square
  Index blocks = 4;           // residual blocks; mlp: hidden layers, at least one
  Index time_features = 64;   // cosines and sines of t; even. mlp, residual_flow: 0 = t itself
  double max_frequency = 16;  // the largest angular frequency of the time features; the smallest is 1
  Prediction prediction = Prediction::data;
  Path path{};
  double sigma_floor = 0.05;  // data and noise predictions: what divides is not taken smaller
  Role role = Role::velocity;
  Network network = Network::residual_mlp;
  nn::Function activation = nn::Function::gelu;  // gelu, silu, selu or tanh
  bool normalize = true;                         // residual_mlp: LayerNorm before each block
  Index classes = 0;                             // labels 0 .. classes - 1, and classes itself for none; 0 = no labels
  double dropout = 0;                            // share of a block's output set to zero in training
  nn::PatchGrid image{};                         // dit
  Index heads = 4;                               // dit: of width / heads each
  double lipschitz = 0.9;                        // residual_flow: of g in x, by spectral norms
};

// The flat weights of a model: its tensors by name, in order, without gaps.
std::vector<nn::Parameter> parameter_table(const ModelOptions& options);
Index weight_count(const ModelOptions& options);
// Fills `weights` (weight_count elements), a function of the seed alone.
void initialize_weights(const ModelOptions& options, std::uint64_t seed, std::span<float> weights);

// A time for each row of a batch, and what is to be known of the path there: columns of a graph.
class TimeColumns {
 public:
  TimeColumns(nn::Graph& graph, Index rows);
  // Writes row i of every column that the program uses.
  template <class T>
  void set(nn::Program<T>& program, const ModelOptions& options, Index i, double t) const;

  nn::Tensor t;                                                        // rows x 1, as all
  nn::Tensor alpha, sigma, noise, alpha_rate, sigma_rate, noise_rate;  // PathPoint
  nn::Tensor output_factor, state_factor, output_rate, state_rate;     // ToVelocity
  nn::Tensor input_factor, input_rate;                                 // InputFactor
};

// Masks for dropout: inputs of a graph, filled before each step.
class Dropout {
 public:
  explicit Dropout(double rate) : rate_(rate) {}
  nn::Tensor operator()(nn::Graph& graph, nn::Tensor x);
  // Elements are 0 with probability `rate` and else 1 / (1 - rate): a function of (seed, step).
  template <class T>
  void fill(nn::Program<T>& program, std::uint64_t seed, std::uint64_t step) const;

 private:
  double rate_;
  std::vector<nn::Tensor> masks_;
};

// What a network may be given besides time and place.
struct Extras {
  nn::Tensor labels{};         // rows x 1; must be there where the model has classes
  Dropout* dropout = nullptr;  // null: none
};

// Records v(t, x), x rows x dimensions, or v_{t,t}(x) of a flow map. Not for Role::neural_flow. Parameters are recorded
// where they are not yet, in the order of parameter_table.
nn::Tensor record_velocity(nn::Graph& graph, const ModelOptions& options, const TimeColumns& times, nn::Tensor x,
                           const Extras& extras = {});

// Records X_{s,t}(x) and its average velocity v_{s,t}(x). Role::flow_map only.
struct RecordedMap {
  nn::Tensor x, velocity;
};
RecordedMap record_flow_map(nn::Graph& graph, const ModelOptions& options, const TimeColumns& start, nn::Tensor end,
                            nn::Tensor x, const Extras& extras = {});

// Records F(t, x). Role::neural_flow only.
nn::Tensor record_neural_flow(nn::Graph& graph, const ModelOptions& options, nn::Tensor t, nn::Tensor x,
                              const Extras& extras = {});

// What rows are conditioned on: a class each (empty: what set_class said, at first none), and how far to go beyond the
// model without class: without + guidance (with - without), classifier-free guidance (Ho and Salimans 2022). Guidance 1
// is the model itself.
struct Condition {
  std::span<const std::int32_t> labels{};
  double guidance = 1;
};

// A recorded model with its weights, run over any number of rows, `batch` at a time. What VelocityModel and
// FlowMapModel share.
class ModelProgram {
 public:
  enum class Form : std::uint8_t { velocity, map };
  ModelProgram(const ModelOptions& options, Form form, std::span<const float> weights, Index batch,
               const Context& context);

  template <class TimesOfRow>  // (row) -> {s, t}
  void run(const TimesOfRow& times, MatrixView<const float> x, MatrixView<float> out, const Condition& condition);
  void set_weights(std::span<const float> weights);
  void set_class(Index label, double guidance);
  const ModelOptions& options() const { return options_; }

 private:
  void run_batch(const Condition& condition, Index first, Index rows, MatrixView<float> out);
  void set_labels(const Condition& condition, bool unconditional, Index first, Index rows);

  ModelOptions options_;
  Index batch_;
  Index label_;          // of rows without one
  double guidance_ = 1;  // of those rows
  nn::Graph graph_;
  TimeColumns start_;
  nn::Tensor end_, labels_, x_, out_;
  nn::Program<float> program_;
  Buffer<float> weights_;
};

// A trained model as a velocity field; Role::velocity or Role::flow_map. Owns a copy of the weights; calls allocate
// nothing. Not to be called from two threads at once.
class VelocityModel {
 public:
  // `weights`: weight_count(options) elements. Rows are evaluated `batch` at a time; each batch uses all threads.
  VelocityModel(const ModelOptions& options, std::span<const float> weights, Index batch = 512,
                const Context& context = {})
      : program_(options, ModelProgram::Form::velocity, weights, batch, context) {}

  // v = the velocity at time t of each row of x; any number of rows.
  void operator()(double t, MatrixView<const float> x, MatrixView<float> v, const Condition& condition = {});
  // The same with a time per row.
  void operator()(std::span<const double> t, MatrixView<const float> x, MatrixView<float> v,
                  const Condition& condition = {});

  void set_weights(std::span<const float> weights) { program_.set_weights(weights); }
  // The class of all rows of later calls that name none, 0 .. classes - 1, and the guidance towards it.
  void set_class(Index label, double guidance = 1) { program_.set_class(label, guidance); }
  const ModelOptions& options() const { return program_.options(); }

 private:
  ModelProgram program_;
};

// A trained model as a map from time s to time t: Role::flow_map, or Role::neural_flow, whose s is 0. As VelocityModel.
class FlowMapModel {
 public:
  FlowMapModel(const ModelOptions& options, std::span<const float> weights, Index batch = 512,
               const Context& context = {})
      : program_(options, ModelProgram::Form::map, weights, batch, context) {}

  // out = X_{s,t}(x), row by row; out may be x. Throws Error(invalid_argument) for s other than 0 of a neural flow.
  void operator()(double s, double t, MatrixView<const float> x, MatrixView<float> out,
                  const Condition& condition = {});

  void set_weights(std::span<const float> weights) { program_.set_weights(weights); }
  // The class of all rows of later calls that name none, 0 .. classes - 1, and the guidance towards it.
  void set_class(Index label, double guidance = 1) { program_.set_class(label, guidance); }
  const ModelOptions& options() const { return program_.options(); }

 private:
  ModelProgram program_;
};

}  // namespace monge::flow
