#pragma once  // private: never installed
#include "monge/ot/assignment_rows.h"
#include "monge/ot/core/array.h"
#include "monge/ot/largest_scores.h"
#include "monge/ot/shortlists.h"

namespace monge::ot::detail {

// Shortlists of a dense cost, read in double: what they say of the rest is exact. +infinity is never listed.
template <class T>
class MatrixPairs final : public PairCosts {
 public:
  MatrixPairs(MatrixView<const T> cost, const Context& context) : cost_(cost), context_(context) {}

  Index rows() const override { return cost_.rows; }
  Index cols() const override { return cost_.cols; }
  double cost(Index i, Index j) const override { return static_cast<double>(cost_(i, j)); }
  Shortlists shortlists(Index k, const std::vector<double>& v) override;
  double shortlist(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) override;
  // Column potentials that few Sinkhorn passes find, for as many rows as columns; in groups: see grouped_start. Keeps
  // a float for each pair.
  std::vector<double> start(const std::vector<RowSummary>& summaries) const;
  std::vector<double> start_in_groups(const std::vector<RowSummary>& summaries) const;

 private:
  // scale (c_ij - v_j) and what is common to a row, times -1; v: of each column, roughly.
  struct Centred {
    Matrix<float> scores = {};
    std::vector<double> v = {};
    double scale = 0, size = 0;  // root mean square of the scores; 0 if there is nothing to choose
  };
  Centred centred(const std::vector<RowSummary>& summaries) const;
  struct Finder {
    LargestScores<double> largest;
    std::vector<double> row;  // of a cost in float
  };
  double list(Finder& finder, Index i, Index k, const double* v, std::vector<Pair>& pairs) const;

  MatrixView<const T> cost_;
  Context context_;
  Finder finder_;
};

}  // namespace monge::ot::detail
