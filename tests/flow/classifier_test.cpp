#include "monge/flow/classifier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "monge/flow/features.h"
#include "monge/flow/nn/layers.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

constexpr Index dimensions = 7, classes = 3;

struct Points {
  Matrix<float> x;
  std::vector<std::int32_t> labels;
};

// Three Gaussians of deviation 0.5 whose means are 2 sqrt(2) from each other.
Points clusters(Index n, std::uint64_t seed) {
  Points points{Matrix<float>(n, dimensions), {}};
  fill_normal(Rng{seed}, 0, {points.x.data(), n * dimensions});
  for (Index i = 0; i < n; ++i) {
    points.labels.push_back(static_cast<std::int32_t>(i % classes));
    for (Index j = 0; j < dimensions; ++j) points.x(i, j) = 0.5f * points.x(i, j) + (j == i % classes ? 2.0f : 0.0f);
  }
  return points;
}

const ClassifierOptions shape{.dimensions = dimensions, .hidden = {24, 5}, .classes = classes};

std::vector<float> trained(const Points& points, int threads = 0) {
  const ClassifierTraining training{.epochs = 20, .batch = 50, .seed = 3, .context = {.threads = threads}};
  return train_classifier(shape, points.x.view(), points.labels, training).weights;
}

TEST(CrossEntropy, IsTheMeanNegativeLogLikelihood) {
  constexpr Index rows = 5, cols = 4;
  // Rows with a common shift, and with logits so far apart that their exponentials overflow or vanish.
  const double logits[rows][cols] = {
      {0, 0, 0, 0}, {1, -2, 0.5, 3}, {1001, 998, 1000.5, 1003}, {-1e4, 0, 1e4, 5}, {-90, 20, 0, 0}};
  const std::int32_t labels[rows] = {2, 0, 0, 2, 0};
  nn::Graph graph;
  const nn::Tensor x = graph.input(rows, cols), y = graph.input(rows, 1);
  const nn::Tensor loss = nn::cross_entropy(graph, x, y);
  nn::Program<float> program(graph, {loss}, {});
  double expected = 0;
  for (Index i = 0; i < rows; ++i) {
    const double largest = *std::max_element(logits[i], logits[i] + cols);
    double sum = 0;
    for (Index j = 0; j < cols; ++j) {
      program.view(x)(i, j) = static_cast<float>(logits[i][j]);
      sum += std::exp(logits[i][j] - largest);
    }
    program.view(y)(i, 0) = static_cast<float>(labels[i]);
    expected += (largest + std::log(sum) - logits[i][labels[i]]) / rows;
  }
  program.run({});
  EXPECT_NEAR(program.scalar(loss), expected, 1e-6 * 1e4);  // float, of logits of 1e4
  program.view(y)(0, 0) = cols;
  EXPECT_THROW(program.run({}), Error);
}

TEST(Classifier, TellsClustersApart) {
  const Points train = clusters(600, 1), test = clusters(300, 2);
  Classifier classifier(shape, trained(train), 64);
  // Half the distance of two means is 2.8 deviations: the best rule errs for 0.5% of the points.
  EXPECT_GT(accuracy(classifier(test.x.view()).logits.view(), test.labels), 0.97);
  EXPECT_NEAR(accuracy(classifier(test.x.view()).logits.view(), std::vector<std::int32_t>(300, 1)), 1.0 / 3, 0.02);
}

