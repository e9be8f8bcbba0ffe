#pragma once  // private: never installed
#include "monge/ot/centred_pairs.h"
#include "monge/ot/score_blocks.h"

namespace monge::ot::detail {

// Shortlists between centred clouds on the CPU, from scores that are kept as long as memory allows. Where many columns
// come in groups, a row that is looked at again meets the groups alone that may hold its best pairs, if these are few.
class CloudPairs final : public CentredPairs {
 public:
  // groups: where each begins, and where the last one ends (PointGroups::first); or none.
  CloudPairs(const CentredClouds& clouds, double stored_bytes, const Context& context, std::vector<Index> groups = {});

  bool is_stored() const { return scores_.is_stored(); }

  Shortlists shortlists(Index k, const std::vector<double>& v) override;
  // Column potentials that few Sinkhorn passes find, for as many rows as columns; in groups see grouped_start.
  std::vector<double> start();

 private:
  double look_again(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) override;
  void set_tops(LargestScores<float>& largest, const float* scores, Index i);
  bool look_at_groups(Index i, Index k, const std::vector<double>& v);
  double list_row(LargestScores<float>& largest, const float* scores, Index i, Index k, std::vector<Pair>& pairs);
  Index group_size(Index g) const { return groups_[g + 1] - groups_[g]; }

  Context context_;
  ScoreBlocks scores_;
  LargestScores<float> largest_;
  std::vector<Index> groups_;
  Matrix<float> tops_;           // n x groups, or none: no score of the row in the group is larger, as biases only fall
  std::vector<bool> in_groups_;  // rows that few groups were enough for
  std::vector<bool> looked_at_;
  std::vector<ScoredColumn<float>> best_;
};

}  // namespace monge::ot::detail
