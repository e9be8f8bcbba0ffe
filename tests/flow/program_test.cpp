#include "monge/flow/nn/program.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow::nn {
namespace {

std::vector<double> normals(Index count, std::uint64_t stream) {
  std::vector<double> values(static_cast<std::size_t>(count));
  fill_normal(Rng{7, stream}, 0, VectorView<double>(values));
  return values;
}

Tensor free_parameter(Graph& g, Index rows, Index cols) {
  return g.parameter("p" + std::to_string(g.parameters().size()), rows, cols, {});
}

// sum_ij w_ij t_ij with fixed random w: a scalar whose gradient exercises every element of t.
Tensor project(Graph& g, Tensor t) {
  const Node n = g.node(t);
  return g.sum(g.multiply(t, g.constant(n.rows, n.cols, normals(n.rows * n.cols, 99))), 1, 1);
}

double evaluate(Program<double>& program, Tensor scalar, const std::vector<double>& weights) {
  program.run(weights);
  return program.scalar(scalar);
}

// The recorded gradient against central differences, element by element.
void expect_gradient_is_right(const std::function<Tensor(Graph&)>& record) {
  Graph graph;
  const Tensor scalar = record(graph);
  Program<double> forward(graph, {scalar}, {});
  const std::vector<Tensor> recorded = gradient(graph, scalar, graph.parameter_tensors());
  Program<double> both(graph, {scalar}, recorded);

  std::vector<double> weights = normals(graph.weight_count(), 1);
  std::vector<double> result(weights.size(), std::nan(""));
  both.run(weights, result);
  EXPECT_DOUBLE_EQ(both.scalar(scalar), evaluate(forward, scalar, weights));
  constexpr double h = 1e-5;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double w = weights[i];
    weights[i] = w + h;
    const double up = evaluate(forward, scalar, weights);
    weights[i] = w - h;
    const double down = evaluate(forward, scalar, weights);
    weights[i] = w;
    const double expected = (up - down) / (2 * h);
    ASSERT_NEAR(result[i], expected, 1e-7 * (1 + std::abs(expected))) << "element " << i;
  }
}

struct Case {
  std::string name;
  std::function<Tensor(Graph&)> record;  // parameters in, any tensor out
};

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto p = free_parameter;
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      all.push_back({std::string("matmul_") + (ta ? "t" : "n") + (tb ? "t" : "n"), [=](Graph& g) {
                       const Tensor a = ta ? p(g, 4, 3) : p(g, 3, 4), b = tb ? p(g, 5, 4) : p(g, 4, 5);
                       return g.matmul(a, b, ta, tb);
                     }});
    }
  }
  all.push_back({"linear_with_bias", [=](Graph& g) { return g.linear(p(g, 3, 4), p(g, 5, 4), p(g, 1, 5)); }});
  struct Shape {
    Index rows, cols;
  };
  const std::pair<const char*, Shape> shapes[] = {
      {"full", {3, 5}}, {"row", {1, 5}}, {"column", {3, 1}}, {"element", {1, 1}}};
  for (const auto& [left, s] : shapes) {
    for (const auto& [right, t] : shapes) {
      const std::string suffix = std::string("_") + left + "_" + right;
      all.push_back({"add" + suffix, [=](Graph& g) { return g.add(p(g, s.rows, s.cols), p(g, t.rows, t.cols)); }});
      all.push_back(
          {"subtract" + suffix, [=](Graph& g) { return g.subtract(p(g, s.rows, s.cols), p(g, t.rows, t.cols)); }});
      all.push_back(
          {"multiply" + suffix, [=](Graph& g) { return g.multiply(p(g, s.rows, s.cols), p(g, t.rows, t.cols)); }});
    }
    all.push_back({std::string("sum_to_") + left, [=](Graph& g) { return g.sum(p(g, 3, 5), s.rows, s.cols); }});
    all.push_back(
        {std::string("broadcast_from_") + left, [=](Graph& g) { return g.broadcast(p(g, s.rows, s.cols), 3, 5); }});
  }
  all.push_back({"square", [=](Graph& g) {
                   const Tensor a = p(g, 3, 5);
                   return g.multiply(a, a);
                 }});
  all.push_back({"add_to_itself", [=](Graph& g) {
                   const Tensor a = p(g, 3, 5);
                   return g.add(a, a);
                 }});
  all.push_back({"scale", [=](Graph& g) { return g.scale(p(g, 3, 5), -1.7); }});
  all.push_back({"mean_square", [=](Graph& g) { return g.mean_square(p(g, 3, 5)); }});
  const std::pair<const char*, Function> functions[] = {
      {"gelu", Function::gelu}, {"silu", Function::silu}, {"cosine", Function::cosine}};
  for (const auto& [name, f] : functions) {
    for (const int order : {0, 1}) {
      all.push_back({std::string(name) + "_" + std::to_string(order),
                     [=](Graph& g) { return g.activation(f, p(g, 3, 11), order); }});
    }
    all.push_back({std::string("linear_then_") + name,
                   [=](Graph& g) { return g.activation(f, g.linear(p(g, 3, 4), p(g, 5, 4), p(g, 1, 5))); }});
  }
  all.push_back({"normalize", [=](Graph& g) { return g.normalize(p(g, 3, 37)); }});
  all.push_back({"normalize_jacobian_of_its_vector",
                 [=](Graph& g) { return g.normalize_jacobian(g.constant(3, 37, normals(3 * 37, 5)), p(g, 3, 37)); }});
  all.push_back({"used_twice", [=](Graph& g) {
                   const Tensor a = p(g, 4, 4), b = g.activation(Function::gelu, g.matmul(a, a));
                   return g.add(g.multiply(b, a), g.matmul(b, a, true, false));
                 }});
  return all;
}

