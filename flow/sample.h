#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/status.h"

namespace monge::flow {

// v = velocity(t, x) for a whole batch: x and v are rows x dimensions, v is to be overwritten.
using Velocity = std::function<void(double t, MatrixView<const float> x, MatrixView<float> v)>;

enum class Solver {
  euler,     // order 1, one evaluation a step
  midpoint,  // order 2, two evaluations a step, none at the end of the run: for velocities that are rough at t1
  heun,      // order 2 (trapezoidal predictor-corrector), two evaluations a step
  rk4,       // order 4 (Kutta's classical method), four evaluations a step
  dopri5,    // order 5(4), adaptive (Dormand and Prince 1980), six evaluations an attempted step and two to start
};

const char* to_string(Solver solver);
Solver parse_solver(std::string_view name);  // throws Error(invalid_argument) that lists the names
const std::vector<std::string>& solver_names();

struct SampleProgress {
  double t = 0;   // time reached
  Index nfe = 0;  // evaluations so far
};

struct SampleOptions {
  Solver solver = Solver::euler;
  Index steps = 16;         // all but dopri5: equal steps from t0 to t1
  double rtol = 1e-4;       // dopri5: the RMS over the whole batch of error / (atol + rtol |x|) is kept below 1
  double atol = 1e-4;       // dopri5: units of x
  Index max_steps = 10000;  // dopri5: attempted steps; then Status::iteration_limit
  double t0 = 0;
  double t1 = 1;                                             // may lie before t0
  Context context = {};                                      // threads of the updates; the velocity minds its own
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

// The same against time, from data to noise: x starts at options.t1 and is carried to options.t0. A flow without
// crossings is a bijection, so what it carries back and forth again returns, up to the solver's error.
SampleResult invert(const Velocity& velocity, MatrixView<float> x, SampleOptions options = {});

// Classifier-free guidance (Ho and Salimans 2022, for velocities as in Lipman et al. 2023): the velocity
//   scale conditional + (1 - scale) unconditional,
// of which scale 1 is the conditional one and larger scales go further in the direction that the condition makes a
// difference in. Both are called with the same rows, the conditional one first; at scale 1 and 0 one of them is not
// called. Not to be called from two threads at once. Throws Error(invalid_argument): no velocity, a scale not finite.
Velocity guided(Velocity conditional, Velocity unconditional, double scale, const Context& context = {});

}  // namespace monge::flow
