#pragma once  // private: never installed
#include <vector>

#include "monge/ot/score_blocks.h"

namespace monge::ot::detail {

// Good column potentials by few one-sided Sinkhorn passes over square scores s_ij + w_j (costs are their negatives).
// Epsilon falls geometrically from `first` (units of the score) to some times what a row's best scores differ by. w: a
// start, and the result.
void sinkhorn_start(ScoreBlocks& scores, double first, std::vector<double>& w);

}  // namespace monge::ot::detail