// Layer by layer in double.
TEST(Classifier, IsItsLayers) {
  const Points points = clusters(131, 4);  // two batches and a short one
  const std::vector<float> weights = trained(points);
  const std::vector<nn::Parameter> table = parameter_table(shape);
  ASSERT_EQ(table.size(), 6u);
  EXPECT_EQ(table[3].name, "layer1.bias");
  EXPECT_EQ(table[3].offset, 24 * dimensions + 24 + 5 * 24);
  const Classified out = Classifier(shape, weights, 64)(points.x.view());
  ASSERT_EQ(out.features.cols(), 5);
  for (const Index i : {0, 63, 64, 130}) {
    std::vector<double> h(points.x.view().row(i), points.x.view().row(i) + dimensions), features;
    for (std::size_t layer = 0; layer < 3; ++layer) {
      const nn::Parameter &w = table[2 * layer], &b = table[2 * layer + 1];
      features = h;
      std::vector<double> next;
      for (Index k = 0; k < w.rows; ++k) {
        double z = weights[static_cast<std::size_t>(b.offset + k)];
        for (Index j = 0; j < w.cols; ++j)
          z += weights[static_cast<std::size_t>(w.offset + k * w.cols + j)] * h[static_cast<std::size_t>(j)];
        const double u = std::sqrt(2 / std::numbers::pi) * (z + 0.044715 * z * z * z);
        next.push_back(layer < 2 ? 0.5 * z * (1 + std::tanh(u)) : z);
      }
      h = next;
    }
    for (Index k = 0; k < 5; ++k) EXPECT_NEAR(out.features(i, k), features[static_cast<std::size_t>(k)], 1e-4);
    for (Index k = 0; k < classes; ++k) EXPECT_NEAR(out.logits(i, k), h[static_cast<std::size_t>(k)], 1e-4);
  }
}

TEST(Classifier, TrainsToTheSameBitsAtAnyThreadCount) {
  const Points points = clusters(400, 5);
  EXPECT_EQ(trained(points, 1), trained(points, 3));
}

TEST(Classifier, FeaturesTellNoiseFromData) {
  const Points a = clusters(600, 1), b = clusters(600, 2);
  Matrix<float> noise(600, dimensions);
  fill_normal(Rng{9}, 0, {noise.data(), 600 * dimensions});
  Classifier classifier(shape, trained(a));
  const auto features = [&](const Matrix<float>& x) { return classifier(x.view()).features; };
  const Matrix<float> fa = features(a.x), fb = features(b.x), fn = features(noise);
  EXPECT_GT(frechet_distance(fn.view(), fb.view()), 20 * frechet_distance(fa.view(), fb.view()));
}

TEST(Classifier, CanBeStopped) {
  const Points points = clusters(100, 6);
  int calls = 0;
  const ClassifierTraining training{.batch = 50, .progress = [&](const ClassifierProgress& at) {
                                      EXPECT_EQ(at.steps, 40u);  // 20 passes of two batches
                                      return at.step < 5 && ++calls;
                                    }};
  EXPECT_EQ(train_classifier(shape, points.x.view(), points.labels, training).status, ot::Status::stopped_by_caller);
  EXPECT_EQ(calls, 4);
}

TEST(Classifier, RefusesWhatMakesNoSense) {
  Points points = clusters(30, 7);
  const auto refused = [&](ClassifierOptions options, ClassifierTraining training = {}) {
    EXPECT_THROW(train_classifier(options, points.x.view(), points.labels, training), Error);
  };
  refused({.dimensions = 6, .hidden = {4}, .classes = 3});
  refused({.dimensions = 7, .hidden = {}, .classes = 3});
  refused({.dimensions = 7, .hidden = {4, 0}, .classes = 3});
  refused({.dimensions = 7, .hidden = {4}, .classes = 2});  // there is a label 2
  refused(shape, {.dropout = 1});
  refused(shape, {.epochs = 0});
  points.x(3, 2) = NAN;
  try {
    train_classifier(shape, points.x.view(), points.labels);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Errc::not_finite);
  }
  EXPECT_THROW(Classifier(shape, std::vector<float>(3)), Error);
  EXPECT_THROW(Classifier(shape, std::vector<float>(static_cast<std::size_t>(24 * 8 + 5 * 25 + 3 * 6)))(
                   Matrix<float>(2, 6).view()),
               Error);
}

}  // namespace
}  // namespace monge::flow
