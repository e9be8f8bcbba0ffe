#pragma once  // private: never installed
#include <vector>

#include "monge/ot/score_blocks.h"

namespace monge::ot::detail {

// How epsilon falls, geometrically, and how far a pass goes.
struct StartSchedule {
  double first = 0;     // units of the score
  double last = 2;      // in units of the spacing, what a row's best scores differ by from one to the next
  double fall = 0.376;  // from pass to pass
  double omega = 1;     // over-relaxation: pays in few dimensions, with more passes
};

// Good column potentials by few one-sided Sinkhorn passes over square scores s_ij + w_j (costs are their negatives).
// w: a start, and the result.
void sinkhorn_start(ScoreBlocks& scores, const StartSchedule& schedule, std::vector<double>& w);

}  // namespace monge::ot::detail
