#pragma once  // private: never installed
#include <vector>

#include "monge/ot/problem.h"
#include "monge/ot/shortlists.h"
#include "monge/ot/transport_masses.h"
#include "monge/ot/transport_relaxation.h"

namespace monge::ot::detail {

// Points on a line whose costs are convex in x - y, or -xy: their best plan keeps their order, and so does a best
// basis.
bool is_on_line(const Problem<double>& problem);

// That plan, and arcs without mass that connect it where a row and a column end together.
std::vector<MassOnArc> line_plan(const Problem<double>& problem, const TransportMasses& masses, const PairCosts& pairs);

}  // namespace monge::ot::detail
