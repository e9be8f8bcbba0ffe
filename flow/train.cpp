#include "monge/flow/train.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "monge/flow/nn/layers.h"
#include "monge/flow/nn/optimizer.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"

namespace monge::flow {
namespace {

TrainOptions resolved(TrainOptions o, const TrainingData& data) {
  require(data.size() > 0 && data.dimensions() > 0, "Trainer: the data set is empty (", data.size(), " x ",
          data.dimensions(), ")");
  if (o.model.dimensions == 0) o.model.dimensions = data.dimensions();
  require(o.model.dimensions == data.dimensions(), "Trainer: the model has ", o.model.dimensions,
          " dimensions, the data ", data.dimensions());
  o.model.role = role_of(o.objective.kind);
  require(o.model.classes == 0 || static_cast<Index>(data.labels.size()) == data.size(),
          "Trainer: a model with classes needs a label for each of ", data.size(), " points, not ", data.labels.size());
  for (std::size_t i = 0; o.model.classes > 0 && i < data.labels.size(); ++i) {
    require(data.labels[i] >= 0 && data.labels[i] < o.model.classes, "Trainer: point ", i, " has the label ",
            data.labels[i], ", the model ", o.model.classes, " classes");
  }
  require(o.batch > 0, "Trainer: batch must be positive, not ", o.batch);
  require(o.steps > 0, "Trainer: steps must be positive");
  require(o.learning_rate > 0, "Trainer: learning_rate must be positive, not ", o.learning_rate);
  require(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1,
          "Trainer: beta1 and beta2 must be in [0, 1), not ", o.beta1, " and ", o.beta2);
  require(o.weight_decay >= 0, "Trainer: weight_decay must not be negative, not ", o.weight_decay);
  require(o.gradient_clip >= 0, "Trainer: gradient_clip must not be negative, not ", o.gradient_clip);
  require(o.ema_decay >= 0 && o.ema_decay < 1, "Trainer: ema_decay must be in [0, 1), not ", o.ema_decay);
  return o;
}

std::span<float> flat(Buffer<float>& b) { return {b.data(), static_cast<std::size_t>(b.size())}; }

void fill_zero(Buffer<float>& b) { std::fill_n(b.data(), b.size(), 0.0f); }

}  // namespace

void TrainingData::copy_row(Index i, float* out) const {
  if (bytes.data) {
    const std::uint8_t* row = bytes.row(i);
    for (Index j = 0; j < bytes.cols; ++j) out[j] = scale * static_cast<float>(row[j]) + shift;
  } else {
    std::copy_n(values.row(i), values.cols, out);
  }
}

double learning_rate_at(const TrainOptions& o, std::uint64_t step) {
  if (step < o.warmup_steps) {
    return o.learning_rate * static_cast<double>(step + 1) / static_cast<double>(o.warmup_steps + 1);
  }
  if (o.schedule == Schedule::constant) return o.learning_rate;
  if (step >= o.steps) return 0;
  const double done = static_cast<double>(step - o.warmup_steps) / static_cast<double>(o.steps - o.warmup_steps);
  if (o.schedule == Schedule::linear) return o.learning_rate * (1 - done);
  return o.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

Trainer::Trainer(const TrainOptions& options, const TrainingData& data, Coupling& coupling)
    : options_(resolved(options, data)),
      data_(data),
      coupling_(&coupling),
      objective_(graph_, options_.model, options_.objective, options_.batch),
      program_([&] {
        const std::vector<nn::Tensor> gradients = nn::gradient(graph_, objective_.loss, graph_.parameter_tensors());
        std::vector<nn::Tensor> outputs = {objective_.loss};
        for (const nn::Graph::Update& update : graph_.updates()) outputs.push_back(update.next);
        return nn::Program<float>(graph_, outputs, gradients, options_.context);
      }()),
      weights_(graph_.weight_count()),
      gradient_(weights_.size()),
      ema_(weights_.size()),
      adam_m_(weights_.size()),
      adam_v_(weights_.size()),
      norm_partials_(nn::norm_partials(static_cast<std::size_t>(weights_.size()))),
      atoms_(options_.batch),
      labels_(options_.batch),
      x0_(options_.batch, data.dimensions()),
      x1_(options_.batch, data.dimensions()) {
  nn::initialize(graph_.parameters(), options_.seed, monge::flow::flat(weights_));
  std::copy_n(weights_.data(), weights_.size(), ema_.data());
  fill_zero(adam_m_);
  fill_zero(adam_v_);
}

void Trainer::load_batch() {
  const MatrixView<float> x1 = x1_.view();
  coupling_->draw(step_, x0_.view(), atoms_.view());
  for (Index i = 0; i < atoms_.size(); ++i) {
    require(atoms_[i] >= 0 && atoms_[i] < data_.size(), "Trainer::step: the coupling drew atom ", atoms_[i], " of ",
            data_.size(), " in row ", i, " of step ", step_);
  }
  const Index block = std::max<Index>(1, 16384 / x1.cols);  // rows of a task
  if (coupling_->has_targets()) {
    coupling_->targets(x1);
  } else {
    parallel_for(options_.context.threads, (x1.rows + block - 1) / block, [&](Index task, int) {
      for (Index i = task * block; i < std::min(x1.rows, (task + 1) * block); ++i) data_.copy_row(atoms_[i], x1.row(i));
    });
  }
  Objective::Batch batch{x0_.view(), x1};
  if (options_.model.classes > 0) {
    for (Index i = 0; i < labels_.size(); ++i) labels_[i] = data_.labels[static_cast<std::size_t>(atoms_[i])];
    batch.labels = {labels_.data(), static_cast<std::size_t>(labels_.size())};
  }
  objective_.load(program_, batch, options_.seed, step_);
}

StepReport Trainer::step() {
  load_batch();
  StepReport report;
  with_team(program_.context().threads, [&] { report = descend(); });
  return report;
}

StepReport Trainer::descend() {
  program_.run(weights(), monge::flow::flat(gradient_));
  const double loss = program_.scalar(objective_.loss);
  const std::span<double> partials(norm_partials_.data(), static_cast<std::size_t>(norm_partials_.size()));
  const double norm = nn::norm(flat(gradient_), partials, program_.context());
  if (!std::isfinite(loss) || !std::isfinite(norm)) {
    throw Error(Errc::not_finite, concat("Trainer::step: at step ", step_, " the loss is ", loss,
                                         " and the norm of the gradient ", norm));
  }
  const double rate = learning_rate_at(options_, step_);
  const double clip = options_.gradient_clip;
  const double age = static_cast<double>(step_);
  nn::adamw_step({.learning_rate = rate,
                  .beta1 = options_.beta1,
                  .beta2 = options_.beta2,
                  .weight_decay = options_.weight_decay,
                  .gradient_scale = clip > 0 && norm > clip ? clip / norm : 1,
                  .ema_decay = std::min(options_.ema_decay, (1 + age) / (10 + age)),
                  .step = step_ + 1},
                 flat(gradient_), monge::flow::flat(weights_), monge::flow::flat(adam_m_), monge::flow::flat(adam_v_),
                 monge::flow::flat(ema_), program_.context());
  for (const nn::Graph::Update& update : graph_.updates()) {
    const nn::Parameter& p = graph_.parameters()[update.parameter];
    for (float* state : {weights_.data(), ema_.data()}) {
      std::copy_n(program_.view(update.next).data, p.size(), state + p.offset);
    }
  }
  return {++step_, loss, norm, rate};
}

void Trainer::restore(std::uint64_t step, std::span<const float> weights, std::span<const float> ema,
                      std::span<const float> adam_m, std::span<const float> adam_v) {
  const std::size_t count = static_cast<std::size_t>(weights_.size());
  require(weights.size() == count && ema.size() == count && adam_m.size() == count && adam_v.size() == count,
          "Trainer::restore: buffers of ", weights.size(), ", ", ema.size(), ", ", adam_m.size(), " and ",
          adam_v.size(), " elements, the model has ", count);
  std::copy(weights.begin(), weights.end(), weights_.data());
  std::copy(ema.begin(), ema.end(), ema_.data());
  std::copy(adam_m.begin(), adam_m.end(), adam_m_.data());
  std::copy(adam_v.begin(), adam_v.end(), adam_v_.data());
  step_ = step;
}

}  // namespace monge::flow
