#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "monge/flow/coupling.h"
#include "monge/flow/model.h"
#include "monge/flow/objective.h"

namespace monge::flow {

// The data set, borrowed: floats, or bytes p standing for scale p + shift.
struct TrainingData {
  TrainingData(MatrixView<const float> values_) : values(values_) {}
  TrainingData(MatrixView<float> values_) : values(values_) {}
  TrainingData(MatrixView<const std::uint8_t> bytes_, float scale_, float shift_)
      : bytes(bytes_), scale(scale_), shift(shift_) {}

  Index size() const { return bytes.data ? bytes.rows : values.rows; }
  Index dimensions() const { return bytes.data ? bytes.cols : values.cols; }
  void copy_row(Index i, float* out) const;

  MatrixView<const float> values;        // N x d
  MatrixView<const std::uint8_t> bytes;  // N x d, instead of values
  std::span<const std::int32_t> labels;  // N, for models with classes; or empty
  float scale = 1;
  float shift = 0;
};

// What the learning rate does after the warm-up.
enum class Schedule : std::uint8_t {
  cosine,    // falls to zero at `steps` as half a cosine
  linear,    // falls to zero at `steps` in a line
  constant,  // stays at the peak
};

struct TrainOptions {
  ModelOptions model{};  // model.dimensions = 0: the data's; model.role is the objective's
  ObjectiveOptions objective{};
  Index batch = 256;                 // pairs per step
  std::uint64_t steps = 2000;        // the length the learning-rate schedule is laid out for
  double learning_rate = 1e-3;       // the peak
  std::uint64_t warmup_steps = 100;  // linear rise to the peak
  Schedule schedule = Schedule::cosine;
  double beta1 = 0.9;  // AdamW
  double beta2 = 0.999;
  double weight_decay = 0.01;
  double gradient_clip = 1;  // largest Euclidean norm of the gradient; 0 = none
  double ema_decay =
      0.995;  // of the averaged weights; smaller in the first steps: min(ema_decay, (1 + step)/(10 + step))
  std::uint64_t seed = 0;  // of the initial weights and of the times; the coupling has its own
  Context context{};
};

double learning_rate_at(const TrainOptions& options, std::uint64_t step);  // step = 0 is the first

struct StepReport {
  std::uint64_t step = 0;  // steps made, this one included
  double loss = 0;
  double gradient_norm = 0;  // before clipping
  double learning_rate = 0;
};

// Trains a model. Everything a step does is a function of the seed, the step number, the four buffers below and the
// coupling's state, so a run resumed from them gives the same bits. Steps allocate nothing of their own; a coupling may
// where it says so.
class Trainer {
 public:
  // `data` and `coupling` are borrowed and must outlive the trainer. x1 are atoms, or the coupling's targets where it
  // has some.
  Trainer(const TrainOptions& options, const TrainingData& data, Coupling& coupling);

  // One step. Throws Error(not_finite), with weights and step number as they were, when the loss or the norm of the
  // gradient is NaN or infinite.
  StepReport step();

  std::uint64_t steps_done() const { return step_; }
  const TrainOptions& options() const { return options_; }  // as resolved (dimensions)
  const std::vector<nn::Parameter>& parameters() const { return graph_.parameters(); }

  // Flat buffers laid out by parameters().
  std::span<const float> weights() const { return flat(weights_); }
  std::span<const float> ema() const { return flat(ema_); }
  std::span<const float> adam_m() const { return flat(adam_m_); }
  std::span<const float> adam_v() const { return flat(adam_v_); }

  // Continues a run after `step` steps. The coupling is the caller's to restore.
  void restore(std::uint64_t step, std::span<const float> weights, std::span<const float> ema,
               std::span<const float> adam_m, std::span<const float> adam_v);

 private:
  static std::span<const float> flat(const Buffer<float>& b) { return {b.data(), static_cast<std::size_t>(b.size())}; }
  void load_batch();
  StepReport descend();

  TrainOptions options_;
  TrainingData data_;
  Coupling* coupling_;
  std::uint64_t step_ = 0;
  nn::Graph graph_;
  Objective objective_;
  nn::Program<float> program_;
  Buffer<float> weights_, gradient_, ema_, adam_m_, adam_v_;
  Buffer<double> norm_partials_;
  Buffer<std::int32_t> atoms_, labels_;
  Matrix<float> x0_, x1_;
};

}  // namespace monge::flow
