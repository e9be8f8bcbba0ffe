#pragma once  // private: never installed
#include "monge/ot/assignment.h"
#include "monge/ot/shortlists.h"

namespace monge::ot::detail {

// The pairs of a sparse graph: every list is complete.
class SparsePairs final : public PairCosts {
 public:
  SparsePairs(Index cols, std::vector<Index> offsets, std::vector<Pair> pairs, int exponent)
      : cols_(cols), exponent_(exponent), offsets_(std::move(offsets)), pairs_(std::move(pairs)) {}

  Index rows() const override { return static_cast<Index>(offsets_.size()) - 1; }
  Index cols() const override { return cols_; }
  double cost(Index i, Index j) const override;  // of a listed pair
  Shortlists shortlists(Index, const std::vector<double>&) override;
  double shortlist(Index i, Index, const std::vector<double>&, std::vector<Pair>& pairs) override;
  int exponent() const { return exponent_; }  // costs are the caller's over 2^exponent

 private:
  Index cols_;
  int exponent_;
  std::vector<Index> offsets_;
  std::vector<Pair> pairs_;
};

// Checks a graph and leaves out what is forbidden. Throws Error: invalid_argument, not_finite, backend_unavailable; if
// each row needs a column of its own also for fewer columns than rows, and infeasible for a row without pairs.
enum class Matching { one_to_one, any };
template <class T>
SparsePairs sparse_pairs(const SparseCost<T>& cost, const char* who, Matching matching = Matching::one_to_one);

}  // namespace monge::ot::detail
