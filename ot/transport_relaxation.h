#pragma once  // private: never installed
#include <vector>

#include "monge/ot/transport_tree.h"

namespace monge::ot::detail {

struct MassOnArc {
  Arc arc;
  Int128 mass = 0;
};

// A nearly optimal plan over `arcs`, from column potentials v that are nearly right: epsilon relaxation (Bertsekas and
// Eckstein, Dual coordinate step methods for linear network flow problems, Mathematical Programming 42, 1988). Rows bid
// for the column that is best for them; columns that have too much send back what is dearest to them, at a price lower
// by epsilon. Supply and demand become what it could not place, which is nothing if the arcs allow a plan at all, near
// enough to v. Improves v.
std::vector<MassOnArc> relaxed_plan(std::vector<Int128>& supply, std::vector<Int128>& demand,
                                    const std::vector<Arc>& arcs, std::vector<double>& v);

}  // namespace monge::ot::detail
