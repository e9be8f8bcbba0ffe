#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "monge/flow/nn/graph.h"
#include "monge/flow/nn/kernels.h"
#include "monge/flow/nn/schedule.h"

namespace monge::flow::nn {

// A graph made ready to run: unused operations dropped, neighbours fused, memory planned once. Running allocates
// nothing.
template <class T>
class Program {
 public:
  // `outputs` can be read after a run. `gradients`, one per parameter of the graph or none, are written to the flat
  // buffer given to run(), each where its parameter lies in the weights.
  Program(const Graph& graph, const std::vector<Tensor>& outputs, const std::vector<Tensor>& gradients,
          const Context& context = {});

  // An input, to be written before a run and kept by it, or an output, to be read after it. Empty where no output
  // depends on the input.
  MatrixView<T> view(Tensor t) const { return view(t.id); }
  T scalar(Tensor t) const { return view(t)(0, 0); }

  // Runs every operation once. `weights`: graph.weight_count() elements; `gradients`: the same number, where there are
  // gradients to write.
  void run(std::span<const T> weights, std::span<T> gradients = {});

  Index workspace_size() const { return workspace_.size(); }  // elements
  // As given, but one thread where a run is too short to be worth sharing.
  const Context& context() const { return context_; }
  const std::vector<Step>& steps() const { return steps_; }

 private:
  enum class Space : std::uint8_t { none, workspace, weights, gradients };
  struct Place {
    Space space = Space::none;
    Index offset = 0;
  };

  void plan(const std::vector<Tensor>& outputs);
  MatrixView<T> view(int id) const;
  void execute(const Step& step);

  Graph graph_;
  Context context_;
  Kernels<T>* kernels_;
  std::vector<Step> steps_;
  std::vector<Place> places_;  // per node
  Buffer<T> workspace_;
  const T* weights_ = nullptr;  // during run()
  T* gradients_ = nullptr;
};

}  // namespace monge::flow::nn
