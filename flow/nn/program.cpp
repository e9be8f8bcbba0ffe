#include "monge/flow/nn/program.h"

#include <algorithm>
#include <array>
#include <limits>

#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"

namespace monge::flow::nn {
namespace {

constexpr std::size_t at(int id) { return static_cast<std::size_t>(id); }

// Hands out offsets; what is given back is used again. First fit.
class Arena {
 public:
  Index take(Index size) {
    Index offset = 0;
    auto next = blocks_.begin();
    for (; next != blocks_.end() && next->offset - offset < size; ++next) offset = next->offset + next->size;
    blocks_.insert(next, {offset, size});
    extent_ = std::max(extent_, offset + size);
    return offset;
  }
  void give_back(Index offset) {
    std::erase_if(blocks_, [&](const Block& b) { return b.offset == offset; });
  }
  Index extent() const { return extent_; }

 private:
  struct Block {
    Index offset, size;
  };
  std::vector<Block> blocks_;  // by offset
  Index extent_ = 0;
};

}  // namespace

template <class T>
Program<T>::Program(const Graph& graph, const std::vector<Tensor>& outputs, const std::vector<Tensor>& gradients,
                    const Context& context)
    : graph_(graph), context_(context), kernels_(&kernels_for<T>(context.device)) {
  require(gradients.empty() || gradients.size() == graph.parameters().size(), "Program: ", gradients.size(),
          " gradients for ", graph.parameters().size(), " parameters");
  std::vector<Place> homes;  // of the gradients, by tensor
  std::vector<Tensor> roots = outputs;
  std::vector<Tensor> own;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    // Each gradient needs a place of its own: leaves and tensors that serve two parameters are copied.
    const bool shared = std::find(own.begin(), own.end(), gradients[i]) != own.end();
    const Node n = graph_.node(gradients[i]);
    const Parameter& p = graph.parameters()[i];
    require(n.rows == p.rows && n.cols == p.cols, "Program: the gradient of ", p.name, " is ", n.rows, " x ", n.cols,
            ", the parameter ", p.rows, " x ", p.cols);
    own.push_back(shared || is_leaf(n) ? graph_.copy(gradients[i]) : gradients[i]);
    roots.push_back(own.back());
  }
  steps_ = schedule(graph_, roots);
  constexpr double worth_sharing = 5e7;  // about half a millisecond of one core
  if (work_of(graph_, steps_) < worth_sharing) context_.threads = 1;
  places_.resize(graph_.nodes().size());
  for (std::size_t i = 0; i < own.size(); ++i) {
    places_[at(own[i].id)] = {Space::gradients, graph.parameters()[i].offset};
  }
  plan(outputs);
}

template <class T>
void Program<T>::plan(const std::vector<Tensor>& outputs) {
  const std::vector<Node>& nodes = graph_.nodes();
  constexpr int forever = std::numeric_limits<int>::max();
  std::vector<int> last_use(nodes.size(), -1);
  for (int s = 0; s < static_cast<int>(steps_.size()); ++s) {
    for (const int id : values_read(graph_, steps_[at(s)])) {
      if (id >= 0) last_use[at(id)] = s;
    }
  }
  for (const Tensor t : outputs) last_use[at(t.id)] = forever;

  Arena arena;
  const auto home = [&](int id) {
    constexpr Index line = 64 / sizeof(T);
    Place& place = places_[at(id)];
    if (place.space != Space::none) return;
    const Node& n = nodes[at(id)];
    place = {Space::workspace, arena.take((n.rows * n.cols + line - 1) / line * line)};
  };
  for (std::size_t id = 0; id < nodes.size(); ++id) {
    const Node& n = nodes[id];
    if (n.op == Op::parameter) places_[id] = {Space::weights, n.offset};
    if ((n.op == Op::input || n.op == Op::constant) && last_use[id] >= 0) {
      home(static_cast<int>(id));
      last_use[id] = forever;
    }
  }
  for (int s = 0; s < static_cast<int>(steps_.size()); ++s) {
    const Step& step = steps_[at(s)];
    home(step.node);
    if (step.activated >= 0) home(step.activated);
    const std::array<int, 4> read = values_read(graph_, step);
    for (const int id : {read[0], read[1], read[2], step.node, step.activated}) {
      if (id < 0 || last_use[at(id)] > s || places_[at(id)].space != Space::workspace) continue;
      arena.give_back(places_[at(id)].offset);
      last_use[at(id)] = forever;  // given back once
    }
  }
  workspace_ = Buffer<T>(arena.extent(), context_.device);
  std::fill(workspace_.data(), workspace_.data() + workspace_.size(), T(0));
  for (const Node& n : nodes) {
    const Place place = places_[static_cast<std::size_t>(&n - nodes.data())];
    if (n.op != Op::constant || place.space != Space::workspace) continue;
    const double* values = graph_.constants().data() + n.offset;
    std::transform(values, values + n.rows * n.cols, workspace_.data() + place.offset,
                   [](double x) { return static_cast<T>(x); });
  }
}

