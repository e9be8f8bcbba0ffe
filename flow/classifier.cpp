#include "monge/flow/classifier.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "monge/flow/nn/layers.h"
#include "monge/flow/nn/optimizer.h"
#include "monge/flow/shuffle.h"
#include "monge/flow/train.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/random.h"
#include "monge/ot/finite.h"

namespace monge::flow {
namespace {

using nn::Graph;
using nn::Tensor;

const ClassifierOptions& checked(const ClassifierOptions& o) {
  require(o.dimensions > 0, "Classifier: dimensions must be positive, not ", o.dimensions);
  require(o.classes > 1, "Classifier: classes must be at least 2, not ", o.classes);
  require(!o.hidden.empty(), "Classifier: at least one hidden layer is needed, for the features");
  for (const Index width : o.hidden) require(width > 0, "Classifier: a hidden layer of width ", width);
  return o;
}

struct Recorded {
  Tensor features, logits;
};

// h = gelu(W h + b) for each hidden layer; logits = W h + b
Recorded record(Graph& g, const ClassifierOptions& options, Tensor x, Dropout* dropout) {
  Tensor h = x;
  Index layer = 0;
  for (const Index width : options.hidden) {
    h = g.activation(nn::Function::gelu, nn::linear_layer(g, concat("layer", layer++), h, width));
    if (dropout) h = (*dropout)(g, h);
  }
  return {h, nn::linear_layer(g, concat("layer", layer), h, options.classes)};
}

void check(const ClassifierOptions& options, MatrixView<const float> x, std::span<const std::int32_t> labels,
           const ClassifierTraining& t) {
  const char* who = "train_classifier";
  require(x.rows > 0 && x.cols == options.dimensions, who, ": ", x.rows, " points of ", x.cols,
          " dimensions, the classifier has ", options.dimensions);
  require(static_cast<Index>(labels.size()) == x.rows, who, ": ", labels.size(), " labels for ", x.rows, " points");
  for (std::size_t i = 0; i < labels.size(); ++i) {
    require(labels[i] >= 0 && labels[i] < options.classes, who, ": point ", i, " has the label ", labels[i],
            ", the classifier ", options.classes, " classes");
  }
  require(t.epochs > 0 && t.epochs < 1e6, who, ": epochs must be positive and below 1e6, not ", t.epochs);
  require(t.batch > 0, who, ": batch must be positive, not ", t.batch);
  require(t.learning_rate > 0, who, ": learning_rate must be positive, not ", t.learning_rate);
  require(t.weight_decay >= 0, who, ": weight_decay must not be negative, not ", t.weight_decay);
  require(t.dropout >= 0 && t.dropout < 1, who, ": dropout must be in [0, 1), not ", t.dropout);
  require_finite(x, "train_classifier: x");
}

}  // namespace

std::vector<nn::Parameter> parameter_table(const ClassifierOptions& options) {
  Graph graph;
  record(graph, checked(options), graph.input(1, options.dimensions), nullptr);
  return graph.parameters();
}

Classifier::Classifier(const ClassifierOptions& options, std::span<const float> weights, Index batch,
                       const Context& context)
    : options_(checked(options)),
      batch_(batch),
      x_(graph_.input(batch, options.dimensions)),
      program_([&] {
        const Recorded made = record(graph_, options, x_, nullptr);
        features_ = made.features;
        logits_ = made.logits;
        return nn::Program<float>(graph_, {features_, logits_}, {}, context);
      }()),
      weights_(weights.begin(), weights.end()) {
  require(static_cast<Index>(weights.size()) == graph_.weight_count(), "Classifier: ", weights.size(),
          " weights, the layers take ", graph_.weight_count());
}

Classified Classifier::operator()(MatrixView<const float> x) {
  require(x.cols == options_.dimensions, "Classifier: points of ", x.cols, " dimensions, the classifier has ",
          options_.dimensions);
  Classified out{Matrix<float>(x.rows, options_.hidden.back()), Matrix<float>(x.rows, options_.classes)};
  const MatrixView<float> in = program_.view(x_), features = program_.view(features_), logits = program_.view(logits_);
  for (Index first = 0; first < x.rows; first += batch_) {
    // A last, short batch is padded with zeros, so that every product has the same shape.
    const Index rows = std::min(batch_, x.rows - first);
    for (Index i = 0; i < rows; ++i) std::copy_n(x.row(first + i), x.cols, in.row(i));
    std::fill(in.row(0) + rows * x.cols, in.row(0) + batch_ * x.cols, 0.0f);
    program_.run(weights_);
    std::copy_n(features.data, rows * features.cols, out.features.view().row(first));
    std::copy_n(logits.data, rows * logits.cols, out.logits.view().row(first));
  }
  return out;
}

double accuracy(MatrixView<const float> logits, std::span<const std::int32_t> labels) {
  require(logits.rows > 0 && static_cast<Index>(labels.size()) == logits.rows, "accuracy: ", labels.size(),
          " labels for ", logits.rows, " rows");
  Index right = 0;
  for (Index i = 0; i < logits.rows; ++i) {
    const float* row = logits.row(i);
    right += std::max_element(row, row + logits.cols) - row == labels[static_cast<std::size_t>(i)];
  }
  return static_cast<double>(right) / static_cast<double>(logits.rows);
}

TrainedClassifier train_classifier(const ClassifierOptions& options, MatrixView<const float> points,
                                   std::span<const std::int32_t> labels, const ClassifierTraining& t) {
  check(checked(options), points, labels, t);
  Graph graph;
  Dropout dropout(t.dropout);
  const Tensor x = graph.input(t.batch, options.dimensions), y = graph.input(t.batch, 1);
  const Tensor loss = nn::cross_entropy(graph, record(graph, options, x, &dropout).logits, y);
  nn::Program<float> program(graph, {loss}, nn::gradient(graph, loss, graph.parameter_tensors()), t.context);

  const std::size_t count = static_cast<std::size_t>(graph.weight_count());
  TrainedClassifier result{.weights = std::vector<float>(count)};
  nn::initialize(graph.parameters(), t.seed, result.weights);
  std::vector<float> gradient(count), m(count), v(count), average = result.weights;
  const double rows = t.epochs * static_cast<double>(points.rows);
  const auto steps = static_cast<std::uint64_t>(std::max(1.0, std::ceil(rows / static_cast<double>(t.batch))));
  const TrainOptions schedule{.steps = steps, .learning_rate = t.learning_rate, .warmup_steps = steps / 20};
  const Shuffle order(points.rows, Rng{t.seed}.substream(0x636C617373));  // "class"
  const auto load = [&](std::uint64_t step) {
    const MatrixView<float> in = program.view(x), label = program.view(y);
    for (Index i = 0; i < t.batch; ++i) {
      const Index point = order(step * static_cast<std::uint64_t>(t.batch) + static_cast<std::uint64_t>(i));
      std::copy_n(points.row(point), points.cols, in.row(i));
      label(i, 0) = static_cast<float>(labels[static_cast<std::size_t>(point)]);
    }
    dropout.fill(program, t.seed, step);
  };
  with_team(program.context().threads, [&] {
    for (std::uint64_t step = 0; step < steps; ++step) {
      load(step);
      program.run(result.weights, gradient);
      result.loss = program.scalar(loss);
      if (!std::isfinite(result.loss))
        throw Error(Errc::not_finite, concat("train_classifier: at step ", step, " the loss is ", result.loss));
      nn::adamw_step(
          {.learning_rate = learning_rate_at(schedule, step), .weight_decay = t.weight_decay, .step = step + 1},
          gradient, result.weights, m, v, average, program.context());
      if (t.progress && !t.progress({.step = step + 1, .steps = steps, .loss = result.loss})) {
        result.status = ot::Status::stopped_by_caller;
        return;
      }
    }
  });
  return result;
}

}  // namespace monge::flow
