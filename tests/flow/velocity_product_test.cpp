#include "monge/flow/velocity_product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "monge/flow/likelihood.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

std::vector<float> random_weights(const ModelOptions& options, double scale) {
  std::vector<float> weights(static_cast<std::size_t>(weight_count(options)));
  fill_normal(Rng{3, 0}, 0, VectorView<float>(weights));
  for (float& w : weights) w *= static_cast<float>(scale);
  return weights;
}

Matrix<float> normals(Index rows, Index cols, std::uint64_t stream) {
  Matrix<float> x(rows, cols);
  fill_normal(Rng{1, stream}, 0, VectorView<float>(x.data(), rows * cols));
  return x;
}

std::vector<ModelOptions> models() {
  const ModelOptions base{.dimensions = 5, .width = 17, .blocks = 2, .time_features = 6, .max_frequency = 8};
  std::vector<ModelOptions> all(5, base);
  all[1].prediction = Prediction::velocity;
  all[1].network = Network::mlp;
  all[1].activation = nn::Function::selu;
  all[2].role = Role::flow_map;
  all[2].prediction = Prediction::noise;
  all[3].path.kind = Path::Kind::ve;
  all[4].classes = 3;
  return all;
}

// Against central differences of the same network in double; 11 rows in batches of 4.
TEST(VelocityProduct, IsTheDerivativeAlongW) {
  for (const ModelOptions& options : models()) {
    const std::vector<float> weights = random_weights(options, 0.3);
    const Matrix<float> x = normals(11, 5, 1), w = normals(11, 5, 2);
    Matrix<float> v(11, 5), product(11, 5), expected(11, 5);
    VelocityProductModel model(options, weights, 4);
    VelocityModel velocity(options, weights, 4);
    nn::Graph graph;
    const TimeColumns times(graph, 11);
    const nn::Tensor in = graph.input(11, 5), labels = options.classes > 0 ? graph.input(11, 1) : nn::Tensor{};
    const nn::Tensor out = record_velocity(graph, options, times, in, {labels});
    nn::Program<double> exact(graph, {out}, {});
    const std::vector<double> doubles(weights.begin(), weights.end());
    for (const double t : {0.05, 0.6}) {
      model(t, x.view(), w.view(), v.view(), product.view());
      velocity(t, x.view(), expected.view());
      for (Index k = 0; k < 55; ++k) EXPECT_NEAR(v.data()[k], expected.data()[k], 1e-5 * (1 + std::abs(v.data()[k])));
      for (Index i = 0; i < 11; ++i) {
        times.set(exact, options, i, t);
        if (options.classes > 0) exact.view(labels)(i, 0) = static_cast<double>(options.classes);
      }
      constexpr double h = 1e-5;
      const auto moved = [&](double step) {
        for (Index k = 0; k < 55; ++k)
          exact.view(in).data[k] = static_cast<double>(x.data()[k]) + step * static_cast<double>(w.data()[k]);
        exact.run(doubles);
        return std::vector<double>(exact.view(out).data, exact.view(out).data + 55);
      };
      const std::vector<double> up = moved(h), down = moved(-h);
      for (std::size_t k = 0; k < 55; ++k) {
        const double slope = (up[k] - down[k]) / (2 * h);
        EXPECT_NEAR(product.data()[k], slope, 1e-4 * (1 + std::abs(slope)));  // floats, times factors of 20
      }
    }
  }
}

// The density that a network's flow makes of the noise, whatever its weights, has mass one.
TEST(VelocityProduct, LikelihoodsOfANetworkAreADensity) {
  const ModelOptions options{.dimensions = 2,
                             .width = 16,
                             .blocks = 2,
                             .time_features = 0,
                             .prediction = Prediction::velocity,
                             .network = Network::mlp,
                             .activation = nn::Function::tanh};
  VelocityProductModel model(options, random_weights(options, 0.4));
  constexpr double h = 0.1;
  constexpr Index side = 140;  // [-7, 7]: noise beyond 5 and velocities of up to 2 or so
  Matrix<float> x(side * side, 2);
  for (Index i = 0; i < side * side; ++i) {
    x(i, 0) = static_cast<float>(-7 + h * (static_cast<double>(i % side) + 0.5));
    x(i, 1) = static_cast<float>(-7 + h * (static_cast<double>(i / side) + 0.5));
  }
  const LikelihoodResult r =
      log_likelihood([&](double t, MatrixView<const float> at, MatrixView<const float> w, MatrixView<float> v,
                         MatrixView<float> product) { model(t, at, w, v, product); },
                     x.view());
  ASSERT_EQ(r.status, ot::Status::converged);
  double mass = 0, square = 0;
  for (const double log_density : r.log_density) mass += std::exp(log_density) * h * h;
  for (Index i = 0; i < x.rows(); ++i) square += std::pow(r.source(i, 0) - x(i, 0), 2) / static_cast<double>(x.rows());
  EXPECT_NEAR(mass, 1, 2e-3);  // sums over a grid of a smooth density, and dopri5 at 1e-5
  EXPECT_GT(square, 0.01);     // it does move points
}

TEST(VelocityProduct, Refusals) {
  ModelOptions options = models()[0];
  const std::vector<float> weights = random_weights(options, 0.3);
  EXPECT_THROW(VelocityProductModel(options, std::vector<float>(3)), Error);
  VelocityProductModel model(options, weights);
  Matrix<float> x = normals(4, 5, 1), few(3, 5), narrow(4, 4);
  EXPECT_THROW(model(0.5, x.view(), few.view(), x.view(), x.view()), Error);
  EXPECT_THROW(model(0.5, x.view(), x.view(), x.view(), narrow.view()), Error);
  options.role = Role::neural_flow;
  EXPECT_THROW(VelocityProductModel(options, weights), Error);
}

}  // namespace
}  // namespace monge::flow
