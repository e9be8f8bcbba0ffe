#pragma once  // private: never installed
#include <vector>

#include "monge/ot/score_blocks.h"

namespace monge::ot::detail {

// Good column potentials by few one-sided Sinkhorn passes over square scores s_ij + w_j (costs are their negatives),
// epsilon falling geometrically. w: a start, and the result.
struct StartOptions {
  double first = 0, last = 0;  // epsilon, units of the score
  int passes = 5;
  double omega = 1;  // over-relaxation
};
void sinkhorn_start(ScoreBlocks& scores, const StartOptions& options, std::vector<double>& w);

}  // namespace monge::ot::detail
