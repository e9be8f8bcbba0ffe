#include "monge/flow/velocity_product.h"

#include <algorithm>

#include "monge/ot/core/error.h"

namespace monge::flow {
namespace {

const ModelOptions& with_velocity(const ModelOptions& options) {
  require(options.role != Role::neural_flow, "VelocityProductModel: a neural flow has no velocity");
  return options;
}

}  // namespace

VelocityProductModel::VelocityProductModel(const ModelOptions& options, std::span<const float> weights, Index batch,
                                           const Context& context)
    : options_(with_velocity(options)),
      batch_(batch),
      times_(graph_, batch),
      labels_(options.classes > 0 ? graph_.input(batch, 1) : nn::Tensor{}),
      x_(graph_.input(batch, options.dimensions)),
      w_(graph_.input(batch, options.dimensions)),
      v_(record_velocity(graph_, options, times_, x_, {labels_})),
      product_(nn::jvp(graph_, {v_}, {x_}, {w_})[0]),
      program_(graph_, {v_, product_}, {}, context),
      weights_(graph_.weight_count()) {
  require(static_cast<Index>(weights.size()) == weights_.size(), "VelocityProductModel: ", weights.size(),
          " weights given, the model has ", weights_.size());
  std::copy(weights.begin(), weights.end(), weights_.data());
}

void VelocityProductModel::operator()(double t, MatrixView<const float> x, MatrixView<const float> w,
                                      MatrixView<float> v, MatrixView<float> product) {
  const Index d = options_.dimensions;
  for (const Index cols : {x.cols, w.cols, v.cols, product.cols})
    require(cols == d, "VelocityProductModel: rows of ", cols, " values, the model has ", d, " dimensions");
  for (const Index rows : {w.rows, v.rows, product.rows})
    require(rows == x.rows, "VelocityProductModel: x has ", x.rows, " rows, another argument ", rows);
  const std::span<const float> weights(weights_.data(), static_cast<std::size_t>(weights_.size()));
  const MatrixView<float> in = program_.view(x_), along = program_.view(w_);
  for (Index i = 0; i < batch_; ++i) {
    times_.set(program_, options_, i, t);
    if (options_.classes > 0) program_.view(labels_)(i, 0) = static_cast<float>(options_.classes);
  }
  for (Index first = 0; first < x.rows; first += batch_) {
    // A last, short batch is padded with rows of zeros, so that every product has the same shape.
    const Index rows = std::min(batch_, x.rows - first);
    for (Index i = 0; i < batch_; ++i) {
      if (i < rows) std::copy_n(x.row(first + i), d, in.row(i)), std::copy_n(w.row(first + i), d, along.row(i));
      if (i >= rows) std::fill_n(in.row(i), d, 0.0f), std::fill_n(along.row(i), d, 0.0f);
    }
    program_.run(weights);
    const MatrixView<float> velocity = program_.view(v_), jacobian = program_.view(product_);
    for (Index i = 0; i < rows; ++i) {
      std::copy_n(velocity.row(i), d, v.row(first + i));
      std::copy_n(jacobian.row(i), d, product.row(first + i));
    }
  }
}

}  // namespace monge::flow
