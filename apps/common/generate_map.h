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

// The longest jump that the flow map of a run has learnt.
double longest_jump(const TrainConfig& config);

// Numbers of steps that make samples of a map by the jumps it has learnt: from so many on, or that one alone.
struct MapSteps {
  Index fewest = 1;
  bool one = false;
};
MapSteps map_steps(const TrainConfig& config);
Index nearest(const MapSteps& steps, Index wanted);

// Refuse what a model has not learnt, `what` being the option that asks for it: its velocity, steps of a solver,
// samples of no class. Throw Error(invalid_argument).
void check_velocity(const std::string& what, const TrainedModel& model);
void check_steps(const std::string& solver, Index steps, const TrainedModel& model);
void check_without_class(const std::string& what, const TrainConfig& config);

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
