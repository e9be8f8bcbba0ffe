#include <algorithm>

#include "monge/flow/nn/graph.h"
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
        require(!needs(a), "gradient: normalize has no second derivative yet (tensor ", self.id, ")");
        if (needs(b)) accumulate(b, graph_.normalize_jacobian({a}, dy));
        break;
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
