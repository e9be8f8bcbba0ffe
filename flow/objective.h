#pragma once
#include <cstdint>

#include "monge/flow/model.h"

namespace monge::flow {

// The velocity-matching loss of one batch: the mean over rows and dimensions of (v(t, x_t) - u)^2, with
// x_t = alpha x1 + sigma x0 and u = alpha' x1 + sigma' x0.
class VelocityObjective {
 public:
  VelocityObjective(nn::Graph& graph, const ModelOptions& options, Index batch);

  // Writes the times of step `step`: one uniform time in each of `batch` equal parts of [0, 1), which leaves the loss
  // unbiased with less variance than independent times. A function of (seed, step).
  template <class T>
  void set_times(nn::Program<T>& program, const ModelOptions& options, std::uint64_t seed, std::uint64_t step) const;

  nn::Tensor x0, x1;  // inputs, batch x dimensions
  TimeColumns times;
  nn::Tensor loss;  // 1 x 1
};

}  // namespace monge::flow
