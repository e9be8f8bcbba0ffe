#pragma once
#include <cstdint>

#include "monge/ot/core/array.h"
#include "monge/ot/core/prepared.h"
#include "monge/ot/core/random.h"

namespace monge::ot {

// Recombined Gaussian noise. Let x be 64 independent rows of N(0, I). For H the 64 x 64 Hadamard matrix and D random
// signs, Q = H D / 8 is orthogonal, so Q x is again 64 independent rows of N(0, I), and its scores against the atoms
// are Q applied to the scores of x: one GEMM row serves many noise vectors at a few additions each. Rounds on different
// groups are independent; two rounds on one group are not, which whoever averages over them has to bear in mind.
inline constexpr Index group_rows = 64;

struct Recombination {
  MatrixView<const float> x;                // 64 G x d: G groups of independent source rows
  MatrixView<const float> y;                // N x d, the atoms
  VectorView<const float> v;                // N, added to every score
  const PreparedPoints* y_ready = nullptr;  // of y, if kept
  Index rounds = 0;                         // R noise sets per group; 0 = one set, the rows of x as they are
  Rng signs;                                // round r of group q takes its signs from block (first_group + q) R + r
  std::uint64_t first_group = 0;
  float window = 0;                                // report columns whose score is within this of the row's best
  VectorView<const std::int32_t> row_labels = {};  // 64 G R, of the recombined rows; empty = no labels
  VectorView<const std::int32_t> col_labels = {};  // N
  float label_penalty = 0;                         // off the score where labels differ; +infinity forbids such pairs

  bool is_labelled() const { return label_penalty != 0 && !row_labels.empty() && !col_labels.empty(); }

  Index sets() const { return rounds > 0 ? rounds : 1; }
  Index groups() const { return x.rows / group_rows; }
  Index rows() const { return x.rows * sets(); }
};

// For each recombined row, group by group, then round by round: the columns of score <x'_i, y_j> + v_j within `window`
// of the best, best first, as many as `scores` has columns (64 G R x keep, keep <= 32). Unused places hold -infinity
// and -1. Never forms more than a tile of scores. The same bits at any thread count. Throws invalid_argument
// (shapes).
void recombined_candidates(const Recombination& r, MatrixView<float> scores, MatrixView<std::int32_t> columns,
                           const Context& context);

// The noise rows themselves: out = H D x / 8 for one group (64 x d) and round.
void recombined_noise(MatrixView<const float> x, const Rng& signs, std::uint64_t block, MatrixView<float> out);

}  // namespace monge::ot
