#include "monge/ot/centred_pairs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "monge/ot/squared_distance.h"

namespace monge::ot::detail {
namespace {

constexpr double kUnit = 0x1p-24;  // of float

}  // namespace

Matrix<float> rounded(const Matrix<double>& x) {
  Matrix<float> out(x.rows(), x.cols());
  std::transform(x.data(), x.data() + x.rows() * x.cols(), out.data(), [](double v) { return static_cast<float>(v); });
  return out;
}

CentredPairs::CentredPairs(const CentredClouds& clouds, double product_error)
    : clouds_(clouds), x_(rounded(clouds.x)), y_(rounded(clouds.y)), bias_(clouds.y.rows()) {
  // |2 <x, y> in float - 2 <x, y>| <= 2 p u |x| |y| <= p u (|x|^2 t + |y|^2 / t) for any t; p: of points rounded to
  // float, 4, and of the products.
  const double unit = (4 + product_error) * kUnit * (1 + 0x1p-8);
  const double t =
      clouds.x_size > 0 && clouds.y_size > 0 ? std::clamp(clouds.y_size / clouds.x_size, 0x1p-10, 0x1p10) : 1.0;
  margin_ = unit / t;
  row_margin_ = unit * t;
}

double CentredPairs::cost(Index i, Index j) const {
  return squared_distance(clouds_.x.view().row(i), clouds_.y.view().row(j), clouds_.x.cols());
}

// v less the column's square, and the column's share of the charge.
inline float bias_of(double v, double square, double margin) {
  const double w = v - square;
  return static_cast<float>(w + margin * square + 4 * kUnit * std::abs(w));
}

void CentredPairs::set_biases(const std::vector<double>& v, Index first, Index count) {
  const double* squares = clouds_.y_squares.data();
  const double margin = margin_;
  for (Index j = first; j < first + count; ++j) bias_[j] = bias_of(v[j], squares[j], margin);
}

void CentredPairs::lay_aside(Index most) {
  reserve_ = Matrix<ScoredColumn<float>>(rows(), std::min(most, cols()));
  reserve_rest_.resize(rows());
}

// What bounds the reduced costs of row i whose scores are no larger than `score`.
double CentredPairs::bound(Index i, float score) const {
  const double square = clouds_.x_squares[i], last = static_cast<double>(score);
  return square - last - row_margin_ * square - 4 * kUnit * std::abs(last) -
         static_cast<double>(clouds_.x.cols()) * 0x1p-140;
}

double CentredPairs::list(Index i, Index k, std::span<const ScoredColumn<float>> found,
                          std::vector<Pair>& pairs) const {
  const Index count = static_cast<Index>(found.size()), kept = std::min(k, count);
  pairs.resize(static_cast<std::size_t>(kept));
  for (Index p = 0; p < kept; ++p) pairs[p] = {cost(i, found[p].column), found[p].column};
  return kept == cols() ? std::numeric_limits<double>::infinity() : bound(i, found[kept - 1].score);
}

double CentredPairs::list_from_reserve(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) {
  const ScoredColumn<float>* row = reserve_.view().row(i);
  candidates_.assign(row, row + reserve_.cols());
  for (ScoredColumn<float>& c : candidates_) c.score += bias_of(v[c.column], clouds_.y_squares[c.column], margin_);
  const auto last = candidates_.begin() + (k - 1);
  std::nth_element(candidates_.begin(), last, candidates_.end(), [](const auto& a, const auto& b) {
    return a.score > b.score || (a.score == b.score && a.column < b.column);
  });
  pairs.resize(static_cast<std::size_t>(k));
  for (Index p = 0; p < k; ++p) pairs[p] = {cost(i, candidates_[p].column), candidates_[p].column};
  return std::min(bound(i, last->score), reserve_rest_[i]);
}

double CentredPairs::shortlist(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) {
  if (2 * k <= aside()) {
    const double rest = list_from_reserve(i, k, v, pairs);
    if (rest < reserve_rest_[i]) return rest;  // else there is nothing more to learn from what was laid aside
  }
  return look_again(i, std::min(k, cols()), v, pairs);
}

}  // namespace monge::ot::detail
