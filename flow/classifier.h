#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "monge/flow/nn/program.h"
#include "monge/ot/core/status.h"

namespace monge::flow {

// A network that tells classes of points apart, trained to be measured with: what its last hidden layer makes of a
// point are the features of flow/features.h. Linear layers, GELU between them.
struct ClassifierOptions {
  Index dimensions = 0;                   // of a point; must be set
  std::vector<Index> hidden = {128, 64};  // widths of the hidden layers; the last is the number of features
  Index classes = 10;
};

// The flat weights: "layer0.weight" (width x inputs), "layer0.bias" (1 x width), "layer1.weight", ... in order, without
// gaps. Throws Error(invalid_argument).
std::vector<nn::Parameter> parameter_table(const ClassifierOptions& options);

// What a classifier makes of points, row by row.
struct Classified {
  Matrix<float> features;  // rows x the last hidden width, after the GELU
  Matrix<float> logits;    // rows x classes
};

// A trained classifier, run over any number of rows, `batch` at a time. Owns a copy of the weights. Not to be called
// from two threads at once.
class Classifier {
 public:
  // `weights`: laid out by parameter_table(options).
  Classifier(const ClassifierOptions& options, std::span<const float> weights, Index batch = 512,
             const Context& context = {});

  // x: rows x dimensions. Throws Error(invalid_argument) for other dimensions.
  Classified operator()(MatrixView<const float> x);
  const ClassifierOptions& options() const { return options_; }

 private:
  ClassifierOptions options_;
  Index batch_;
  nn::Graph graph_;
  nn::Tensor x_, features_, logits_;
  nn::Program<float> program_;
  std::vector<float> weights_;
};

// The share of rows whose largest logit is that of their label. Throws Error(invalid_argument) for sizes that differ.
double accuracy(MatrixView<const float> logits, std::span<const std::int32_t> labels);

struct ClassifierProgress {
  std::uint64_t step = 0, steps = 0;  // made, and to be made
  double loss = 0;                    // of the batch
};

struct ClassifierTraining {
  double epochs = 20;           // passes over the data, in an order of their own each
  Index batch = 256;            // rows a step
  double learning_rate = 2e-3;  // the peak, after a warm-up of one step in twenty; then a cosine to zero
  double weight_decay = 0.01;   // AdamW
  double dropout = 0.2;         // share of each hidden layer set to zero in training
  std::uint64_t seed = 0;
  Context context{};
  std::function<bool(const ClassifierProgress&)> progress = {};  // after every step; false stops the run
};

struct TrainedClassifier {
  std::vector<float> weights = {};            // laid out by parameter_table
  double loss = 0;                            // cross-entropy of the last batch, with dropout
  ot::Status status = ot::Status::converged;  // or stopped_by_caller
};

// Trains by AdamW on the cross-entropy. x: N x dimensions; labels: N, 0 to classes - 1. A function of the seed: the
// same bits at any number of threads. Throws Error: invalid_argument (shapes, labels, options), not_finite.
TrainedClassifier train_classifier(const ClassifierOptions& options, MatrixView<const float> x,
                                   std::span<const std::int32_t> labels, const ClassifierTraining& training = {});

}  // namespace monge::flow
