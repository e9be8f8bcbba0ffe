#include "monge/flow/nn/rules.h"

namespace monge::flow::nn {

Tensor normalize_curvature(Graph& graph, Tensor x, Tensor v, Tensor jv, Tensor w) {
  const Node n = graph.node(x);
  const Tensor z = graph.normalize(x), r = graph.inverse_deviation(x), jw = graph.normalize_jacobian(x, w);
  const auto row_mean = [&](Tensor a, Tensor b) {  // times -r, as each of the three is
    const Tensor sum = graph.sum(graph.multiply(a, b), n.rows, 1);
    return graph.multiply(graph.scale(sum, -1.0 / static_cast<double>(n.cols)), r);
  };
  return graph.add(graph.add(graph.multiply(jv, row_mean(z, w)), graph.multiply(jw, row_mean(v, z))),
                   graph.multiply(z, row_mean(v, jw)));
}

Tensor softmax_jacobian(Graph& graph, Tensor y, Tensor v) {
  const Tensor along = graph.sum(graph.multiply(v, y), graph.node(y).rows, 1);
  return graph.multiply(y, graph.subtract(v, along));
}

}  // namespace monge::flow::nn
