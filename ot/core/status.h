#pragma once

namespace monge::ot {

// Why a solver stopped. Not converging is a status, never an exception.
enum class Status { converged, iteration_limit, time_limit, stopped_by_caller, numerical_failure };

const char* to_string(Status status);

// What is known of the true, unregularised optimal cost.
//   proven      lower <= optimum <= upper holds after floating-point rounding.
//   confidence  both ends hold at 95% (their expectations are estimated from samples of the source law).
//   none        nothing is claimed (distances that bound nothing, interrupted runs).
struct Certificate {
  enum class Kind { none, proven, confidence };
  Kind kind = Kind::none;
  double lower = 0;  // units of the cost
  double upper = 0;  // units of the cost
};

const char* to_string(Certificate::Kind kind);

}  // namespace monge::ot
