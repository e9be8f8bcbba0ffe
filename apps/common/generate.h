#pragma once
#include <functional>

#include "monge/flow/model.h"
#include "monge/flow/sample.h"

namespace monge::apps {

struct Generated {
  Matrix<float> x;  // count x dimensions
  flow::SampleResult run;
  double seconds = 0;  // of the integration
};

// A copy of its own.
Matrix<float> copy_of(MatrixView<const float> x);

// Some of the rows that a condition is of.
flow::Condition rows_from(const flow::Condition& condition, Index first, Index count);

// The model as a velocity that can be interrupted within a call: a step of many rows takes seconds. The condition is
// that of all rows.
flow::Velocity interruptible(flow::VelocityModel& model, const flow::Condition& condition = {});

// Samples of a model from the rows of x0. Throws Error(not_finite) when the velocity breaks down, Interrupted.
Generated generate(flow::VelocityModel& model, Matrix<float> x0, flow::SampleOptions options,
                   const flow::Condition& condition = {});

}  // namespace monge::apps
