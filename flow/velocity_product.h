#pragma once
#include <span>

#include "monge/flow/model.h"

namespace monge::flow {

// A trained model as its velocity and the product with its Jacobian, by one pass forward: what log_likelihood
// (flow/likelihood.h) asks for. Role::velocity, or the velocity v_{t,t} of Role::flow_map; of a model with classes, the
// one without class. Owns a copy of the weights; calls allocate nothing. Not to be called from two threads at once.
class VelocityProductModel {
 public:
  // `weights`: weight_count(options) elements. Rows are evaluated `batch` at a time; each batch uses all threads.
  // Throws Error(invalid_argument) for a neural flow, which has no velocity.
  VelocityProductModel(const ModelOptions& options, std::span<const float> weights, Index batch = 512,
                       const Context& context = {});

  // v = v(t, x) and product = (dv/dx) w, row by row; all are rows x dimensions, any number of rows.
  void operator()(double t, MatrixView<const float> x, MatrixView<const float> w, MatrixView<float> v,
                  MatrixView<float> product);

  const ModelOptions& options() const { return options_; }

 private:
  ModelOptions options_;
  Index batch_;
  nn::Graph graph_;
  TimeColumns times_;
  nn::Tensor labels_, x_, w_, v_, product_;
  nn::Program<float> program_;
  Buffer<float> weights_;
};

}  // namespace monge::flow
