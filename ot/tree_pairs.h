#pragma once  // private: never installed
#include "monge/ot/core/device.h"
#include "monge/ot/kd_tree.h"
#include "monge/ot/shortlists.h"

namespace monge::ot::detail {

// Shortlists between points of few dimensions, both in kd_order: |x_i - y_j|^2 in double.
class TreePairs final : public PairCosts {
 public:
  static constexpr Index most_dims = KdTree::most_dims;

  TreePairs(MatrixView<const double> x, MatrixView<const double> y, const Context& context)
      : x_(x), y_(y), context_(context), tree_(y) {}

  Index rows() const override { return x_.rows; }
  Index cols() const override { return y_.rows; }
  double cost(Index i, Index j) const override;
  Shortlists shortlists(Index k, const std::vector<double>& v) override;
  double shortlist(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) override;
  bool can_close() const override { return true; }
  void close(Index column) override { tree_.close(column); }
  void open(Index column) override { tree_.open(column); }
  void find_open(Index k, const std::vector<double>& v, std::vector<OpenList>& lists) override;

 private:
  MatrixView<const double> x_, y_;
  Context context_;
  KdTree tree_;
  KdTree::Finder finder_;
  std::vector<KdTree::Finder> finders_;  // of each thread
};

}  // namespace monge::ot::detail
