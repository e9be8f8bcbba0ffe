#include <algorithm>

#include "monge/flow/nn/graph.h"
#include "monge/flow/nn/rules.h"
#include "monge/ot/core/error.h"

namespace monge::flow::nn {
namespace {

// Records the backward pass of one graph: adjoints are ordinary tensors of the same graph.
class Reverse {
 public:
  Reverse(Graph& graph, int count)
      : graph_(graph), adjoint_(static_cast<std::size_t>(count)), needed_(adjoint_.size()) {}

  std::vector<Tensor> run(Tensor scalar, const std::vector<Tensor>& variables) {
    mark(variables);
    if (needed_[index(scalar.id)]) adjoint_[index(scalar.id)] = graph_.constant(1, 1, {1.0});
    for (int id = scalar.id; id >= 0; --id) {
      if (adjoint_[index(id)].id >= 0) propagate(graph_.node({id}), {id}, adjoint_[index(id)]);
    }
    std::vector<Tensor> result;
    for (const Tensor v : variables) {
      const Tensor found = adjoint_[index(v.id)];
      const Node n = graph_.node(v);
      const std::vector<double> zeros(static_cast<std::size_t>(n.rows * n.cols));
      result.push_back(found.id >= 0 ? found : graph_.constant(n.rows, n.cols, zeros));
    }
    return result;
  }

 private:
  static std::size_t index(int id) { return static_cast<std::size_t>(id); }

  // Only what depends on a variable needs an adjoint.
  void mark(const std::vector<Tensor>& variables) {
    for (const Tensor v : variables) needed_[index(v.id)] = true;
    for (std::size_t id = 0; id < needed_.size(); ++id) {
      if (graph_.nodes()[id].op == Op::stop) continue;
      for (const int operand : graph_.nodes()[id].operands) {
        if (operand >= 0 && needed_[index(operand)]) needed_[id] = true;
      }
    }
  }

  bool needs(int id) const { return id >= 0 && needed_[index(id)]; }

  void accumulate(int id, Tensor contribution) {
    Tensor& sum = adjoint_[index(id)];
    sum = sum.id < 0 ? contribution : graph_.add(sum, contribution);
  }

  // A contribution to an operand that was broadcast is summed back to the operand's shape.
  void accumulate_summed(int id, Tensor contribution) {
    const Node n = graph_.node({id});
    accumulate(id, graph_.sum(contribution, n.rows, n.cols));
  }

  // The vector-Jacobian rules. `n` is a copy: recording moves the graph's nodes.
  void propagate(const Node n, Tensor self, Tensor dy) {
    const int a = n.operands[0], b = n.operands[1], c = n.operands[2];
    switch (n.op) {
      case Op::input:
      case Op::constant:
      case Op::parameter:
      case Op::stop:
        break;
      case Op::matmul:
        if (needs(a)) {
          accumulate(a, n.transpose_a ? graph_.matmul({b}, dy, n.transpose_b, true)
                                      : graph_.matmul(dy, {b}, false, !n.transpose_b));
        }
        if (needs(b)) {
          accumulate(b, n.transpose_b ? graph_.matmul(dy, {a}, true, n.transpose_a)
                                      : graph_.matmul({a}, dy, !n.transpose_a, false));
        }
        if (needs(c)) accumulate_summed(c, dy);
        break;
      case Op::block_matmul:
        block_matmul(n, dy);
        break;
      case Op::add:
        if (needs(a)) accumulate_summed(a, dy);
        if (needs(b)) accumulate_summed(b, dy);
        break;
      case Op::subtract:
        if (needs(a)) accumulate_summed(a, dy);
        if (needs(b)) accumulate_summed(b, graph_.scale(dy, -1));
        break;
      case Op::multiply:
        if (a == b && needs(a)) {
          accumulate(a, graph_.multiply({a}, graph_.scale(dy, 2)));
          break;
        }
        if (needs(a)) accumulate_summed(a, graph_.multiply(dy, {b}));
        if (needs(b)) accumulate_summed(b, graph_.multiply(dy, {a}));
        break;
      case Op::scale:
        if (needs(a)) accumulate(a, graph_.scale(dy, n.factor));
        break;
      case Op::activation:
        if (needs(a)) accumulate(a, graph_.multiply(dy, graph_.activation(n.function, {a}, n.order + 1)));
        break;
      case Op::sum:
        if (needs(a)) {
          const Node from = graph_.node({a});
          accumulate(a, graph_.broadcast(dy, from.rows, from.cols));
        }
        break;
      case Op::broadcast:
        if (needs(a)) accumulate_summed(a, dy);
        break;
      case Op::normalize:
        if (needs(a)) accumulate(a, graph_.normalize_jacobian({a}, dy));
        break;
      case Op::normalize_jacobian:
        if (needs(a)) accumulate(a, normalize_curvature(graph_, {a}, {b}, self, dy));
        if (needs(b)) accumulate(b, graph_.normalize_jacobian({a}, dy));
        break;
      case Op::inverse_deviation:
        // r = (variance + epsilon)^(-1/2) has the derivative -r^2 z / columns, z = normalize(a).
        if (needs(a)) {
          const double factor = -1.0 / static_cast<double>(graph_.node({a}).cols);
          const Tensor slope = graph_.scale(graph_.multiply(graph_.multiply(self, self), dy), factor);
          accumulate(a, graph_.multiply(graph_.normalize({a}), slope));
        }
        break;
      case Op::softmax:
        if (needs(a)) accumulate(a, softmax_jacobian(graph_, self, dy));
        break;
      case Op::log_sum_exp:
        if (needs(a)) accumulate(a, graph_.multiply(graph_.softmax({a}), dy));
        break;
      case Op::patches:
        if (needs(a)) accumulate(a, n.inverse ? graph_.patches(dy, n.grid) : graph_.unpatch(dy, n.grid));
        break;
      case Op::gather_rows:
        if (needs(a)) accumulate(a, graph_.scatter_rows(dy, {b}, graph_.node({a}).rows));
        break;
      case Op::scatter_rows:
        if (needs(a)) accumulate(a, graph_.gather_rows(dy, {b}));
        break;
    }
  }

  // As of matmul, in each block.
  void block_matmul(const Node& n, Tensor dy) {
    const Graph::Blocks a{{n.operands[0]}, n.layouts[0]}, b{{n.operands[1]}, n.layouts[1]}, d{dy, n.layouts[2]};
    const auto record = [&](Graph::Blocks l, Graph::Blocks r, bool tl, bool tr, Layout layout) {
      return graph_.block_matmul(l, r, tl, tr, layout, n.batch, n.heads);
    };
    if (needs(a.tensor.id)) {
      accumulate(a.tensor.id, n.transpose_a ? record(b, d, n.transpose_b, true, a.layout)
                                            : record(d, b, false, !n.transpose_b, a.layout));
    }
    if (needs(b.tensor.id)) {
      accumulate(b.tensor.id, n.transpose_b ? record(d, a, true, n.transpose_a, b.layout)
                                            : record(a, d, !n.transpose_a, false, b.layout));
    }
  }

  Graph& graph_;
  std::vector<Tensor> adjoint_;
  std::vector<char> needed_;
};

}  // namespace

std::vector<Tensor> gradient(Graph& graph, Tensor scalar, const std::vector<Tensor>& variables) {
  const Node n = graph.node(scalar);
  require(n.rows == 1 && n.cols == 1, "gradient: of a scalar only, not of a tensor of shape ", n.rows, " x ", n.cols);
  return Reverse(graph, static_cast<int>(graph.nodes().size())).run(scalar, variables);
}

}  // namespace monge::flow::nn
