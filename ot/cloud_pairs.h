#pragma once  // private: never installed
#include "monge/ot/centred_pairs.h"
#include "monge/ot/score_blocks.h"

namespace monge::ot::detail {

// Shortlists between centred clouds on the CPU, from scores that are kept as long as memory allows.
class CloudPairs final : public CentredPairs {
 public:
  CloudPairs(const CentredClouds& clouds, double stored_bytes, const Context& context);

  bool is_stored() const { return scores_.is_stored(); }

  Shortlists shortlists(Index k, const std::vector<double>& v) override;
  // Column potentials that few Sinkhorn passes find, for as many rows as columns.
  std::vector<double> start();
  // Where clusters leave these far from balance: see grouped_start.
  std::vector<double> start_in_groups() const;

 private:
  double look_again(Index i, Index k, std::vector<Pair>& pairs) override;
  double list_row(LargestScores<float>& largest, const float* scores, Index i, Index k, std::vector<Pair>& pairs);

  Context context_;
  ScoreBlocks scores_;
  LargestScores<float> largest_;
};

}  // namespace monge::ot::detail
