#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "monge/flow/flow_map.h"
#include "monge/flow/train.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

using enum ObjectiveKind;

constexpr Index points = 200, dimensions = 16;

struct Case {
  std::string name;
  ObjectiveKind kind;
  Network network;
};

// Every objective, every network.
const std::vector<Case> cases = {
    {"velocity", velocity, Network::dit},
    {"neural_flow", neural_flow, Network::residual_flow},
    {"fmm", fmm, Network::mlp},
    {"lmd", lmd, Network::residual_mlp},
    {"emd", emd, Network::mlp},
    {"consistency", consistency, Network::residual_mlp},
    {"pfmm", pfmm, Network::mlp},
    {"lsd", lsd, Network::residual_mlp},
    {"psd", psd, Network::mlp},
    {"mean_flow", mean_flow, Network::dit},
    {"velocity_mlp", velocity, Network::mlp},
    {"neural_flow_mlp", neural_flow, Network::mlp},
};

ModelOptions model_of(Network network) {
  return {.width = 24,
          .blocks = 2,
          .time_features = 6,
          .network = network,
          .activation = nn::Function::silu,
          .classes = 3,
          .dropout = 0.2,
          .image = {.height = 4, .width = 4, .channels = 1, .patch = 2},
          .heads = 2};
}

struct Data {
  Matrix<float> x{points, dimensions};
  std::vector<std::int32_t> labels;
  Data() {
    fill_normal(Rng{21, 0}, 0, VectorView<float>(x.data(), points * dimensions));
    for (Index i = 0; i < points; ++i) labels.push_back(static_cast<std::int32_t>(i % 3));
  }
  TrainingData view() {
    TrainingData data(x.view());
    data.labels = labels;
    return data;
  }
};

// Everything at once: noise on the path, classes, dropout, odd sizes.
TrainOptions options(const Case& c, int threads) {
  TrainOptions o{.model = model_of(c.network),
                 .objective = {.kind = c.kind, .times = {.kind = TimeLaw::Kind::logit_normal}, .random_split = true},
                 .batch = 31,
                 .steps = 20,
                 .warmup_steps = 3,
                 .seed = 4,
                 .context = {.threads = threads}};
  o.model.path.noise = 0.1;
  if (needs_teacher(c.kind)) {
    ModelOptions teacher = model_of(Network::mlp);
    teacher.dimensions = dimensions;
    if (c.kind == pfmm) teacher.role = Role::flow_map;
    std::vector<float> weights(static_cast<std::size_t>(weight_count(teacher)));
    initialize_weights(teacher, 8, weights);
    o.objective.teacher = std::make_shared<const Teacher>(Teacher{teacher, weights});
  }
  return o;
}

std::vector<float> copy(std::span<const float> s) { return {s.begin(), s.end()}; }

class TrainObjectives : public testing::TestWithParam<Case> {};

TEST_P(TrainObjectives, SameBitsAtAnyThreadCountAndAfterAResume) {
  Data data;
  const auto coupling = independent_coupling(points, 9);
  Trainer whole(options(GetParam(), 1), data.view(), *coupling);
  const std::vector<float> start = copy(whole.weights());
  for (int k = 0; k < 3; ++k) whole.step();
  Trainer resumed(options(GetParam(), 2), data.view(), *coupling);
  resumed.restore(whole.steps_done(), whole.weights(), whole.ema(), whole.adam_m(), whole.adam_v());
  for (int k = 0; k < 3; ++k) {
    const StepReport a = whole.step(), b = resumed.step();
    EXPECT_EQ(a.loss, b.loss);
    EXPECT_EQ(a.gradient_norm, b.gradient_norm);
    EXPECT_GT(a.gradient_norm, 0);
  }
  EXPECT_NE(copy(whole.weights()), start);
  EXPECT_EQ(copy(whole.weights()), copy(resumed.weights()));
  EXPECT_EQ(copy(whole.ema()), copy(resumed.ema()));
  EXPECT_EQ(copy(whole.adam_m()), copy(resumed.adam_m()));
  EXPECT_EQ(copy(whole.adam_v()), copy(resumed.adam_v()));
}

INSTANTIATE_TEST_SUITE_P(All, TrainObjectives, testing::ValuesIn(cases),
                         [](const auto& info) { return info.param.name; });

TEST(TrainStates, PowerIterationsFollowTheWeights) {
  Data data;
  const auto coupling = independent_coupling(points, 9);
  Trainer trainer(options({"", neural_flow, Network::residual_flow}, 1), data.view(), *coupling);
  for (int k = 0; k < 30; ++k) trainer.step();
  int states = 0;
  for (const nn::Parameter& p : trainer.parameters()) {
    if (!p.state) continue;
    ++states;
    double square = 0;
    for (Index k = 0; k < p.size(); ++k)
      square += std::pow(trainer.weights()[static_cast<std::size_t>(p.offset + k)], 2);
    EXPECT_NEAR(square, 1, 1e-5) << p.name << " is a unit vector";
    for (Index k = 0; k < p.size(); ++k) {
      const std::size_t i = static_cast<std::size_t>(p.offset + k);
      EXPECT_EQ(trainer.weights()[i], trainer.ema()[i]);
    }
  }
  EXPECT_EQ(states, 4);
}

TEST(TrainStates, LabelsHaveToFit) {
  Data data;
  const auto coupling = independent_coupling(points, 9);
  const TrainOptions o = options(cases[0], 1);
  EXPECT_THROW(Trainer(o, TrainingData(data.x.view()), *coupling), Error);
  data.labels[7] = 3;
  EXPECT_THROW(Trainer(o, data.view(), *coupling), Error);
}

// N(0, I) to N(m, s^2 I) with independent pairs: the flow keeps the order of each coordinate, so the map from noise to
// data is m + s x, exactly, and every flow-map objective has to find it in one step.
TEST(Training, FlowMapsOfAGaussianAreLearnt) {
  constexpr Index atoms = 20'000, rows = 2000;
  constexpr double mean[2] = {1.5, -0.5}, deviation = 0.5;
  Matrix<float> data(atoms, 2);
  fill_normal(Rng{31, 0}, 0, VectorView<float>(data.data(), atoms * 2));
  for (Index k = 0; k < atoms * 2; ++k) data.data()[k] = static_cast<float>(mean[k % 2] + deviation * data.data()[k]);
  const auto coupling = independent_coupling(atoms, 1);
  const ModelOptions model{
      .width = 48, .blocks = 2, .time_features = 0, .network = Network::mlp, .activation = nn::Function::silu};
  for (const ObjectiveKind kind : {lsd, psd, mean_flow}) {
    Trainer trainer({.model = model, .objective = {.kind = kind}, .steps = 1200, .learning_rate = 4e-3, .seed = 2},
                    data.view(), *coupling);
    while (trainer.steps_done() < trainer.options().steps) trainer.step();
    FlowMapModel map(trainer.options().model, trainer.ema());
    Matrix<float> x(rows, 2), y(rows, 2);
    fill_normal(Rng{41, 0}, 0, VectorView<float>(x.data(), rows * 2));
    std::copy_n(x.data(), rows * 2, y.data());
    sample_map(map, y.view(), 1);
    double error = 0;
    for (Index k = 0; k < rows * 2; ++k) {
      error += std::pow(y.data()[k] - mean[k % 2] - deviation * x.data()[k], 2) / (2 * rows);
    }
    // A map that ignores x, the mean, would be 0.5 off.
    EXPECT_LT(std::sqrt(error), 0.12) << static_cast<int>(kind);
  }
}

}  // namespace
}  // namespace monge::flow
