#pragma once
#include <functional>
#include <string_view>

#include "monge/ot/core/array.h"
#include "monge/ot/core/status.h"

namespace monge::flow {

// v = velocity(t, x) for a whole batch: x and v are rows x dimensions, v is to be overwritten.
using Velocity = std::function<void(double t, MatrixView<const float> x, MatrixView<float> v)>;

enum class Solver {
  euler,   // order 1, one evaluation a step
  heun,    // order 2 (trapezoidal predictor-corrector), two evaluations a step
  dopri5,  // order 5(4), adaptive (Dormand and Prince 1980), six evaluations an attempted step and two to start
};

const char* to_string(Solver solver);
Solver parse_solver(std::string_view name);  // throws Error(invalid_argument) that lists the names

struct SampleProgress {
  double t = 0;   // time reached
  Index nfe = 0;  // evaluations so far
};

struct SampleOptions {
  Solver solver = Solver::euler;
  Index steps = 16;         // euler, heun: equal steps from t0 to t1
  double rtol = 1e-4;       // dopri5: the RMS over the whole batch of error / (atol + rtol |x|) is kept below 1
  double atol = 1e-4;       // dopri5: units of x
  Index max_steps = 10000;  // dopri5: attempted steps; then Status::iteration_limit
  double t0 = 0;
  double t1 = 1;                                             // may lie before t0
  Context context;                                           // threads of the updates; the velocity minds its own
  std::function<bool(const SampleProgress&)> progress = {};  // after every accepted step; false stops the run
};

struct SampleResult {
  // converged: t1 was reached. numerical_failure: the velocity, or the step it led to, was not finite, or dopri5's step
  // fell below the resolution of t; the last finite state is kept.
  ot::Status status = ot::Status::converged;
  Index nfe = 0;       // evaluations of the velocity
  Index accepted = 0;  // steps
  Index rejected = 0;  // steps; dopri5 only
  double t = 0;        // the time that x stands at
};

// Carries x (rows x dimensions), in place, along dx/dt = velocity(t, x) from t0 to t1; the whole batch shares each
// step. The same bits at any thread count. Throws Error: invalid_argument (options, empty x), not_finite (in x, with
// row and column), and what the velocity throws, x then being as it was given.
SampleResult integrate(const Velocity& velocity, MatrixView<float> x, const SampleOptions& options = {});

}  // namespace monge::flow
