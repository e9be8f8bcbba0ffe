#include "monge/apps/common/generate_map.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "monge/apps/common/interrupt.h"
#include "monge/flow/flow_map.h"

namespace monge::apps {

std::string default_solver(const flow::ModelOptions& model) {
  return model.role == flow::Role::velocity ? "euler" : map_solver;
}

bool makes_one_step(const TrainConfig& config) {
  return config.objective == "neural_flow" || config.objective == "consistency";
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
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--atol", options.atol, "dopri5: the same in units of x, added")
      ->type_name("E")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

bool default_tolerances(const flow::SampleOptions& options) {
  const flow::SampleOptions other;
  return options.rtol == other.rtol && options.atol == other.atol;
}

}  // namespace monge::apps
