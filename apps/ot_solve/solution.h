#pragma once
#include <optional>
#include <string>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/status.h"
#include "monge/ot/plan.h"
#include "monge/ot/sinkhorn.h"

namespace monge::apps {

// What a solver found, whichever it was. What a solver does not have is empty.
struct Solution {
  std::string solver = {};
  std::string dtype = {};  // it computed in
  ot::Status status = ot::Status::converged;
  bool found = true;                 // false: it ended before there was any plan
  std::optional<double> cost = {};   // <P, C>
  std::optional<double> value = {};  // cost, and the prices of straying from a and b: what the certificate brackets
  ot::Certificate certificate = {};
  std::optional<double> marginal_error = {};  // L1; semidiscrete: a bound on it at 95%
  std::optional<double> mass = {};            // moved
  std::optional<double> epsilon = {};         // units of the cost
  std::string epsilon_note = {};              // "1% of the mean cost"
  std::optional<Index> iterations = {};
  std::optional<double> standard_error = {};  // of cost
  double seconds = 0;                         // from clouds in memory to here

  std::vector<double> f = {}, g = {};               // potentials, units of the cost; none of sliced, no f of a law
  std::optional<ot::SinkhornResult> sinkhorn = {};  // for its plan
  ot::SparsePlan plan = {};                         // of an exact solver
};

// What it was found for.
struct Shape {
  std::optional<Index> n = {};  // none for a law
  Index m = 0;
  std::optional<Index> d = {};  // none for a dense cost
};

}  // namespace monge::apps
