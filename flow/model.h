#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "monge/flow/nn/program.h"
#include "monge/flow/path.h"

namespace monge::flow {

// What the network's last layer stands for. Either way the loss is on the velocity.
enum class Prediction {
  data,      // x1; the velocity follows from it. A narrow network need not carry the noise through.
  velocity,  // v itself
};

// A residual MLP with LayerNorm and time embedding.
struct ModelOptions {
  Index dimensions = 0;       // of a data point; must be set
  Index width = 512;          // of the residual stream; cost grows with its square
  Index blocks = 4;           // residual blocks, two linear layers each
  Index time_features = 64;   // cosines and sines of t; even
  double max_frequency = 16;  // the largest angular frequency of the time features; the smallest is 1
  Prediction prediction = Prediction::data;
  Path path = Path::linear;
  double sigma_floor = 0.05;  // Prediction::data: sigma(t) is not taken smaller where it divides
};

// The flat weights of a model: its tensors by name, in order, without gaps.
std::vector<nn::Parameter> parameter_table(const ModelOptions& options);
Index weight_count(const ModelOptions& options);
// Fills `weights` (weight_count elements), a function of the seed alone.
void initialize_weights(const ModelOptions& options, std::uint64_t seed, std::span<float> weights);

// The time of each row of a batch, and what the model needs to know of the path there: columns of a graph.
class TimeColumns {
 public:
  TimeColumns(nn::Graph& graph, Index rows);
  // Writes row i of every column that the program uses.
  template <class T>
  void set(nn::Program<T>& program, const ModelOptions& options, Index i, double t) const;

  nn::Tensor t, alpha, sigma, alpha_rate, sigma_rate, data_factor, state_factor;  // rows x 1
};

// Records v(t, x), x rows x dimensions; the parameters are recorded here, in the order of parameter_table.
nn::Tensor record_velocity(nn::Graph& graph, const ModelOptions& options, const TimeColumns& times, nn::Tensor x);

// A trained model as a velocity field. Owns a copy of the weights; calls allocate nothing. Not to be called from two
// threads at once.
class VelocityModel {
 public:
  // `weights`: weight_count(options) elements. Rows are evaluated `batch` at a time; each batch uses all threads.
  VelocityModel(const ModelOptions& options, std::span<const float> weights, Index batch = 512,
                const Context& context = {});

  // v = the velocity at time t of each row of x; any number of rows.
  void operator()(double t, MatrixView<const float> x, MatrixView<float> v);
  // The same with a time per row.
  void operator()(std::span<const double> t, MatrixView<const float> x, MatrixView<float> v);

  void set_weights(std::span<const float> weights);
  const ModelOptions& options() const { return options_; }

 private:
  template <class TimeOfRow>
  void evaluate(const TimeOfRow& time, MatrixView<const float> x, MatrixView<float> v);

  ModelOptions options_;
  Index batch_;
  nn::Graph graph_;
  TimeColumns times_;
  nn::Tensor x_, v_;
  nn::Program<float> program_;
  Buffer<float> weights_;
};

}  // namespace monge::flow
