#include <cmath>
#include <string>
#include <vector>

#include "monge/flow/networks.h"
#include "monge/flow/nn/layers.h"

namespace monge::flow {
namespace {

using nn::Bias;
using nn::Function;
using nn::Graph;
using nn::Layout;
using nn::Tensor;

// rows x 1 position of each patch, and a table of cosines and sines of its two coordinates, a quarter of the width
// each.
Tensor positions(Graph& g, const ModelOptions& o, Index images) {
  const Index across = o.image.width / o.image.patch, patches = o.image.patches(), quarter = o.width / 4;
  std::vector<double> table(static_cast<std::size_t>(patches * o.width)), index;
  for (Index p = 0; p < patches; ++p) {
    for (Index k = 0; k < 2 * quarter; ++k) {
      const double frequency = std::pow(1e4, -static_cast<double>(k % quarter) / static_cast<double>(quarter));
      const double angle = frequency * static_cast<double>(k < quarter ? p / across : p % across);
      double* row = table.data() + p * o.width;
      row[2 * k] = std::sin(angle);
      row[2 * k + 1] = std::cos(angle);
    }
  }
  for (Index i = 0; i < images * patches; ++i) index.push_back(static_cast<double>(i % patches));
  return g.gather_rows(g.constant(patches, o.width, table), g.constant(images * patches, 1, index));
}

// What one block, or the last layer, needs of its image: linear in the condition, starting at zero.
class Modulation {
 public:
  Modulation(Graph& graph, const std::string& name, Tensor condition, Index width)
      : graph_(graph), name_(name), condition_(condition), width_(width) {}

  // norm(h) (1 + scale) + shift, rows of h being the patches of the condition's rows
  Tensor norm(const char* which, Tensor h) {
    const Tensor scale = graph_.add(term(std::string(which) + ".scale"), graph_.constant(1, 1, {1}));
    return graph_.add(graph_.multiply(graph_.normalize(h), scale), term(std::string(which) + ".shift"));
  }
  Tensor gate(const char* which, Tensor h) { return graph_.multiply(h, term(std::string(which) + ".gate")); }

 private:
  Tensor term(const std::string& which) { return nn::linear_layer(graph_, name_ + "." + which, condition_, width_, 0); }

  Graph& graph_;
  std::string name_;
  Tensor condition_;
  Index width_;
};

Tensor attention(Graph& g, const ModelOptions& o, const std::string& name, Tensor h, Index images) {
  const double temperature = 1 / std::sqrt(static_cast<double>(o.width / o.heads));
  const Tensor q = g.scale(nn::linear_layer(g, name + ".query", h, o.width), temperature);
  const Tensor k = nn::linear_layer(g, name + ".key", h, o.width), v = nn::linear_layer(g, name + ".value", h, o.width);
  const Layout rows = Layout::beside, maps = Layout::stacked;
  const Tensor scores = g.block_matmul({q, rows}, {k, rows}, false, true, maps, images, o.heads);
  const Tensor mixed = g.block_matmul({g.softmax(scores), maps}, {v, rows}, false, false, rows, images, o.heads);
  return nn::linear_layer(g, name + ".project", mixed, o.width);
}

}  // namespace

Tensor record_dit(Graph& g, const ModelOptions& o, const NetworkTimes& times, Tensor x, const Extras& extras) {
  const Index images = g.node(x).rows;
  const auto embedded = [&](const char* name, Tensor t) {
    const Tensor features = nn::time_features(g, t, o.time_features, o.max_frequency);
    const Tensor inner =
        g.activation(Function::silu, nn::linear_layer(g, std::string(name) + ".up", features, o.width));
    return nn::linear_layer(g, std::string(name) + ".down", inner, o.width);
  };
  Tensor condition = embedded("time", times.time);
  if (times.span.id >= 0) condition = g.add(condition, embedded("span", times.span));
  if (o.classes > 0) condition = g.add(condition, nn::embedding(g, "class", extras.labels, o.classes + 1, o.width));
  condition = g.activation(Function::silu, condition);

  const auto dropped = [&](Tensor t) { return extras.dropout ? (*extras.dropout)(g, t) : t; };
  Tensor h = g.add(nn::linear_layer(g, "in", g.patches(x, o.image), o.width), positions(g, o, images));
  for (Index k = 0; k < o.blocks; ++k) {
    const std::string name = "block" + std::to_string(k);
    Modulation modulate(g, name, condition, o.width);
    const Tensor mixed = attention(g, o, name + ".attention", modulate.norm("attention", h), images);
    h = g.add(h, modulate.gate("attention", dropped(mixed)));
    const Tensor inner = nn::linear_layer(g, name + ".mlp.up", modulate.norm("mlp", h), 4 * o.width);
    const Tensor outer = nn::linear_layer(g, name + ".mlp.down", g.activation(o.activation, inner), o.width);
    h = g.add(h, modulate.gate("mlp", dropped(outer)));
  }
  const Tensor last = Modulation(g, "out", condition, o.width).norm("norm", h);
  return g.unpatch(nn::linear_layer(g, "out", last, o.image.patch_size(), 0), o.image);
}

}  // namespace monge::flow
