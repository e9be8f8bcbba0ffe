#pragma once  // private: never installed
#include "monge/flow/model.h"

namespace monge::flow {

// The times a network is told: one, or the start of a jump and its length.
struct NetworkTimes {
  nn::Tensor time;
  nn::Tensor span{};  // of a flow map
};

// Networks alone: from x (rows x dimensions) to as many outputs, whose meaning is the caller's. The last layer starts
// at zero.

// h = W x + T e;  h += W2 f(W1 norm(h)) per block;  W norm(h),  with e = f(W features(time) + class)
nn::Tensor record_residual_mlp(nn::Graph& graph, const ModelOptions& options, const NetworkTimes& times, nn::Tensor x,
                               const Extras& extras);
// h = f(W x + T features(time) + class);  h = f(W h) as often as there are more hidden layers;  W h
nn::Tensor record_mlp(nn::Graph& graph, const ModelOptions& options, const NetworkTimes& times, nn::Tensor x,
                      const Extras& extras);
nn::Tensor record_dit(nn::Graph& graph, const ModelOptions& options, const NetworkTimes& times, nn::Tensor x,
                      const Extras& extras);
// The map itself: h = x;  h += t W2 f(W1 h + T features(t) + class) per block, W1 and W2 of bounded norm. F(0, x) = x.
nn::Tensor record_residual_flow(nn::Graph& graph, const ModelOptions& options, nn::Tensor t, nn::Tensor x,
                                const Extras& extras);

}  // namespace monge::flow