class Vjp : public testing::TestWithParam<Case> {};

TEST_P(Vjp, MatchesFiniteDifferences) {
  expect_gradient_is_right([&](Graph& g) { return project(g, GetParam().record(g)); });
}

INSTANTIATE_TEST_SUITE_P(Operations, Vjp, testing::ValuesIn(cases()), [](const auto& info) { return info.param.name; });

TEST(Program, GradientOfAGradient) {
  // d/dw of |d/dx sum f(x w)|^2, recorded by running the reverse pass twice.
  expect_gradient_is_right([](Graph& g) {
    const Tensor x = free_parameter(g, 4, 3), w = free_parameter(g, 5, 3);
    const Tensor y = g.sum(g.activation(Function::gelu, g.linear(x, w)), 1, 1);
    return g.mean_square(gradient(g, y, {x})[0]);
  });
}

TEST(Program, GradientsThatShareATensorEachArrive) {
  Graph g;
  const Tensor a = free_parameter(g, 2, 3), b = free_parameter(g, 2, 3);
  free_parameter(g, 1, 2);  // the scalar does not depend on it
  const Tensor loss = g.sum(g.add(a, b), 1, 1);
  Program<double> program(g, {loss}, gradient(g, loss, g.parameter_tensors()));
  const std::vector<double> weights(14, 3.0);
  std::vector<double> result(14, -1);
  program.run(weights, result);
  EXPECT_EQ(result, (std::vector<double>{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0}));
}

template <class T>
class Products : public testing::Test {};
using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(Products, Reals);

// Products larger than a tile, odd sizes, against plain loops in double; the activation is fused to the tiles.
TYPED_TEST(Products, MatchPlainLoops) {
  using T = TypeParam;
  constexpr Index rows = 261, cols = 519, inner = 70;
  for (const int form : {0, 1, 2, 3}) {
    const bool ta = form & 1, tb = form & 2;
    Graph g;
    const Tensor a = ta ? g.input(inner, rows) : g.input(rows, inner);
    const Tensor b = tb ? g.input(cols, inner) : g.input(inner, cols);
    const Tensor product = g.matmul(a, b, ta, tb), gate = g.activation(Function::silu, product);
    Program<T> program(g, {product, gate}, {});
    EXPECT_EQ(program.steps().size(), 1u) << "the activation belongs to the product";
    const std::vector<double> x = normals(rows * inner, 1), y = normals(cols * inner, 2);
    std::copy(x.begin(), x.end(), program.view(a).data);
    std::copy(y.begin(), y.end(), program.view(b).data);
    program.run({});
    const double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-13;
    for (Index i = 0; i < rows; ++i) {
      for (Index j = 0; j < cols; ++j) {
        double sum = 0;
        for (Index k = 0; k < inner; ++k) {
          sum += x[static_cast<std::size_t>(ta ? k * rows + i : i * inner + k)] *
                 y[static_cast<std::size_t>(tb ? j * inner + k : k * cols + j)];
        }
        ASSERT_NEAR(program.view(product)(i, j), sum, tolerance * 30) << form << ": " << i << ", " << j;
        ASSERT_NEAR(program.view(gate)(i, j), sum / (1 + std::exp(-sum)), tolerance * 30);
      }
    }
  }
}

