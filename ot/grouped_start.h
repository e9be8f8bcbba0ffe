#pragma once  // private: never installed
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/score_blocks.h"

namespace monge::ot::detail {

inline constexpr Index column_groups = 64;  // at most

// Good biases w of scores s_ij = 2 <x_i, y_j> + w_j between as many rows as columns that lie in clusters (n = m), where
// a Sinkhorn pass moves what clusters differ by no farther than epsilon log of the little mass they have too much. Here
// a pass shows, for groups of columns, what each row could have in each, and Newton's steps between rows and groups put
// these in balance, however far they have to go. Of many points a sample of each group goes first.
// groups: of the columns, where each begins and the last one ends. scores: 2 <x_i, y_j>. first: epsilon of the first
// pass. w: a start.
std::vector<double> grouped_start(MatrixView<const float> x, MatrixView<const float> y,
                                  const std::vector<Index>& groups, ScoreBlocks& scores, double first,
                                  std::vector<double> w);

// The same from passes over all scores, square and with their columns group by group, whatever they are.
std::vector<double> grouped_start(const std::vector<Index>& groups, ScoreBlocks& scores, double first,
                                  std::vector<double> w);

}  // namespace monge::ot::detail
