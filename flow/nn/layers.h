#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "monge/flow/nn/graph.h"

// Layers: functions that record their parameters and operations into a graph. Names nest with dots.
namespace monge::flow::nn {

enum class Bias : std::uint8_t { none, zero };

// x W' + b to `width` columns: "NAME.weight" (width x columns of x), "NAME.bias" (1 x width). The weights start as
// normals of variance gain^2 / columns of x.
Tensor linear_layer(Graph& graph, const std::string& name, Tensor x, Index width, double gain = 1,
                    Bias bias = Bias::zero);

// The same with "NAME.weight" scaled to the spectral norm `bound`, which a power iteration estimates: from "NAME.u"
// (1 x width), one step at a time (Miyato et al., Spectral normalization for generative adversarial networks, 2018).
Tensor spectral_layer(Graph& graph, const std::string& name, Tensor x, Index width, double bound);

// Row labels_i of "NAME.weight" (count x width), for each row of labels (rows x 1).
Tensor embedding(Graph& graph, const std::string& name, Tensor labels, Index count, Index width);

// Rows normalised, times "NAME.gain" (1 x columns, starts at one), plus "NAME.shift" (starts at zero).
Tensor layer_norm(Graph& graph, const std::string& name, Tensor x);

// The mean over the rows of -log softmax(logits)_label, 1 x 1. labels: rows x 1, whole numbers in [0, columns).
Tensor cross_entropy(Graph& graph, Tensor logits, Tensor labels);

// t (rows x 1) to rows x count: cos(w_k t), then sin(w_k t), with w_k geometric from 1 to max_frequency. `count` even.
Tensor time_features(Graph& graph, Tensor t, Index count, double max_frequency);

// Fills the flat weights of a graph with what its parameters start as: a function of the seed and the table alone.
void initialize(const std::vector<Parameter>& parameters, std::uint64_t seed, std::span<float> weights);

}  // namespace monge::flow::nn
