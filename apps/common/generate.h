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

// Fills x with what samples start from: standard normal rows of the stream `seed`, as wide as the path is at t = 0.
void start_from_noise(MatrixView<float> x, const flow::Path& path, std::uint64_t seed, const Context& context);

// Samples of a model from `count` standard normal rows of the stream `seed`, which training never draws from: the same
// seed gives the same noise, whatever model and solver, and more rows begin with the same ones.
// Throws Error(not_finite) when the velocity breaks down, Interrupted.
Generated generate(flow::VelocityModel& model, Index count, std::uint64_t seed, flow::SampleOptions options);

}  // namespace monge::apps
