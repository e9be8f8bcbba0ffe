#include "monge/apps/common/generate_map.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/validators.h"
#include "monge/flow/flow_map.h"
#include "monge/ot/core/error.h"

namespace monge::apps {

std::string default_solver(const flow::ModelOptions& model) {
  return model.role == flow::Role::velocity ? "euler" : map_solver;
}

double longest_jump(const TrainConfig& config) {
  return config.objective == "fmm" || config.objective == "pfmm" ? config.train.objective.strip : 1;
}

MapSteps map_steps(const TrainConfig& config) {
  if (config.objective == "neural_flow" || config.objective == "consistency") return {.one = true};
  return {.fewest = static_cast<Index>(std::ceil(1 / longest_jump(config) - 1e-6))};
}

Index nearest(const MapSteps& steps, Index wanted) { return steps.one ? 1 : std::max(wanted, steps.fewest); }

void check_velocity(const std::string& what, const TrainedModel& model) {
  require(model.options.role != flow::Role::neural_flow, what,
          ": a neural flow has no velocity; its map makes one step (--solver map --steps 1)");
  require(model.config.objective != "consistency", what,
          ": a consistency model has not learnt its velocity; its map makes one step (--solver map --steps 1)");
}

void check_steps(const std::string& solver, Index steps, const TrainedModel& model) {
  if (solver != map_solver) return check_velocity("--solver " + solver, model);
  require(model.options.role != flow::Role::velocity, "--solver map: the model is not a flow map, but a velocity");
  const MapSteps allowed = map_steps(model.config);
  require(steps == 1 || !allowed.one, "--steps ", steps, ": ",
          model.config.objective == "neural_flow" ? "a neural flow" : "a consistency model", " makes one step");
  require(steps >= allowed.fewest, "--steps ", steps, ": the map has learnt jumps of at most ",
          longest_jump(model.config), " (objective.strip), so it makes ", allowed.fewest, " steps or more");
}

void check_without_class(const std::string& what, const TrainConfig& config) {
  require(config.train.model.classes == 0 || config.train.objective.label_drop > 0, what,
          ": the model has not learnt to do without classes, its objective.label_drop is 0");
}

Generated generate_by_map(flow::FlowMapModel& model, Matrix<float> x0, Index steps, const flow::Condition& condition) {
  Generated result;
  const Index count = x0.rows();
  result.x = std::move(x0);
  const auto start = std::chrono::steady_clock::now();
  constexpr Index rows = 2048;  // between looks for an interrupt
  for (Index i = 0; i < count; i += rows) {
    check_interrupt();
    const Index n = std::min(rows, count - i);
    flow::sample_map(model, result.x.view().rows_from(i, n), steps, rows_from(condition, i, n));
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.run.nfe = result.run.accepted = steps;
  result.run.t = 1;
  return result;
}

Generated generate(const flow::ModelOptions& model, std::span<const float> weights, const std::string& solver,
                   Matrix<float> x0, flow::SampleOptions options, const flow::Condition& condition) {
  constexpr Index batch = 512;
  if (solver == map_solver) {
    flow::FlowMapModel map(model, weights, batch, options.context);
    return generate_by_map(map, std::move(x0), options.steps, condition);
  }
  flow::VelocityModel velocity(model, weights, batch, options.context);
  options.solver = flow::parse_solver(solver);
  return generate(velocity, std::move(x0), options, condition);
}

void add_tolerances(CLI::App& app, flow::SampleOptions& options) {
  app.add_option("--rtol", options.rtol,
                 "dopri5: error of a step, RMS over all samples, relative to x; 0: --atol alone")
      ->type_name("E")
      ->check(at_least<double>(0))
      ->capture_default_str();
  app.add_option("--atol", options.atol, "dopri5: the same in units of x, added")
      ->type_name("E")
      ->check(above_zero())
      ->capture_default_str();
}

bool default_tolerances(const flow::SampleOptions& options) {
  const flow::SampleOptions other;
  return options.rtol == other.rtol && options.atol == other.atol;
}

}  // namespace monge::apps
