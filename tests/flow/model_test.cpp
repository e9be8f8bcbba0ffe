#include "monge/flow/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "monge/flow/objective.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

ModelOptions small(Prediction prediction) {
  return {.dimensions = 5, .width = 17, .blocks = 2, .time_features = 6, .max_frequency = 8, .prediction = prediction};
}

// Random weights everywhere, the last layer included, so that every gradient is at work.
std::vector<double> random_weights(const ModelOptions& options) {
  std::vector<double> weights(static_cast<std::size_t>(weight_count(options)));
  fill_normal(Rng{3, 0}, 0, VectorView<double>(weights));
  for (double& w : weights) w *= 0.3;
  return weights;
}

class Model : public testing::TestWithParam<Prediction> {};

TEST_P(Model, GradientOfTheLossMatchesFiniteDifferences) {
  const ModelOptions options = small(GetParam());
  nn::Graph graph;
  Objective objective(graph, options, {}, 4);
  const auto gradients = nn::gradient(graph, objective.loss, graph.parameter_tensors());
  nn::Program<double> program(graph, {objective.loss}, gradients);
  Matrix<float> x0(4, 5), x1(4, 5);
  fill_normal(Rng{1, 1}, 0, VectorView<float>(x0.data(), 20));
  fill_normal(Rng{1, 2}, 0, VectorView<float>(x1.data(), 20));
  objective.load(program, {x0.view(), x1.view()}, 1, 0);
  std::vector<double> weights = random_weights(options), result(weights.size()), unused(weights.size());
  program.run(weights, result);
  constexpr double h = 1e-5;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double w = weights[i];
    weights[i] = w + h;
    program.run(weights, unused);
    const double up = program.scalar(objective.loss);
    weights[i] = w - h;
    program.run(weights, unused);
    weights[i] = w;
    const double expected = (up - program.scalar(objective.loss)) / (2 * h);
    ASSERT_NEAR(result[i], expected, 2e-7 * (1 + std::abs(expected))) << "weight " << i;
  }
}

TEST_P(Model, FloatAndDoubleAgree) {
  const ModelOptions options = small(GetParam());
  nn::Graph graph;
  const TimeColumns times(graph, 3);
  const nn::Tensor x = graph.input(3, 5), v = record_velocity(graph, options, times, x);
  nn::Program<double> exact(graph, {v}, {});
  const std::vector<double> weights = random_weights(options);
  const std::vector<float> rounded(weights.begin(), weights.end());
  VelocityModel model(options, rounded, 8);
  Matrix<float> points(3, 5), velocities(3, 5);
  fill_normal(Rng{1, 1}, 0, VectorView<float>(points.data(), 15));
  std::copy_n(points.data(), 15, exact.view(x).data);
  for (const double t : {0.0, 0.37, 0.97, 1.0}) {
    for (Index i = 0; i < 3; ++i) times.set(exact, options, i, t);
    exact.run(std::vector<double>(rounded.begin(), rounded.end()));
    model(t, points.view(), velocities.view());
    for (Index k = 0; k < 15; ++k) {
      ASSERT_NEAR(velocities.data()[k], exact.view(v).data[k], 1e-5 * (1 + std::abs(exact.view(v).data[k])));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Predictions, Model, testing::Values(Prediction::data, Prediction::velocity),
                         [](const auto& info) { return info.param == Prediction::data ? "data" : "velocity"; });

TEST(ModelTable, NamesEveryWeightOnceWithoutGaps) {
  const ModelOptions options{.dimensions = 784};
  std::set<std::string> names;
  Index next = 0;
  for (const nn::Parameter& p : parameter_table(options)) {
    EXPECT_TRUE(names.insert(p.name).second) << p.name;
    EXPECT_EQ(p.offset, next) << p.name;
    next += p.size();
  }
  EXPECT_EQ(next, weight_count(options));
  EXPECT_TRUE(names.contains("block3.down.weight"));
}

TEST(ModelTable, InitialWeightsDependOnTheSeedAlone) {
  const ModelOptions options = small(Prediction::data);
  const std::size_t count = static_cast<std::size_t>(weight_count(options));
  std::vector<float> a(count), b(count), c(count);
  initialize_weights(options, 5, a);
  initialize_weights(options, 5, b);
  initialize_weights(options, 6, c);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
  // The last layer starts at zero, so the first prediction of the data is their mean for centred data.
  VelocityModel model(options, a, 4);
  Matrix<float> x(1, 5), v(1, 5);
  fill_normal(Rng{1, 1}, 0, VectorView<float>(x.data(), 5));
  model(0.5, x.view(), v.view());
  for (Index j = 0; j < 5; ++j) EXPECT_FLOAT_EQ(v(0, j), -x(0, j) / 0.5f);
}

TEST(VelocityModel, ChunksAndTimesPerRowGiveTheSameVelocities) {
  const ModelOptions options = small(Prediction::data);
  const std::vector<double> weights = random_weights(options);
  const std::vector<float> rounded(weights.begin(), weights.end());
  VelocityModel model(options, rounded, 4), large(options, rounded, 64);
  Matrix<float> x(11, 5), once(11, 5), whole(11, 5), rows(11, 5);
  fill_normal(Rng{1, 1}, 0, VectorView<float>(x.data(), 55));
  model(0.3, x.view(), once.view());
  large(0.3, x.view(), whole.view());
  for (Index k = 0; k < 55; ++k) EXPECT_NEAR(once.data()[k], whole.data()[k], 1e-5);

  std::vector<double> times;
  for (Index i = 0; i < 11; ++i) times.push_back(static_cast<double>(i) / 11);
  model(times, x.view(), rows.view());
  for (Index i = 0; i < 11; ++i) {
    model(times[static_cast<std::size_t>(i)], x.view(), once.view());
    for (Index j = 0; j < 5; ++j) EXPECT_NEAR(rows(i, j), once(i, j), 1e-5);
  }
  EXPECT_THROW(model(0.3, x.view(), MatrixView<float>(rows.data(), 10, 5)), Error);
  EXPECT_THROW(VelocityModel(options, std::vector<float>(3)), Error);
}

}  // namespace
}  // namespace monge::flow