TYPED_TEST(Products, ActivationsMatchTheirFormulasEverywhere) {
  using T = TypeParam;
  Graph g;
  const Tensor x = g.input(1, 2003);
  const Tensor gelu = g.activation(Function::gelu, x), silu = g.activation(Function::silu, x),
               cosine = g.activation(Function::cosine, x), slope = g.activation(Function::gelu, x, 1);
  Program<T> program(g, {gelu, silu, cosine, slope}, {});
  for (Index i = 0; i < 2003; ++i) program.view(x)(0, i) = static_cast<T>((static_cast<double>(i) - 1001) * 0.1);
  program.view(x)(0, 0) = static_cast<T>(-1e4);
  program.view(x)(0, 2002) = static_cast<T>(1e4);
  program.run({});
  const double e = sizeof(T) == 4 ? 2e-6 : 1e-14;
  for (Index i = 0; i < 2003; ++i) {
    const double v = program.view(x)(0, i), u = std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v * v * v);
    ASSERT_NEAR(program.view(gelu)(0, i), 0.5 * v * (1 + std::tanh(u)), e * (1 + std::abs(v))) << v;
    ASSERT_NEAR(program.view(silu)(0, i), v / (1 + std::exp(-v)), e * (1 + std::abs(v))) << v;
    ASSERT_NEAR(program.view(cosine)(0, i), std::cos(v), e * 4) << v;
    if (std::abs(v) > 20) {
      ASSERT_NEAR(program.view(slope)(0, i), v > 0, e) << v;
    }
  }
}

TYPED_TEST(Products, NormalizedRowsHaveMeanZeroAndVarianceOne) {
  using T = TypeParam;
  for (const Index cols : {1, 3, 16, 37, 512}) {
    Graph g;
    const Tensor x = g.input(7, cols), z = g.normalize(x);
    Program<T> program(g, {z}, {});
    const std::vector<double> values = normals(7 * cols, 3);
    for (Index i = 0; i < 7 * cols; ++i)
      program.view(x).data[i] = static_cast<T>(5 + 3 * values[static_cast<std::size_t>(i)]);
    program.run({});
    for (Index i = 0; i < 7; ++i) {
      double mean = 0, variance = 0;
      for (Index j = 0; j < cols; ++j) mean += program.view(z)(i, j) / static_cast<double>(cols);
      for (Index j = 0; j < cols; ++j)
        variance += std::pow(program.view(z)(i, j) - mean, 2) / static_cast<double>(cols);
      EXPECT_NEAR(mean, 0, 1e-5);
      EXPECT_NEAR(variance, cols > 1 ? 1 : 0, cols > 3 ? 1e-4 : 1e-2);
    }
  }
}

TEST(Program, ReusesMemoryAndDropsWhatIsNotNeeded) {
  Graph g;
  Tensor h = g.input(64, 64);
  g.scale(h, 5);  // nobody reads it
  for (int k = 0; k < 50; ++k) h = g.activation(Function::silu, h);
  Program<float> program(g, {h}, {});
  EXPECT_EQ(program.steps().size(), 50u);
  EXPECT_LE(program.workspace_size(), 3 * 64 * 64);
}

TEST(Program, RefusesShapesThatDoNotFit) {
  Graph g;
  const Tensor a = g.input(2, 3), b = g.input(4, 5);
  EXPECT_THROW(g.matmul(a, b), Error);
  EXPECT_THROW(g.add(a, b), Error);
  EXPECT_THROW(g.sum(a, 2, 2), Error);
  EXPECT_THROW(g.broadcast(a, 4, 3), Error);
  EXPECT_THROW(g.input(0, 3), Error);
  EXPECT_THROW(gradient(g, a, {b}), Error);
  const Tensor w = free_parameter(g, 2, 3);
  EXPECT_THROW(g.parameter("p0", 1, 1, {}), Error);
  Program<float> program(g, {g.add(a, w)}, {});
  EXPECT_THROW(program.run(std::vector<float>(5)), Error);
  EXPECT_THROW(Program<float>(g, {a}, {}, {.device = {DeviceType::cuda, 0}}), Error);
}

}  // namespace
}  // namespace monge::flow::nn
