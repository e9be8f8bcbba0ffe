#pragma once
#include <memory>
#include <span>
#include <vector>

#include "monge/flow/nn/graph.h"
#include "monge/flow/nn/kernels.h"

namespace monge::flow::nn {

// A graph made ready to run: unused operations dropped, neighbours fused, memory planned once. Running allocates
// nothing.
template <class T>
class Program {
 public:
  // `outputs` can be read after a run. `gradients`, one per parameter of the graph or none, are written to the flat
  // buffer given to run() where their parameters lie in the weights.
  Program(const Graph& graph, const std::vector<Tensor>& outputs, const std::vector<Tensor>& gradients,
          const Context& context = {});

  // An input, to be written before a run, or an output, to be read after it. An input that no output depends on is
  // empty.
  MatrixView<T> view(Tensor t) const;
  T scalar(Tensor t) const { return view(t)(0, 0); }

  // Runs every operation once. `weights`: graph.weight_count() elements; `gradients` the same number, or none.
  void run(std::span<const T> weights, std::span<T> gradients = {});

  Index workspace_size() const { return workspace_.size(); }  // elements
  std::size_t operations() const { return steps_.size(); }

  // One operation with its fused neighbours, by node. Places are resolved in run().
  struct Step {
    int node = -1;
    int factor = -1;     // activation: multiply the result by this value
    int activated = -1;  // matmul: this activation of the result is written beside it
  };

 private:
  enum class Space : std::uint8_t { none, workspace, weights, gradients };
  struct Place {
    Space space = Space::none;
    Index offset = 0;
  };

  void schedule(const std::vector<Tensor>& outputs, const std::vector<Tensor>& gradients);
  void plan(const std::vector<Tensor>& outputs, const std::vector<Tensor>& gradients);
  MatrixView<T> place(int id) const;
  void execute(const Step& step);

  Graph graph_;
  Context context_;
  Kernels<T>* kernels_;
  std::vector<Step> steps_;
  std::vector<int> result_of_;  // the node whose place holds the value of each node (itself, or where it was fused to)
  std::vector<Place> places_;   // per node
  Buffer<T> workspace_;
  const T* weights_ = nullptr;
  T* gradients_ = nullptr;
};

}  // namespace monge::flow::nn
