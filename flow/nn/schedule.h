#pragma once
#include <array>
#include <vector>

#include "monge/flow/nn/graph.h"

namespace monge::flow::nn {

// One operation to run, with the neighbours fused to it, by node.
struct Step {
  int node = -1;        // where the result goes
  int activated = -1;   // matmul: this activation of the result is written beside it
  int activation = -1;  // instead of the node's own operation: this activation times `factor`
  int factor = -1;
};

inline bool is_leaf(const Node& n) { return n.op == Op::input || n.op == Op::constant || n.op == Op::parameter; }

// Drops what no root needs, then fuses: a matmul writes the first activation of its result beside it, while the tile
// is in cache; an activation used once, as a factor of a product, is multiplied where it is computed.
std::vector<Step> schedule(const Graph& graph, const std::vector<Tensor>& roots);

// The values a step reads, -1 for none.
std::array<int, 4> values_read(const Graph& graph, const Step& step);

// Floating-point operations of a run, roughly.
double work_of(const Graph& graph, const std::vector<Step>& steps);

}  // namespace monge::flow::nn
