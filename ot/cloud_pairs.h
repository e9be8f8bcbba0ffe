#pragma once  // private: never installed
#include "monge/ot/assignment_cloud.h"
#include "monge/ot/largest_scores.h"
#include "monge/ot/score_blocks.h"
#include "monge/ot/shortlists.h"

namespace monge::ot::detail {

// Shortlists between centred clouds: a float product finds the pairs, double prices them. What float may have got wrong
// is charged pair by pair: docs/exact.md.
class CloudPairs final : public PairCosts {
 public:
  CloudPairs(const CentredClouds& clouds, double stored_bytes, const Context& context);

  bool is_stored() const { return scores_.is_stored(); }

  Index rows() const override { return clouds_.x.rows(); }
  Index cols() const override { return clouds_.y.rows(); }
  double cost(Index i, Index j) const override;
  Shortlists shortlists(Index k, const std::vector<double>& v) override;
  double shortlist(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) override;
  // Column potentials that few Sinkhorn passes find, for as many rows as columns.
  std::vector<double> start();

 private:
  float bias(Index j, double v) const;
  void set_biases(const std::vector<double>& v);
  double bound(Index i, float score) const;
  double list(LargestScores<float>& largest, const float* scores, Index i, Index k, std::vector<Pair>& pairs);
  double list_from_reserve(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs);

  const CentredClouds& clouds_;
  Context context_;
  Matrix<float> x_, y_;
  ScoreBlocks scores_;
  std::vector<float> bias_;  // m: v_j - |y_j|^2, and the column's share of the charge
  double margin_ = 0, row_margin_ = 0;
  LargestScores<float> largest_;
  Matrix<ScoredColumn<float>> reserve_;  // n x some: pairs with their scores without bias, of rows that are not kept
  std::vector<double> reserve_rest_;     // n: what bounds all others
  std::vector<ScoredColumn<float>> candidates_;
};

}  // namespace monge::ot::detail
