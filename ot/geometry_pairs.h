#pragma once  // private: never installed
#include <cmath>

#include "monge/ot/geometry.h"
#include "monge/ot/shortlists.h"

namespace monge::ot::detail {

// Shortlists between clouds, of any cost and with labels, an infinite penalty of which keeps pairs out of them, in
// units of 2^exponent: passes in double find the pairs, which are then priced from the points as given.
// docs/network_simplex.md bounds what either may round.
class GeometryPairs final : public PairCosts {
 public:
  // Borrows what the problem borrows. Keeps the n x m scores, once they are needed, where that pays and takes at most
  // `stored_bytes`.
  GeometryPairs(const Problem<double>& problem, double stored_bytes, const Context& context);

  Index rows() const override { return geometry_.rows(); }
  Index cols() const override { return geometry_.cols(); }
  double cost(Index i, Index j) const override;
  // v = -infinity leaves a column out.
  Shortlists shortlists(Index k, const std::vector<double>& v) override;
  double shortlist(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) override;

  double unit() const { return geometry_.unit(); }
  // |cost(i, j) - c_ij| <= share() |cost(i, j)| + most().
  double share() const { return share_; }
  double most() const { return most_; }
  double largest_cost() const { return geometry_.largest_cost(); }

 private:
  double between(Index i, Index j) const;  // without labels
  bool labels_differ(Index i, Index j) const {
    return !problem_.x_labels.empty() && problem_.x_labels[i] != problem_.y_labels[j];
  }
  bool is_forbidden(Index i, Index j) const { return labels_differ(i, j) && std::isinf(penalty_); }

  Problem<double> problem_;
  Context context_;
  Geometry<double> geometry_;
  Matrix<double> x_, y_;  // directions, of the cosine cost
  int exponent_ = 0;      // of coordinates
  double share_ = 0, most_ = 0, penalty_ = 0;
  bool store_ = false;  // the scores, when they are needed
};

}  // namespace monge::ot::detail
