#pragma once
#include <CLI/CLI.hpp>
#include <string>

#include "monge/apps/common/generate.h"
#include "monge/apps/common/trained_model.h"

namespace monge::apps {

// The name of the solver that jumps along a model's flow map.
inline const std::string map_solver = "map";

// What a model is sampled with when nobody says: euler of a velocity, else its map.
std::string default_solver(const flow::ModelOptions& model);

// Whether a run trains jumps to the data alone, so that one step makes a sample.
bool makes_one_step(const TrainConfig& config);

// Samples from the rows of x0 by `steps` jumps of a flow map, or by the one of a neural flow. Throws Error:
// invalid_argument, not_finite; Interrupted.
Generated generate_by_map(flow::FlowMapModel& model, Matrix<float> x0, Index steps,
                          const flow::Condition& condition = {});

// Samples of a model and its weights from the rows of x0 by the solver of that name, "map" among them; options.solver
// is set here.
Generated generate(const flow::ModelOptions& model, std::span<const float> weights, const std::string& solver,
                   Matrix<float> x0, flow::SampleOptions options, const flow::Condition& condition = {});

// The options --rtol and --atol, of dopri5.
void add_tolerances(CLI::App& app, flow::SampleOptions& options);
bool default_tolerances(const flow::SampleOptions& options);

}  // namespace monge::apps
