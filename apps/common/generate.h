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
// has none). Throws Error: invalid_argument (dimensions, too few points), io, bad_file.
Matrix<float> starting_points(const std::string& source_file, const flow::ModelOptions& model, Index count,
                              std::uint64_t seed, const Context& context);
Matrix<float> copy_of(MatrixView<const float> x);

// The model as a velocity that can be interrupted within a call: a step of many rows takes seconds.
flow::Velocity interruptible(flow::VelocityModel& model);

// Samples of a model from the rows of x0. Throws Error(not_finite) when the velocity breaks down, Interrupted.
Generated generate(flow::VelocityModel& model, Matrix<float> x0, flow::SampleOptions options);

// The same from sampling_noise.
Generated generate(flow::VelocityModel& model, Index count, std::uint64_t seed, flow::SampleOptions options);

}  // namespace monge::apps
