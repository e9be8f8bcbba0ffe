#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "monge/flow/nn/layers.h"
#include "monge/flow/nn/program.h"
#include "monge/ot/core/random.h"

// Every operation once or more, for the tests of derivatives.
namespace monge::flow::nn {

inline std::vector<double> normals(Index count, std::uint64_t stream) {
  std::vector<double> values(static_cast<std::size_t>(count));
  fill_normal(Rng{7, stream}, 0, VectorView<double>(values));
  return values;
}

inline Tensor free_parameter(Graph& g, Index rows, Index cols) {
  return g.parameter("p" + std::to_string(g.parameters().size()), rows, cols, {});
}

// sum_ij w_ij t_ij with fixed random w: a scalar whose gradient exercises every element of t.
inline Tensor project(Graph& g, Tensor t) {
  const Node n = g.node(t);
  return g.sum(g.multiply(t, g.constant(n.rows, n.cols, normals(n.rows * n.cols, 99))), 1, 1);
}

inline double evaluate(Program<double>& program, Tensor scalar, const std::vector<double>& weights) {
  program.run(weights);
  return program.scalar(scalar);
}

// The recorded gradient against central differences, element by element.
inline void expect_gradient_is_right(const std::function<Tensor(Graph&)>& record) {
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
  int derivatives = 2;                   // that can be taken, one after the other
};

inline std::vector<Case> cases() {
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
      {"gelu", Function::gelu},          {"silu", Function::silu},     {"selu", Function::selu},
      {"tanh", Function::tanh},          {"cosine", Function::cosine}, {"exponential", Function::exponential},
      {"logarithm", Function::logarithm}};
  for (const auto& [name, f] : functions) {
    for (const int order : {0, 1}) {
      const bool positive = f == Function::logarithm;
      all.push_back({std::string(name) + "_" + std::to_string(order),
                     [=](Graph& g) {
                       const Tensor x = p(g, 3, 11);
                       return g.activation(f, positive ? g.add(g.multiply(x, x), g.constant(1, 1, {0.5})) : x, order);
                     },
                     2 - order});
    }
    if (f == Function::logarithm) continue;
    all.push_back({std::string("linear_then_") + name,
                   [=](Graph& g) { return g.activation(f, g.linear(p(g, 3, 4), p(g, 5, 4), p(g, 1, 5))); }});
  }
  all.push_back({"normalize", [=](Graph& g) { return g.normalize(p(g, 3, 37)); }});
  all.push_back({"normalize_jacobian_of_its_vector",
                 [=](Graph& g) { return g.normalize_jacobian(g.constant(3, 37, normals(3 * 37, 5)), p(g, 3, 37)); }});
  all.push_back({"normalize_jacobian", [=](Graph& g) { return g.normalize_jacobian(p(g, 3, 7), p(g, 3, 7)); }});
  all.push_back({"inverse_deviation", [=](Graph& g) { return g.inverse_deviation(p(g, 3, 7)); }});
  all.push_back({"softmax", [=](Graph& g) { return g.softmax(p(g, 3, 7)); }});
  all.push_back({"log_sum_exp", [=](Graph& g) { return g.log_sum_exp(p(g, 3, 7)); }});
  all.push_back({"cross_entropy", [=](Graph& g) {
                   return cross_entropy(g, p(g, 4, 3), g.constant(4, 1, {2, 0, 2, 1}));
                 }});
  all.push_back({"add_groups_of_rows", [=](Graph& g) { return g.add(p(g, 6, 5), p(g, 2, 5)); }});
  all.push_back({"multiply_groups_of_rows", [=](Graph& g) { return g.multiply(p(g, 3, 1), p(g, 6, 5)); }});
  all.push_back({"sum_groups_of_rows", [=](Graph& g) { return g.sum(p(g, 6, 5), 2, 5); }});
  all.push_back({"sum_groups_of_rows_and_columns", [=](Graph& g) { return g.sum(p(g, 6, 5), 3, 1); }});
  all.push_back({"broadcast_groups_of_rows", [=](Graph& g) { return g.broadcast(p(g, 2, 1), 6, 5); }});
  const PatchGrid grid{.height = 4, .width = 6, .channels = 2, .patch = 2};
  all.push_back({"patches", [=](Graph& g) { return g.patches(p(g, 3, 48), grid); }});
  all.push_back({"unpatch", [=](Graph& g) { return g.unpatch(p(g, 18, 8), grid); }});
  all.push_back({"gather_rows", [=](Graph& g) { return g.gather_rows(p(g, 3, 5), g.constant(4, 1, {2, 0, 2, 1})); }});
  all.push_back({"scatter_rows", [=](Graph& g) {
                   return g.scatter_rows(p(g, 4, 5), g.constant(4, 1, {2, 0, 2, 3}), 5);
                 }});
  // 2 x 3 blocks of 2 x 3 by 3 x 4, every layout and transposition.
  for (int form = 0; form < 32; ++form) {
    const bool ta = form & 1, tb = form & 2;
    const auto layout = [form](int bit) { return form >> bit & 1 ? Layout::stacked : Layout::beside; };
    const auto blocks = [=](Graph& g, Index rows, Index cols, Layout l) {
      return Graph::Blocks{l == Layout::stacked ? p(g, 6 * rows, cols) : p(g, 2 * rows, 3 * cols), l};
    };
    all.push_back({"block_matmul_" + std::to_string(form), [=](Graph& g) {
                     const auto a = blocks(g, ta ? 3 : 2, ta ? 2 : 3, layout(2));
                     const auto b = blocks(g, tb ? 4 : 3, tb ? 3 : 4, layout(3));
                     return g.block_matmul(a, b, ta, tb, layout(4), 2, 3);
                   }});
  }
  // Attention over 2 x 4 rows, two heads of 3.
  all.push_back({"attention", [=](Graph& g) {
                   const Tensor q = p(g, 8, 6), k = p(g, 8, 6), v = p(g, 8, 6);
                   const Layout rows = Layout::beside, maps = Layout::stacked;
                   const Tensor scores = g.block_matmul({q, rows}, {k, rows}, false, true, maps, 2, 2);
                   return g.block_matmul({g.softmax(scores), maps}, {v, rows}, false, false, rows, 2, 2);
                 }});
  all.push_back({"used_twice", [=](Graph& g) {
                   const Tensor a = p(g, 4, 4), b = g.activation(Function::gelu, g.matmul(a, a));
                   return g.add(g.multiply(b, a), g.matmul(b, a, true, false));
                 }});
  return all;
}

}  // namespace monge::flow::nn
