#pragma once
#include <functional>
#include <string>

#include "monge/flow/model.h"
#include "monge/flow/sample.h"

namespace monge::apps {

struct Generated {
  Matrix<float> x;  // count x dimensions
  flow::SampleResult run;
  double seconds = 0;  // of the integration
};

// `count` normal rows of the stream `seed`, which training never draws from, as wide as the model's path is at t = 0:
// the same seed gives the same noise, whatever it is for, and more rows begin with the same ones.
Matrix<float> sampling_noise(const flow::ModelOptions& model, Index count, std::uint64_t seed, const Context& context);

// What samples start from: sampling_noise, or, where a data file is named, its first test points (training points if it
// has none). `digest`: what the file must hold; empty: anything. Throws Error: invalid_argument (dimensions, too few
// points, another digest), io, bad_file.
Matrix<float> starting_points(const std::string& source_file, const std::string& digest,
                              const flow::ModelOptions& model, Index count, std::uint64_t seed, const Context& context);
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