template <class T>
MatrixView<T> Program<T>::view(int id) const {
  if (id < 0) return {};
  const Node& n = graph_.nodes()[at(id)];
  const Place place = places_[at(id)];
  T* base = nullptr;
  switch (place.space) {
    case Space::none:
      return {};
    case Space::workspace:
      base = const_cast<T*>(workspace_.data());
      break;
    case Space::weights:
      base = const_cast<T*>(weights_);
      break;
    case Space::gradients:
      base = gradients_;
      break;
  }
  return {base + place.offset, n.rows, n.cols, n.cols, context_.device};
}

template <class T>
void Program<T>::run(std::span<const T> weights, std::span<T> gradients) {
  const std::size_t count = static_cast<std::size_t>(graph_.weight_count());
  const auto writes_gradient = [](const Place& p) { return p.space == Space::gradients; };
  const bool has_gradients = std::any_of(places_.begin(), places_.end(), writes_gradient);
  require(weights.size() == count, "Program::run: ", weights.size(), " weights, the graph has ", count);
  require(!has_gradients || gradients.size() == count, "Program::run: room for ", gradients.size(),
          " gradients, the graph has ", count, " weights");
  weights_ = weights.data();
  gradients_ = gradients.data();
  with_team(context_.threads, [&] {
    for (const Step& step : steps_) execute(step);
  });
}

template <class T>
void Program<T>::execute(const Step& step) {
  const Node& n = graph_.nodes()[at(step.node)];
  const MatrixView<T> a = view(n.operands[0]), b = view(n.operands[1]), out = view(step.node);
  if (step.activation >= 0) {
    const Node& f = graph_.nodes()[at(step.activation)];
    return kernels_->activation(f.function, f.order, view(f.operands[0]), view(step.factor), out, context_);
  }
  switch (n.op) {
    case Op::input:
    case Op::constant:
    case Op::parameter:
      break;
    case Op::matmul: {
      typename Kernels<T>::Matmul m{a, b, n.transpose_a, n.transpose_b, view(n.operands[2]), {}, 0, {}};
      if (step.activated >= 0) {
        m.function = graph_.nodes()[at(step.activated)].function;
        m.order = graph_.nodes()[at(step.activated)].order;
        m.activated = view(step.activated);
      }
      kernels_->matmul(m, out, context_);
      break;
    }
    case Op::block_matmul:
      kernels_->block_matmul(
          {a, b, n.transpose_a, n.transpose_b, n.batch, n.heads, {n.layouts[0], n.layouts[1], n.layouts[2]}}, out,
          context_);
      break;
    case Op::add:
    case Op::subtract:
    case Op::multiply:
      kernels_->binary(n.op, a, b, out, context_);
      break;
    case Op::scale:
      kernels_->scale(a, static_cast<T>(n.factor), out, context_);
      break;
    case Op::stop:
      kernels_->scale(a, T(1), out, context_);
      break;
    case Op::activation:
      kernels_->activation(n.function, n.order, a, {}, out, context_);
      break;
    case Op::sum:
      kernels_->sum(a, out, context_);
      break;
    case Op::broadcast:
      kernels_->broadcast(a, out, context_);
      break;
    case Op::normalize:
      kernels_->normalize(a, out, context_);
      break;
    case Op::normalize_jacobian:
      kernels_->normalize_jacobian(a, b, out, context_);
      break;
    case Op::inverse_deviation:
      kernels_->inverse_deviation(a, out, context_);
      break;
    case Op::softmax:
      kernels_->softmax(a, out, context_);
      break;
    case Op::log_sum_exp:
      kernels_->log_sum_exp(a, out, context_);
      break;
    case Op::patches:
      kernels_->patches(n.grid, n.inverse, a, out, context_);
      break;
    case Op::gather_rows:
      kernels_->gather_rows(a, b, out, context_);
      break;
    case Op::scatter_rows:
      kernels_->scatter_rows(a, b, out, context_);
      break;
  }
}

template class Program<float>;
template class Program<double>;

}  // namespace monge::flow::nn
