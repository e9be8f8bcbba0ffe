#include "monge/flow/nn/schedule.h"

namespace monge::flow::nn {
namespace {

constexpr std::size_t at(int id) { return static_cast<std::size_t>(id); }

std::vector<char> reachable(const Graph& graph, const std::vector<Tensor>& roots) {
  std::vector<char> used(graph.nodes().size());
  for (const Tensor t : roots) used[at(t.id)] = true;
  for (int id = static_cast<int>(used.size()) - 1; id >= 0; --id) {
    if (!used[at(id)]) continue;
    for (const int operand : graph.nodes()[at(id)].operands) {
      if (operand >= 0) used[at(operand)] = true;
    }
  }
  return used;
}

}  // namespace

std::array<int, 4> values_read(const Graph& graph, const Step& step) {
  if (step.activation >= 0) return {graph.nodes()[at(step.activation)].operands[0], step.factor, -1, -1};
  const Node& n = graph.nodes()[at(step.node)];
  return {n.operands[0], n.operands[1], n.operands[2], -1};
}

std::vector<Step> schedule(const Graph& graph, const std::vector<Tensor>& roots) {
  const std::vector<Node>& nodes = graph.nodes();
  const std::vector<char> used = reachable(graph, roots);
  std::vector<int> users(nodes.size());
  for (const Tensor t : roots) ++users[at(t.id)];
  for (std::size_t id = 0; id < nodes.size(); ++id) {
    for (const int operand : nodes[id].operands) {
      if (used[id] && operand >= 0) ++users[at(operand)];
    }
  }
  const auto is_factor = [&](const Node& n, int a, int b) {
    const Node &activation = nodes[at(a)], &factor = nodes[at(b)];
    return a != b && activation.op == Op::activation && users[at(a)] == 1 && activation.rows == n.rows &&
           activation.cols == n.cols && factor.rows == n.rows && factor.cols == n.cols;
  };
  std::vector<Step> by_node(nodes.size());
  std::vector<char> fused(nodes.size());
  for (std::size_t id = 0; id < nodes.size(); ++id) {
    const Node& n = nodes[id];
    Step& step = by_node[id];
    step.node = static_cast<int>(id);
    if (!used[id] || n.op != Op::multiply) continue;
    const int a = n.operands[0], b = n.operands[1];
    if (is_factor(n, b, a)) {
      step.activation = b;
      step.factor = a;
    } else if (is_factor(n, a, b)) {
      step.activation = a;
      step.factor = b;
    }
    if (step.activation >= 0) fused[at(step.activation)] = true;
  }
  for (std::size_t id = 0; id < nodes.size(); ++id) {
    const Node& n = nodes[id];
    if (!used[id] || fused[id] || n.op != Op::activation) continue;
    Step& producer = by_node[at(n.operands[0])];
    if (nodes[at(n.operands[0])].op != Op::matmul || producer.activated >= 0) continue;
    producer.activated = static_cast<int>(id);
    fused[id] = true;
  }
  std::vector<Step> steps;
  for (std::size_t id = 0; id < nodes.size(); ++id) {
    if (used[id] && !fused[id] && !is_leaf(nodes[id])) steps.push_back(by_node[id]);
  }
  return steps;
}

double work_of(const Graph& graph, const std::vector<Step>& steps) {
  double total = 0;
  for (const Step& step : steps) {
    const Node& n = graph.nodes()[at(step.node)];
    const Node& a = graph.nodes()[at(n.operands[0])];
    double inner = 10;
    if (n.op == Op::matmul) inner = 2 * static_cast<double>(n.transpose_a ? a.rows : a.cols);
    if (n.op == Op::block_matmul) {
      const Index down = n.layouts[0] == Layout::stacked ? n.batch * n.heads : n.batch;
      inner = 2 * static_cast<double>(n.transpose_a ? a.rows / down : a.cols * down / (n.batch * n.heads));
    }
    total += inner * static_cast<double>(n.rows * n.cols);
  }
  return total;
}

}  // namespace monge::flow::nn
