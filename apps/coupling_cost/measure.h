#pragma once
#include <compare>
#include <functional>
#include <string>
#include <vector>

#include "monge/apps/coupling_cost/limit.h"
#include "monge/apps/coupling_cost/population.h"

namespace monge::apps {

enum class CouplingKind { independent, sinkhorn, exact, semidiscrete };
const char* to_string(CouplingKind kind);

// Which coupling; epsilon is that of Sinkhorn, in units of Population::spread.
struct CouplingName {
  CouplingKind kind = CouplingKind::independent;
  double epsilon = 0;
  auto operator<=>(const CouplingName&) const = default;

  std::string text() const;  // "Sinkhorn 0.1"
};

// One coupling of one batch.
struct Point {
  CouplingName coupling;
  Index n = 0, repeat = 0;
  double raw_cost = 0;        // <P, C>, per pair
  double gap = 0;             // above the limit, less what the batch's points alone make of it (docs/coupling_cost.md)
  double entropy = 0;         // renormalised: 1 independent, 0 deterministic
  double seconds = 0;         // per pair, from two clouds to a partner for every row
  double marginal_error = 0;  // of Sinkhorn: L1
  double iterations = 0;      // of Sinkhorn
  double peak_mb = 0;         // of the whole process meanwhile
  std::string status = "converged";
};

// A batch beside the limit: partners and potentials that the limit gives its points.
struct LimitOfBatch {
  std::vector<std::int32_t> partners;  // n, rows of the population
  std::vector<double> f, g;            // n each, of x and y
  double seconds = 0;                  // to match
  double peak_mb = 0;                  // of the process meanwhile
};
LimitOfBatch match_batch(const Population& population, const Limit& limit, const Batch& batch, std::uint64_t seed);

struct MeasureOptions {
  double tolerance = 1e-3;  // of Sinkhorn, L1 error of the marginals
  std::uint64_t seed = 0;
  Context context;
  std::function<bool(double)> progress = {};  // share done, where it is known; false stops. May be empty
};

// Throws Interrupted if options.progress stopped it, and Error as the solvers do.
Point measure(const CouplingName& coupling, const Population& population, const Limit& limit, const Batch& batch,
              const LimitOfBatch& at_limit, const MeasureOptions& options);

}  // namespace monge::apps
