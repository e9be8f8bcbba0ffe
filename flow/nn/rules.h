#pragma once  // private: never installed
#include "monge/flow/nn/graph.h"

// Derivatives that the forward and the reverse rules share; each is symmetric in its two directions.
namespace monge::flow::nn {

// The second derivative of normalize at x along v and w, where jv is its Jacobian times v.
//
// With z = normalize(x), r its inverse deviation, means over a row, J v = r (v - mean(v) - z mean(v z)). As z changes
// by J w and r by -r^2 mean(z w), J v changes by
//   -r mean(z w) J v - r mean(v z) J w - r z mean(v J w),  which is symmetric in v and w since J is.
Tensor normalize_curvature(Graph& graph, Tensor x, Tensor v, Tensor jv, Tensor w);

// The Jacobian of softmax, y being its result, times v: y (v - sum(v y)).
Tensor softmax_jacobian(Graph& graph, Tensor y, Tensor v);

}  // namespace monge::flow::nn
