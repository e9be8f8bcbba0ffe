#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "monge/flow/flow_map.h"
#include "monge/flow/objective.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

constexpr Index batch = 3, dimensions = 16;  // 4 x 4 images

struct Case {
  std::string name;
  ModelOptions model;
  ObjectiveKind objective;
};

ModelOptions model_of(Network network, Role role, nn::Function activation) {
  return {.dimensions = dimensions,
          .width = 8,
          .blocks = 2,
          .time_features = 6,
          .max_frequency = 4,
          .role = role,
          .network = network,
          .activation = activation,
          .image = {.height = 4, .width = 4, .channels = 1, .patch = 2},
          .heads = 2};
}

std::vector<Case> cases() {
  using enum ObjectiveKind;
  using enum nn::Function;
  std::vector<Case> all = {
      {"dit", model_of(Network::dit, Role::velocity, gelu), velocity},
      {"dit_map_direct", model_of(Network::dit, Role::flow_map, silu), fmm},
      {"dit_map_eulerian", model_of(Network::dit, Role::flow_map, gelu), emd},
      {"residual_mlp_map_eulerian", model_of(Network::residual_mlp, Role::flow_map, gelu), emd},
      {"residual_mlp_selu", model_of(Network::residual_mlp, Role::velocity, selu), velocity},
      {"mlp_map_direct", model_of(Network::mlp, Role::flow_map, silu), fmm},
      {"mlp_neural_flow", model_of(Network::mlp, Role::neural_flow, tanh), neural_flow},
      {"residual_flow", model_of(Network::residual_flow, Role::neural_flow, tanh), neural_flow},
  };
  all[0].model.classes = all[2].model.classes = all[3].model.classes = all[7].model.classes = 3;
  all[0].model.dropout = all[4].model.dropout = all[5].model.dropout = 0.3;
  all[4].model.normalize = false;
  all[6].model.time_features = 0;
  all[1].model.prediction = all[5].model.prediction = Prediction::velocity;
  all[2].model.path.kind = Path::Kind::vp;
  all[3].model.path.kind = Path::Kind::cosine;
  all.push_back({"mlp_map_exploding", model_of(Network::mlp, Role::flow_map, tanh), emd});
  all.back().model.path = {.kind = Path::Kind::ve, .sigma_low = 0.1, .sigma_high = 3};
  all[3].model.prediction = Prediction::noise;
  return all;
}

// Random weights everywhere, the last layer included, so that every gradient is at work.
std::vector<double> random_weights(const ModelOptions& options, double deviation = 0.4) {
  std::vector<double> weights(static_cast<std::size_t>(weight_count(options)));
  fill_normal(Rng{3, 0}, 0, VectorView<double>(weights));
  for (double& w : weights) w *= deviation;
  return weights;
}

// Lets the power iterations converge: u along the largest singular value of its matrix.
void settle(const ModelOptions& options, std::vector<double>& weights) {
  nn::Graph graph;
  Objective objective(graph, options, {.kind = ObjectiveKind::neural_flow}, batch);
  std::vector<nn::Tensor> outputs;
  for (const auto& update : graph.updates()) outputs.push_back(update.next);
  nn::Program<double> program(graph, outputs, {});
  for (int k = 0; k < 2000; ++k) {
    program.run(weights);
    for (const auto& update : graph.updates()) {
      const nn::Parameter& p = graph.parameters()[update.parameter];
      std::copy_n(program.view(update.next).data, p.size(), weights.begin() + p.offset);
    }
  }
}

class Networks : public testing::TestWithParam<Case> {};

