#include "monge/ot/cloud_pairs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "monge/ot/assignment_start.h"
#include "monge/ot/core/stop.h"

namespace monge::ot::detail {
namespace {

constexpr double kUnit = 0x1p-24;  // of float
constexpr Index kReserve = 1024;   // pairs of a row that are laid aside

Matrix<float> rounded(const Matrix<double>& x) {
  Matrix<float> out(x.rows(), x.cols());
  std::transform(x.data(), x.data() + x.rows() * x.cols(), out.data(), [](double v) { return static_cast<float>(v); });
  return out;
}

}  // namespace

CloudPairs::CloudPairs(const CentredClouds& clouds, double stored_bytes, const Context& context)
    : clouds_(clouds),
      context_(context),
      x_(rounded(clouds.x)),
      y_(rounded(clouds.y)),
      scores_(std::as_const(x_).view(), std::as_const(y_).view(), stored_bytes, context),
      bias_(clouds.y.rows()) {
  // |2 <x, y> in float - 2 <x, y>| <= 2 p u |x| |y| <= p u (|x|^2 t + |y|^2 / t) for any t; p: of points rounded to
  // float, 4, and of sums in any order, d, or products of digits (docs/passes.md).
  const double d = static_cast<double>(clouds.x.cols());
  const double unit = (4 + std::max(d, 4.2 * std::sqrt(d) + 0.1 * d + 8)) * kUnit * (1 + 0x1p-8);
  const double t =
      clouds.x_size > 0 && clouds.y_size > 0 ? std::clamp(clouds.y_size / clouds.x_size, 0x1p-10, 0x1p10) : 1.0;
  margin_ = unit / t;
  row_margin_ = unit * t;
}

double CloudPairs::cost(Index i, Index j) const {
  return squared_distance(clouds_.x.view().row(i), clouds_.y.view().row(j), clouds_.x.cols(), 0);
}

float CloudPairs::bias(Index j, double v) const {
  const double square = clouds_.y_squares[j], w = v - square;
  return static_cast<float>(w + margin_ * square + 4 * kUnit * std::abs(w));
}

void CloudPairs::set_biases(const std::vector<double>& v) {
  for (Index j = 0; j < cols(); ++j) bias_[j] = bias(j, v[j]);
}

// What bounds the reduced costs of row i whose scores are no larger than `score`.
double CloudPairs::bound(Index i, float score) const {
  const double square = clouds_.x_squares[i], last = static_cast<double>(score);
  return square - last - row_margin_ * square - 4 * kUnit * std::abs(last) -
         static_cast<double>(clouds_.x.cols()) * 0x1p-140;
}

// The k best pairs of a row of scores; more of them are laid aside where rows are dear to make again.
double CloudPairs::list(LargestScores<float>& largest, const float* scores, Index i, Index k,
                        std::vector<Pair>& pairs) {
  const Index aside = reserve_.cols();
  const auto found = largest.find(scores, 1.0f, bias_.data(), cols(), std::max(k, aside), spread(i, cols()));
  const Index count = static_cast<Index>(found.size()), kept = std::min(k, count);
  pairs.resize(static_cast<std::size_t>(kept));
  for (Index p = 0; p < kept; ++p) pairs[p] = {cost(i, found[p].column), found[p].column};
  if (aside > 0) {
    for (Index p = 0; p < aside; ++p) reserve_(i, p) = {scores[found[p].column], found[p].column};
    reserve_rest_[i] = bound(i, found[aside - 1].score);
  }
  return kept == cols() ? std::numeric_limits<double>::infinity() : bound(i, found[kept - 1].score);
}

double CloudPairs::list_from_reserve(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) {
  const ScoredColumn<float>* row = reserve_.view().row(i);
  candidates_.assign(row, row + reserve_.cols());
  for (ScoredColumn<float>& c : candidates_) c.score += bias(c.column, v[c.column]);
  const auto last = candidates_.begin() + (k - 1);
  std::nth_element(candidates_.begin(), last, candidates_.end(), [](const auto& a, const auto& b) {
    return a.score > b.score || (a.score == b.score && a.column < b.column);
  });
  pairs.resize(static_cast<std::size_t>(k));
  for (Index p = 0; p < k; ++p) pairs[p] = {cost(i, candidates_[p].column), candidates_[p].column};
  return std::min(bound(i, last->score), reserve_rest_[i]);
}

Shortlists CloudPairs::shortlists(Index k, const std::vector<double>& v) {
  set_biases(v);
  if (!is_stored()) {
    reserve_ = Matrix<ScoredColumn<float>>(rows(), std::min(kReserve, cols()));
    reserve_rest_.resize(rows());
  }
  Shortlists lists(rows(), k);
  std::vector<LargestScores<float>> largest(static_cast<std::size_t>(resolve_threads(context_.threads)));
  constexpr Index tile = 32;
  scores_.each([&](Index first, MatrixView<const float> block) {
    parallel_for(threads_worth(context_.threads, block.rows * block.cols), (block.rows + tile - 1) / tile,
                 [&](Index t, int worker) {
                   if (context_.stop) context_.stop->look();
                   std::vector<Pair> pairs;
                   for (Index i = t * tile; i < std::min(block.rows, (t + 1) * tile); ++i) {
                     const double rest =
                         list(largest[static_cast<std::size_t>(worker)], block.row(i), first + i, k, pairs);
                     lists.set(first + i, pairs.data(), static_cast<Index>(pairs.size()), rest);
                   }
                 });
  });
  return lists;
}

double CloudPairs::shortlist(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) {
  if (2 * k <= reserve_.cols()) {
    const double rest = list_from_reserve(i, k, v, pairs);
    if (rest < reserve_rest_[i]) return rest;  // else there is nothing more to learn from what was laid aside
  }
  set_biases(v);
  return list(largest_, scores_.is_stored() ? scores_.row(i) : scores_.make_row(i), i, std::min(k, cols()), pairs);
}

std::vector<double> CloudPairs::start() {
  const Index m = cols();
  const double size = clouds_.x_size * clouds_.y_size;  // rms
  std::vector<double> v = isotropic_start(clouds_);
  if (!(size > 0)) return v;
  for (Index j = 0; j < m; ++j) v[j] -= clouds_.y_squares[j];
  sinkhorn_start(scores_, {.first = 0.2 * size}, v);
  for (Index j = 0; j < m; ++j) v[j] += clouds_.y_squares[j];
  return v;
}

}  // namespace monge::ot::detail
