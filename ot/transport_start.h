#pragma once  // private: never installed
#include <functional>
#include <vector>

#include "monge/ot/transport_relaxation.h"

namespace monge::ot::detail {

using PairCost = std::function<double(Index row, Index column)>;  // +infinity: forbidden

// Places what is left of supply and demand, whose sums are equal, on `arcs` in their order, each taking as much as it
// can, and then on other pairs. Columns that have too much (demand < 0) give it back first.
void place_rest(std::vector<Int128> supply, std::vector<Int128> demand, const std::vector<Arc>& arcs,
                const PairCost& cost, std::vector<MassOnArc>& plan);

// A strongly feasible basis that costs no more than a plan: circles of it are emptied one by one. Where it falls into
// parts, `arcs` join them in their order, and at last other pairs.
Basis basis_of(Index rows, Index cols, const std::vector<MassOnArc>& plan, const std::vector<Arc>& arcs,
               const PairCost& cost);

}  // namespace monge::ot::detail
