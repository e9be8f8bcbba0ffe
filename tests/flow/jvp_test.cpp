#include <algorithm>
#include <utility>

#include "monge/ot/core/error.h"
#include "operations.h"

namespace monge::flow::nn {
namespace {

// The tangent of record(g) along fixed random tangents of all parameters.
Tensor recorded_tangent(Graph& g, const std::function<Tensor(Graph&)>& record) {
  const Tensor output = record(g);
  std::vector<Tensor> tangents;
  for (const Parameter& p : g.parameters()) {
    tangents.push_back(g.constant(p.rows, p.cols, normals(p.size(), static_cast<std::uint64_t>(50 + p.offset))));
  }
  return jvp(g, {output}, g.parameter_tensors(), tangents)[0];
}

class Jvp : public testing::TestWithParam<Case> {};

// Against central differences of the outputs along the same direction.
TEST_P(Jvp, MatchesFiniteDifferences) {
  Graph g;
  Tensor output;
  const Tensor tangent = recorded_tangent(g, [&](Graph& graph) { return output = GetParam().record(graph); });
  Program<double> program(g, {output, tangent}, {});
  const std::vector<double> weights = normals(g.weight_count(), 1);
  const auto moved = [&](double h) {
    std::vector<double> w = weights;
    for (const Parameter& p : g.parameters()) {
      const std::vector<double> direction = normals(p.size(), static_cast<std::uint64_t>(50 + p.offset));
      for (Index k = 0; k < p.size(); ++k) {
        w[static_cast<std::size_t>(p.offset + k)] += h * direction[static_cast<std::size_t>(k)];
      }
    }
    program.run(w);
    const MatrixView<double> out = program.view(output);
    return std::vector<double>(out.data, out.data + out.rows * out.cols);
  };
  constexpr double h = 1e-5;
  const std::vector<double> up = moved(h), down = moved(-h);
  program.run(weights);
  for (std::size_t i = 0; i < up.size(); ++i) {
    const double expected = (up[i] - down[i]) / (2 * h);
    ASSERT_NEAR(program.view(tangent).data[i], expected, 1e-7 * (1 + std::abs(expected))) << "element " << i;
  }
}

class GradientOfJvp : public testing::TestWithParam<Case> {};

TEST_P(GradientOfJvp, MatchesFiniteDifferences) {
  expect_gradient_is_right([](Graph& g) { return project(g, recorded_tangent(g, GetParam().record)); });
}

INSTANTIATE_TEST_SUITE_P(Operations, Jvp, testing::ValuesIn(cases()), [](const auto& info) { return info.param.name; });

// The third derivatives of activations are not kept.
std::vector<Case> twice_differentiable() {
  std::vector<Case> all = cases();
  std::erase_if(all, [](const Case& c) { return c.derivatives < 2; });
  return all;
}

INSTANTIATE_TEST_SUITE_P(Operations, GradientOfJvp, testing::ValuesIn(twice_differentiable()),
                         [](const auto& info) { return info.param.name; });

TEST(Jvp, AnOutputThatNoVariableReachesHasTheTangentZero) {
  Graph g;
  const Tensor a = free_parameter(g, 2, 3), b = free_parameter(g, 2, 3);
  const Tensor tangent = jvp(g, {g.scale(a, 2)}, {b}, {a})[0];
  Program<double> program(g, {tangent}, {});
  program.run(std::vector<double>(12, 1.0));
  EXPECT_TRUE(std::all_of(program.view(tangent).data, program.view(tangent).data + 6, [](double x) { return x == 0; }));
  EXPECT_THROW(jvp(g, {a}, {b}, {}), Error);
  EXPECT_THROW(jvp(g, {a}, {b}, {g.constant(1, 1, {1})}), Error);
}

TEST(Stop, IsAConstantToBothModes) {
  Graph g;
  const Tensor a = free_parameter(g, 1, 1);
  const Tensor y = g.multiply(a, g.stop(a));
  const Tensor slope = gradient(g, y, {a})[0], tangent = jvp(g, {y}, {a}, {g.constant(1, 1, {1})})[0];
  Program<double> program(g, {y, slope, tangent}, {});
  program.run(std::vector<double>{3});
  EXPECT_EQ(program.scalar(y), 9);
  EXPECT_EQ(program.scalar(slope), 3);
  EXPECT_EQ(program.scalar(tangent), 3);
}

TEST(Freeze, RecordsParametersAsConstants) {
  Graph source, g;
  source.parameter("a", 1, 2, {});
  source.parameter("b", 1, 2, {});
  const std::vector<float> values = {1, 2, 3, 4};
  g.freeze(&source.parameters(), values);
  const Tensor frozen = g.parameter("b", 1, 2, {});
  EXPECT_THROW(g.parameter("c", 1, 2, {}), Error);
  g.freeze(nullptr);
  const Tensor free = g.parameter("b", 1, 2, {});
  EXPECT_EQ(g.parameter("b", 1, 2, {}), free) << "the same name is the same parameter";
  const Tensor sum = g.add(frozen, free);
  Program<double> program(g, {sum}, {});
  program.run(std::vector<double>{10, 20});
  EXPECT_EQ(program.view(sum)(0, 0), 13);
  EXPECT_EQ(program.view(sum)(0, 1), 24);
  EXPECT_THROW(g.freeze(&source.parameters(), std::span(values).first(3)), Error);
}

}  // namespace
}  // namespace monge::flow::nn