// None of these objectives stops a derivative, so the differences are of the loss itself.
TEST_P(Networks, GradientOfTheLossMatchesFiniteDifferences) {
  const Case& c = GetParam();
  ObjectiveOptions options{.kind = c.objective, .strip = 0.5};
  options.times.quantile = [](double u) { return 0.1 + 0.7 * u; };  // between the floors, where the loss has no kinks
  if (needs_teacher(c.objective)) {
    ModelOptions teacher = model_of(Network::mlp, Role::velocity, nn::Function::tanh);
    const std::vector<double> w = random_weights(teacher);
    options.teacher = std::make_shared<const Teacher>(Teacher{teacher, {w.begin(), w.end()}});
  }
  nn::Graph graph;
  Objective objective(graph, c.model, options, batch);
  nn::Program<double> program(graph, {objective.loss}, nn::gradient(graph, objective.loss, graph.parameter_tensors()));
  Matrix<float> x0(batch, dimensions), x1(batch, dimensions);
  fill_normal(Rng{1, 1}, 0, VectorView<float>(x0.data(), batch * dimensions));
  fill_normal(Rng{1, 2}, 0, VectorView<float>(x1.data(), batch * dimensions));
  const std::vector<std::int32_t> labels = {2, 0, 2};
  objective.load(program, {x0.view(), x1.view(), labels}, 1, 0);

  std::vector<double> weights = random_weights(c.model), result(weights.size()), unused(weights.size());
  if (c.model.network == Network::residual_flow) settle(c.model, weights);
  program.run(weights, result);
  const double loss = program.scalar(objective.loss);
  std::vector<char> state(weights.size());
  for (const nn::Parameter& p : graph.parameters()) std::fill_n(state.begin() + p.offset, p.size(), p.state);
  constexpr double h = 1e-5;
  for (std::size_t i = 0; i < weights.size(); i += 3) {
    const double w = weights[i];
    if (state[i]) continue;
    weights[i] = w + h;
    program.run(weights, unused);
    const double up = program.scalar(objective.loss);
    weights[i] = w - h;
    program.run(weights, unused);
    weights[i] = w;
    const double expected = (up - program.scalar(objective.loss)) / (2 * h);
    ASSERT_NEAR(result[i], expected, 1e-6 * (1 + loss + std::abs(expected))) << "weight " << i;
  }
}

