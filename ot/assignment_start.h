#pragma once  // private: never installed
#include <functional>
#include <vector>

#include "monge/ot/score_blocks.h"

namespace monge::ot::detail {

// How epsilon falls, geometrically, and how far a pass goes.
struct StartSchedule {
  double first = 0;     // units of the score
  double last = 2.5;    // in units of the spacing, what a row's best scores differ by from one to the next
  double fall = 0.376;  // from pass to pass
  double omega = 1;     // over-relaxation: pays in few dimensions, with more passes
};

// By how much the best scores s_ij + w_j of a row differ from one to the next: of some rows, the mean, none above
// sixteen medians.
inline constexpr Index spacing_rows = 64;
double score_spacing(MatrixView<const float> scores, const std::vector<float>& w);

// One pass over all scores s_ij + w_j at epsilon: mass_j, what column j gets of the softmaxes of all rows. Returns the
// spacing of the scores.
using BalancePass = std::function<double(const std::vector<float>& w, float epsilon, std::vector<double>& mass)>;

// Good column potentials by few one-sided Sinkhorn passes over square scores s_ij + w_j (costs are their negatives).
// w: a start, and the result.
void sinkhorn_start(const BalancePass& pass, const StartSchedule& schedule, std::vector<double>& w);
void sinkhorn_start(ScoreBlocks& scores, const StartSchedule& schedule, std::vector<double>& w);

}  // namespace monge::ot::detail
