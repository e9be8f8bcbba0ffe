#include "monge/flow/nn/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow::nn {
namespace {

constexpr std::size_t count = 40'003;  // several chunks, and a tail shorter than a vector

std::vector<float> normals(std::uint64_t stream) {
  std::vector<float> values(count);
  fill_normal(Rng{11, stream}, 0, VectorView<float>(values));
  return values;
}

struct State {
  std::vector<float> w = normals(0), m = std::vector<float>(count), v = std::vector<float>(count), ema = w;
};

constexpr AdamW options{.learning_rate = 3e-3,
                        .beta1 = 0.9,
                        .beta2 = 0.99,
                        .epsilon = 1e-8,
                        .weight_decay = 0.1,
                        .gradient_scale = 0.5,
                        .ema_decay = 0.9};

State run(int steps, int threads) {
  State s;
  for (int k = 1; k <= steps; ++k) {
    AdamW o = options;
    o.step = static_cast<std::uint64_t>(k);
    adamw_step(o, normals(static_cast<std::uint64_t>(k)), s.w, s.m, s.v, s.ema, {.threads = threads});
  }
  return s;
}

// Loshchilov and Hutter's algorithm 2, one element at a time in double.
TEST(AdamW, MatchesThePlainAlgorithm) {
  constexpr int steps = 20;
  const State s = run(steps, 2);
  const std::vector<float> start = normals(0);
  std::vector<std::vector<float>> gradients;
  for (int k = 1; k <= steps; ++k) gradients.push_back(normals(static_cast<std::uint64_t>(k)));
  for (std::size_t i = 0; i < count; ++i) {
    double w = start[i], m = 0, v = 0, ema = w;
    for (int k = 1; k <= steps; ++k) {
      const double g = 0.5 * gradients[static_cast<std::size_t>(k - 1)][i];
      m = 0.9 * m + 0.1 * g;
      v = 0.99 * v + 0.01 * g * g;
      const double m_hat = m / (1 - std::pow(0.9, k)), v_hat = v / (1 - std::pow(0.99, k));
      w -= 3e-3 * (m_hat / (std::sqrt(v_hat) + 1e-8) + 0.1 * w);
      ema = 0.9 * ema + 0.1 * w;
    }
    ASSERT_NEAR(s.w[i], w, 1e-5) << i;
    ASSERT_NEAR(s.ema[i], ema, 1e-5) << i;
    ASSERT_NEAR(s.m[i], m, 1e-5) << i;
    ASSERT_NEAR(s.v[i], v, 1e-5) << i;
  }
}

TEST(AdamW, GivesTheSameBitsAtAnyThreadCount) {
  const State one = run(3, 1), three = run(3, 3);
  EXPECT_EQ(one.w, three.w);
  EXPECT_EQ(one.ema, three.ema);
  EXPECT_EQ(one.m, three.m);
  EXPECT_EQ(one.v, three.v);
}

TEST(Norm, MatchesAPlainSumAndLetsNanThrough) {
  std::vector<float> x = normals(5);
  std::vector<double> partials(static_cast<std::size_t>(norm_partials(count)));
  double sum = 0;
  for (const float xi : x) sum += static_cast<double>(xi) * xi;
  EXPECT_NEAR(norm(x, partials), std::sqrt(sum), 1e-10);
  EXPECT_EQ(norm(x, partials, {.threads = 1}), norm(x, partials, {.threads = 3}));
  x[count - 1] = std::nanf("");
  EXPECT_TRUE(std::isnan(norm(x, partials)));
  EXPECT_THROW(norm(x, std::span(partials).first(1)), Error);
}

}  // namespace
}  // namespace monge::flow::nn