TEST_P(Networks, InferenceIsTheRecordedModelInFloat) {
  const ModelOptions& options = GetParam().model;
  const std::vector<double> weights = random_weights(options);
  const std::vector<float> rounded(weights.begin(), weights.end());
  nn::Graph graph;
  const TimeColumns start(graph, 5);
  const nn::Tensor end = graph.input(5, 1), x = graph.input(5, dimensions), labels = graph.input(5, 1);
  const nn::Tensor out = options.role == Role::velocity   ? record_velocity(graph, options, start, x, {labels})
                         : options.role == Role::flow_map ? record_flow_map(graph, options, start, end, x, {labels}).x
                                                          : record_neural_flow(graph, options, end, x, {labels});
  nn::Program<double> exact(graph, {out}, {});
  Matrix<float> points(5, dimensions), result(5, dimensions);
  fill_normal(Rng{1, 1}, 0, VectorView<float>(points.data(), 5 * dimensions));
  std::copy_n(points.data(), 5 * dimensions, exact.view(x).data);
  const std::vector<std::int32_t> classes = {0, 2, 1, 0, 2};
  const double s = options.role == Role::neural_flow ? 0 : 0.35, t = options.role == Role::velocity ? s : 0.8;
  const auto run_exact = [&](bool with_class) {
    for (Index i = 0; i < 5; ++i) {
      start.set(exact, options, i, s);
      if (exact.view(end).data) exact.view(end)(i, 0) = t;
      if (exact.view(labels).data) exact.view(labels)(i, 0) = with_class ? classes[static_cast<std::size_t>(i)] : 3;
    }
    exact.run(std::vector<double>(rounded.begin(), rounded.end()));
    return std::vector<double>(exact.view(out).data, exact.view(out).data + 5 * dimensions);
  };
  const auto run = [&](const Condition& condition) {
    if (options.role == Role::velocity) {
      VelocityModel(options, rounded, 2)(s, points.view(), result.view(), condition);
    } else {
      FlowMapModel(options, rounded, 2)(s, t, points.view(), result.view(), condition);
    }
  };
  const bool has_classes = options.classes > 0;
  if (has_classes) {
    // A class for all rows, as set_class says, is each row's label.
    Matrix<float> named(5, dimensions);
    const std::vector<std::int32_t> ones(5, 1);
    run({.labels = ones, .guidance = 1.5});
    if (options.role == Role::velocity) {
      VelocityModel model(options, rounded, 2);
      model.set_class(1, 1.5);
      model(s, points.view(), named.view());
    } else {
      FlowMapModel model(options, rounded, 2);
      model.set_class(1, 1.5);
      model(s, t, points.view(), named.view());
    }
    EXPECT_TRUE(std::equal(named.data(), named.data() + 5 * dimensions, result.data()));
  }
  const std::vector<double> plain = run_exact(false), labelled = run_exact(true);
  for (const double guidance : {1.0, 2.5}) {
    run({.labels = has_classes ? std::span<const std::int32_t>(classes) : std::span<const std::int32_t>(),
         .guidance = guidance});
    for (std::size_t k = 0; k < plain.size(); ++k) {
      const double expected = has_classes ? plain[k] + guidance * (labelled[k] - plain[k]) : plain[k];
      ASSERT_NEAR(result.data()[k], expected, 2e-5 * (1 + std::abs(expected))) << "element " << k;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Networks, testing::ValuesIn(cases()), [](const auto& info) { return info.param.name; });

TEST(FlowMap, StaysWhereNoTimePasses) {
  Matrix<float> x(5, dimensions), out(5, dimensions);
  fill_normal(Rng{1, 1}, 0, VectorView<float>(x.data(), 5 * dimensions));
  for (const Network network : {Network::residual_mlp, Network::mlp, Network::dit, Network::residual_flow}) {
    for (const Role role : {Role::flow_map, Role::neural_flow}) {
      if (network == Network::residual_flow && role == Role::flow_map) continue;
      const ModelOptions options = model_of(network, role, nn::Function::silu);
      const std::vector<double> weights = random_weights(options);
      FlowMapModel model(options, std::vector<float>(weights.begin(), weights.end()), 4);
      const double t = role == Role::flow_map ? 0.3 : 0;
      model(t, t, x.view(), out.view());
      EXPECT_TRUE(std::equal(x.data(), x.data() + 5 * dimensions, out.data()));
    }
  }
}

TEST(FlowMap, SamplesInJumps) {
  const ModelOptions options = model_of(Network::residual_mlp, Role::flow_map, nn::Function::gelu);
  const std::vector<double> weights = random_weights(options);
  const std::vector<float> rounded(weights.begin(), weights.end());
  FlowMapModel model(options, rounded, 4);
  Matrix<float> x(5, dimensions), y(5, dimensions), z(5, dimensions);
  fill_normal(Rng{1, 1}, 0, VectorView<float>(x.data(), 5 * dimensions));
  model(0, 0.5, x.view(), y.view());
  model(0.5, 1, y.view(), z.view());
  sample_map(model, x.view(), 2);
  EXPECT_TRUE(std::equal(x.data(), x.data() + 5 * dimensions, z.data()));
  EXPECT_THROW(sample_map(model, x.view(), 0), Error);
  const ModelOptions one = model_of(Network::mlp, Role::neural_flow, nn::Function::gelu);
  FlowMapModel neural(one, std::vector<float>(static_cast<std::size_t>(weight_count(one))), 4);
  EXPECT_NO_THROW(sample_map(neural, x.view(), 1));
  EXPECT_THROW(sample_map(neural, x.view(), 2), Error);
  EXPECT_THROW(neural(0.5, 1, x.view(), y.view()), Error);
  EXPECT_THROW(VelocityModel(one, std::vector<float>(static_cast<std::size_t>(weight_count(one)))), Error);
}

// The flow map of a flow_map model on the diagonal is its velocity field.
TEST(FlowMap, HasTheVelocityOfItsShortestJumps) {
  const ModelOptions options = model_of(Network::mlp, Role::flow_map, nn::Function::tanh);
  const std::vector<double> weights = random_weights(options);
  const std::vector<float> rounded(weights.begin(), weights.end());
  VelocityModel velocity(options, rounded, 8);
  FlowMapModel map(options, rounded, 8);
  Matrix<float> x(5, dimensions), v(5, dimensions), moved(5, dimensions);
  fill_normal(Rng{1, 1}, 0, VectorView<float>(x.data(), 5 * dimensions));
  velocity(0.4, x.view(), v.view());
  constexpr double h = 1e-3;
  map(0.4, 0.4 + h, x.view(), moved.view());
  for (Index k = 0; k < 5 * dimensions; ++k) {
    // A jump differs by h^2 and floats by 1e-7.
    EXPECT_NEAR((moved.data()[k] - x.data()[k]) / h, v.data()[k], 1e-2 * (1 + std::abs(v.data()[k])));
  }
}

// Each block is h + t g(h) with g of Lipschitz constant at most L, so distances change by factors in [1 - L, 1 + L].
TEST(ResidualFlow, IsBiLipschitz) {
  ModelOptions options = model_of(Network::residual_flow, Role::neural_flow, nn::Function::gelu);
  options.dimensions = 2;
  options.width = 32;
  options.lipschitz = 0.8;
  std::vector<double> weights = random_weights(options, 3);
  settle(options, weights);
  nn::Graph graph;
  const nn::Tensor t = graph.input(200, 1), x = graph.input(200, 2);
  const nn::Tensor y = record_neural_flow(graph, options, t, x);
  nn::Program<double> program(graph, {y}, {});
  fill_normal(Rng{1, 5}, 0, VectorView<double>(program.view(x).data, 400));
  std::fill_n(program.view(t).data, 200, 1.0);
  program.run(weights);
  const MatrixView<double> from = program.view(x), to = program.view(y);
  double least = 10, most = 0;
  for (Index i = 0; i < 200; ++i) {
    for (Index j = 0; j < i; ++j) {
      const double before = std::hypot(from(i, 0) - from(j, 0), from(i, 1) - from(j, 1));
      const double ratio = std::hypot(to(i, 0) - to(j, 0), to(i, 1) - to(j, 1)) / before;
      least = std::min(least, ratio);
      most = std::max(most, ratio);
    }
  }
  EXPECT_GE(least, std::pow(0.2, 2) - 1e-6);
  EXPECT_LE(most, std::pow(1.8, 2) + 1e-6);
  EXPECT_GT(most - least, 0.05) << "the map is hardly more than a translation";
}

TEST(Dropout, KeepsTheMeanAndTheSameStepTheSameMask) {
  nn::Graph graph;
  Dropout dropout(0.3);
  const nn::Tensor x = graph.input(100, 101), y = dropout(graph, x);
  nn::Program<double> program(graph, {y}, {});
  const auto masked = [&](std::uint64_t step) {
    std::fill_n(program.view(x).data, 10'100, 1.0);
    dropout.fill(program, 4, step);
    program.run({});
    return std::vector<double>(program.view(y).data, program.view(y).data + 10'100);
  };
  const std::vector<double> first = masked(1);
  EXPECT_NE(first, masked(2));
  EXPECT_EQ(first, masked(1));
  double mean = 0;
  for (const double v : first) {
    EXPECT_TRUE(v == 0 || std::abs(v - 1 / 0.7) < 1e-12);
    mean += v / 10'100;
  }
  EXPECT_NEAR(mean, 1, 5 * std::sqrt(0.3 / 0.7 / 10'100));  // five standard deviations
}

TEST(Models, RefuseWhatTheyCannotBe) {
  const auto refuses = [](auto&& change) {
    ModelOptions o = model_of(Network::dit, Role::velocity, nn::Function::gelu);
    change(o);
    EXPECT_THROW(weight_count(o), Error);
  };
  refuses([](ModelOptions& o) { o.heads = 3; });
  refuses([](ModelOptions& o) { o.image.patch = 3; });
  refuses([](ModelOptions& o) { o.image.height = 5; });
  refuses([](ModelOptions& o) { o.time_features = 0; });
  refuses([](ModelOptions& o) { o.network = Network::residual_flow; });
  refuses([](ModelOptions& o) { o.network = Network::mlp, o.blocks = 0; });
  refuses([](ModelOptions& o) { o.network = Network::residual_flow, o.role = Role::neural_flow, o.blocks = 0; });
  refuses([](ModelOptions& o) { o.activation = nn::Function::logarithm; });
  refuses([](ModelOptions& o) { o.dropout = 1; });
  refuses([](ModelOptions& o) { o.path.bridge = -1; });
  ModelOptions labelled = model_of(Network::mlp, Role::velocity, nn::Function::gelu);
  labelled.classes = 3;
  VelocityModel model(labelled, std::vector<float>(static_cast<std::size_t>(weight_count(labelled))));
  Matrix<float> x(2, dimensions), v(2, dimensions);
  fill_normal(Rng{1, 1}, 0, VectorView<float>(x.data(), 2 * dimensions));
  const std::vector<std::int32_t> wrong = {0, 4}, few = {0};
  EXPECT_THROW(model(0.5, x.view(), v.view(), {.labels = wrong}), Error);
  EXPECT_THROW(model(0.5, x.view(), v.view(), {.labels = few}), Error);
  EXPECT_THROW(model.set_class(3), Error);
}

}  // namespace
}  // namespace monge::flow
