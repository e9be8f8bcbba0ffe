#pragma once  // private: never installed
#include <chrono>
#include <cmath>

#include "monge/ot/core/stop.h"
#include "monge/ot/exact.h"
#include "monge/ot/shortlists.h"
#include "monge/ot/transport_masses.h"
#include "monge/ot/transport_relaxation.h"

namespace monge::ot::detail {

// Says when to end.
class ExactMonitor {
 public:
  explicit ExactMonitor(const ExactOptions& options);
  bool go_on(const ExactProgress& now);  // and what is told from here on
  const Stop& in_passes() const { return stop_; }
  Status why() const { return refused_ ? Status::stopped_by_caller : Status::time_limit; }
  double seconds() const;
  // Half a second and a tenth of the time there was, for what is needed to prove anything.
  void grant();

 private:
  bool ask();
  const ExactOptions& options_;
  Stop::Clock::time_point start_ = Stop::Clock::now();
  ExactProgress last_;
  bool refused_ = false;
  Stop stop_;
};

// Costs as the method sees them, in a unit of their own.
struct TransportCosts {
  PairCosts& pairs;
  PairCosts* turned = nullptr;  // the same with rows and columns exchanged, if that can be had
  double unit = 1;
  double share = 0, most = 0;  // a cost is off by share |cost| + most
  double least = 0;            // no cost is below that
  double largest = 0;          // modulus of an allowed cost, if it matters
  bool complete = true;        // no pair is forbidden
};

struct TransportSolution {
  Status status = Status::converged;
  Basis basis;               // nodes: the rows and columns that take part
  std::vector<double> f, g;  // n, m, units of the costs; g = -infinity for columns that take no part
  double lower = -HUGE_VAL;  // of sum a f + sum b g, rounding included
  Index pivots = 0;
};

// Column generation: an optimal basis of some pairs, which potentials choose, then of these and all pairs that improve
// on it, until there are none. `start` gives column potentials, m; it is not asked where a plan is known, of all
// masses, with arcs that connect it.
TransportSolution network_simplex(const TransportCosts& costs, const TransportMasses& masses, ExactMonitor& monitor,
                                  const std::function<std::vector<double>()>& start,
                                  const std::vector<MassOnArc>& known = {});

}  // namespace monge::ot::detail
