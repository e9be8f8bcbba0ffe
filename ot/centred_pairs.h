#pragma once  // private: never installed
#include <span>

#include "monge/ot/assignment_cloud.h"
#include "monge/ot/largest_scores.h"
#include "monge/ot/shortlists.h"

namespace monge::ot::detail {

// To floats.
Matrix<float> rounded(const Matrix<double>& x);

// Shortlists between centred clouds: a float product finds the pairs, double prices them. What float may have got wrong
// is charged pair by pair: docs/exact.md. Where the products are made is left to others.
class CentredPairs : public PairCosts {
 public:
  Index rows() const override { return clouds_.x.rows(); }
  Index cols() const override { return clouds_.y.rows(); }
  double cost(Index i, Index j) const override;
  double shortlist(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) override;

 protected:
  // product_error: a float product of points in floats is within so many 2^-24 |x||y| of the exact one.
  CentredPairs(const CentredClouds& clouds, double product_error);

  // Lists the k best pairs of a row, whose scores are made anew.
  virtual double look_again(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) = 0;

  void set_biases(const std::vector<double>& v) { set_biases(v, 0, cols()); }
  void set_biases(const std::vector<double>& v, Index first, Index count);
  // Room for `most` of the best pairs of each row, beyond its list, where rows are dear to make again.
  void lay_aside(Index most);
  Index aside() const { return reserve_.cols(); }

  // Lists the first k of a row's best pairs, scores falling and biases in them. Returns what bounds the rest.
  double list(Index i, Index k, std::span<const ScoredColumn<float>> found, std::vector<Pair>& pairs) const;
  // Lays aside as many of a row's best pairs as are asked for; raw(p): the score of the p-th without its bias.
  template <class Raw>
  void set_aside(Index i, std::span<const ScoredColumn<float>> found, const Raw& raw) {
    if (aside() == 0) return;
    for (Index p = 0; p < aside(); ++p) reserve_(i, p) = {raw(p), found[p].column};
    reserve_rest_[i] = bound(i, found[aside() - 1].score);
  }

  // Column potentials that fit an isotropic Gaussian pair, made better by improve(biases) if there is anything to know.
  template <class Improve>
  std::vector<double> start_from(const Improve& improve) const {
    std::vector<double> v = isotropic_start(clouds_);
    const double size = clouds_.x_size * clouds_.y_size;  // rms
    if (!(size > 0)) return v;
    for (Index j = 0; j < cols(); ++j) v[j] -= clouds_.y_squares[j];
    improve(0.2 * size, v);
    for (Index j = 0; j < cols(); ++j) v[j] += clouds_.y_squares[j];
    return v;
  }

  const CentredClouds& clouds_;
  Matrix<float> x_, y_;
  std::vector<float> bias_;  // m: v_j - |y_j|^2, and the column's share of the charge

 private:
  double bound(Index i, float score) const;
  double list_from_reserve(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs);

  double margin_ = 0, row_margin_ = 0;
  Matrix<ScoredColumn<float>> reserve_;  // n x some: pairs with their scores without bias
  std::vector<double> reserve_rest_;     // n: what bounds all others
  std::vector<ScoredColumn<float>> candidates_;
};

}  // namespace monge::ot::detail
