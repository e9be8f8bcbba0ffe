#include <utility>

#include "monge/flow/nn/graph.h"
#include "monge/flow/nn/rules.h"
#include "monge/ot/core/error.h"

namespace monge::flow::nn {
namespace {

// Records the tangents of a graph's nodes, in the order of recording.
class Forward {
 public:
  Forward(Graph& graph, const std::vector<Tensor>& outputs)
      : graph_(graph), tangent_(graph.nodes().size()), wanted_(tangent_.size()) {
    for (const Tensor t : outputs) wanted_[index(t.id)] = true;
    for (std::size_t id = wanted_.size(); id-- > 0;) {
      if (!wanted_[id] || graph.nodes()[id].op == Op::stop) continue;
      for (const int operand : graph.nodes()[id].operands) {
        if (operand >= 0) wanted_[index(operand)] = true;
      }
    }
  }

  void seed(Tensor variable, Tensor tangent) {
    Tensor& t = tangent_[index(variable.id)];
    t = sum(t, tangent);
  }

  void run() {
    const int count = static_cast<int>(tangent_.size());
    for (int id = 0; id < count; ++id) {
      if (!wanted_[index(id)]) continue;
      const Node n = graph_.node({id});  // a copy: recording moves the graph's nodes
      const Tensor own = tangent_[index(id)], carried = rule(n, {id});
      tangent_[index(id)] = sum(own, carried);
    }
  }

  Tensor result(Tensor output) {
    const Tensor t = tangent_[index(output.id)];
    const Node n = graph_.node(output);
    if (t.id >= 0) return t;
    return graph_.constant(n.rows, n.cols, std::vector<double>(static_cast<std::size_t>(n.rows * n.cols)));
  }

 private:
  static std::size_t index(int id) { return static_cast<std::size_t>(id); }

  Tensor sum(Tensor a, Tensor b) { return a.id < 0 ? b : b.id < 0 ? a : graph_.add(a, b); }

  // The tangent of a node from those of its operands; none where they have none.
  Tensor rule(const Node& n, Tensor self) {
    const auto tangent = [&](int k) { return n.operands[k] < 0 ? Tensor{} : tangent_[index(n.operands[k])]; };
    const Tensor a{n.operands[0]}, b{n.operands[1]};
    const Tensor da = tangent(0), db = tangent(1), dc = tangent(2);
    const bool moves_a = da.id >= 0, moves_b = db.id >= 0, moves_c = dc.id >= 0;
    const auto whole = [&](Tensor t) { return t.id < 0 ? t : graph_.broadcast(t, n.rows, n.cols); };
    switch (n.op) {
      case Op::input:
      case Op::constant:
      case Op::parameter:
      case Op::stop:
        return {};
      case Op::matmul: {
        Tensor t;
        if (moves_a) t = graph_.matmul(da, b, n.transpose_a, n.transpose_b);
        if (moves_b) t = sum(t, graph_.matmul(a, db, n.transpose_a, n.transpose_b));
        if (moves_c) t = sum(t, whole(dc));
        return t;
      }
      case Op::block_matmul: {
        const auto product = [&](Tensor left, Tensor right) {
          return graph_.block_matmul({left, n.layouts[0]}, {right, n.layouts[1]}, n.transpose_a, n.transpose_b,
                                     n.layouts[2], n.batch, n.heads);
        };
        Tensor t;
        if (moves_a) t = product(da, b);
        if (moves_b) t = sum(t, product(a, db));
        return t;
      }
      case Op::add:
        return moves_a && moves_b ? whole(graph_.add(da, db)) : whole(moves_a ? da : db);
      case Op::subtract:
        if (!moves_b) return whole(da);
        return whole(moves_a ? graph_.subtract(da, db) : graph_.scale(db, -1));
      case Op::multiply: {
        Tensor t;
        if (moves_a && a == b) return graph_.multiply(graph_.scale(da, 2), a);
        if (moves_a) t = graph_.multiply(da, b);
        if (moves_b) t = sum(t, graph_.multiply(a, db));
        return t;
      }
      case Op::scale:
        return moves_a ? graph_.scale(da, n.factor) : da;
      case Op::activation:
        return moves_a ? graph_.multiply(da, graph_.activation(n.function, a, n.order + 1)) : da;
      case Op::sum:
        return moves_a ? graph_.sum(da, n.rows, n.cols) : da;
      case Op::broadcast:
        return whole(da);
      case Op::normalize:
        return moves_a ? graph_.normalize_jacobian(a, da) : da;
      case Op::normalize_jacobian: {
        Tensor t;
        if (moves_a) t = normalize_curvature(graph_, a, b, self, da);
        if (moves_b) t = sum(t, graph_.normalize_jacobian(a, db));
        return t;
      }
      case Op::inverse_deviation: {
        if (!moves_a) return {};
        const double factor = -1.0 / static_cast<double>(graph_.node(a).cols);
        const Tensor along = graph_.sum(graph_.multiply(graph_.normalize(a), da), n.rows, 1);
        return graph_.scale(graph_.multiply(graph_.multiply(self, self), along), factor);
      }
      case Op::softmax:
        return moves_a ? softmax_jacobian(graph_, self, da) : da;
      case Op::log_sum_exp:
        return moves_a ? graph_.sum(graph_.multiply(graph_.softmax(a), da), n.rows, 1) : da;
      case Op::patches:
        if (!moves_a) return {};
        return n.inverse ? graph_.unpatch(da, n.grid) : graph_.patches(da, n.grid);
      case Op::gather_rows:
        return moves_a ? graph_.gather_rows(da, b) : da;
      case Op::scatter_rows:
        return moves_a ? graph_.scatter_rows(da, b, n.rows) : da;
    }
    return {};
  }

  Graph& graph_;
  std::vector<Tensor> tangent_;
  std::vector<char> wanted_;
};

}  // namespace

std::vector<Tensor> jvp(Graph& graph, const std::vector<Tensor>& outputs, const std::vector<Tensor>& variables,
                        const std::vector<Tensor>& tangents) {
  require(variables.size() == tangents.size(), "jvp: ", variables.size(), " variables and ", tangents.size(),
          " tangents");
  Forward forward(graph, outputs);
  for (std::size_t i = 0; i < variables.size(); ++i) {
    const Node &v = graph.node(variables[i]), &t = graph.node(tangents[i]);
    require(v.rows == t.rows && v.cols == t.cols, "jvp: a tangent of ", t.rows, " x ", t.cols, " for a variable of ",
            v.rows, " x ", v.cols);
    forward.seed(variables[i], tangents[i]);
  }
  forward.run();
  std::vector<Tensor> result;
  for (const Tensor t : outputs) result.push_back(forward.result(t));
  return result;
}

}  // namespace monge::flow::nn
