#pragma once  // private: never installed
#include "monge/ot/sinkhorn_iteration.h"

namespace monge::ot::detail {

// What the last look of an iteration proves, in units of the geometry. docs/certificates.md has the argument. Throws
// Error(stopped) before the cost is known; if the context's Stop comes after that, the lower bound is what is known
// anyway.
struct SinkhornBounds {
  double cost = 0;   // <P, C>
  double value = 0;  // with the prices of unfixed marginals
  double lower = 0, upper = 0;
  double slack = 0;  // the part of upper - lower that is owed to rounding alone
  bool proven = false;
  bool whole = true;  // not stopped
};

template <class T>
SinkhornBounds sinkhorn_bounds(const SinkhornIteration<T>& iteration);

}  // namespace monge::ot::detail
