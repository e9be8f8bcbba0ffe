#include "monge/ot/cloud_pairs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "monge/ot/assignment_start.h"

namespace monge::ot::detail {
namespace {

constexpr double kUnit = 0x1p-24;  // of float

Matrix<float> rounded(const Matrix<double>& x) {
  Matrix<float> out(x.rows(), x.cols());
  std::transform(x.data(), x.data() + x.rows() * x.cols(), out.data(), [](double v) { return static_cast<float>(v); });
  return out;
}

}  // namespace

CloudPairs::CloudPairs(const CentredClouds& clouds, const Context& context)
    : clouds_(clouds),
      context_(context),
      x_(rounded(clouds.x)),
      y_(rounded(clouds.y)),
      scores_(std::as_const(x_).view(), std::as_const(y_).view(), context),
      bias_(clouds.y.rows()) {
  // |2 <x, y> in float - 2 <x, y>| <= 2 (d + 4) u |x| |y| <= (d + 4) u (|x|^2 t + |y|^2 / t) for any t.
  const double unit = static_cast<double>(clouds.x.cols() + 8) * kUnit;
  const double t = clouds.x_size > 0 && clouds.y_size > 0 ? clouds.y_size / clouds.x_size : 1.0;
  margin_ = unit / t;
  row_margin_ = unit * t;
}

double CloudPairs::cost(Index i, Index j) const {
  return squared_distance(clouds_.x.view().row(i), clouds_.y.view().row(j), clouds_.x.cols(), 0);
}

void CloudPairs::set_bias(const std::vector<double>& v) {
  for (Index j = 0; j < cols(); ++j) {
    const double square = clouds_.y_squares[j], w = v[j] - square;
    bias_[j] = static_cast<float>(w + margin_ * square + 4 * kUnit * std::abs(w));
  }
}

double CloudPairs::list(LargestScores<float>& largest, const float* scores, Index i, Index k,
                        std::vector<Pair>& pairs) const {
  const auto found = largest.find(scores, 1.0f, bias_.data(), cols(), k, spread(i, cols()));
  pairs.resize(found.size());
  for (std::size_t p = 0; p < found.size(); ++p) pairs[p] = {cost(i, found[p].column), found[p].column};
  if (static_cast<Index>(found.size()) == cols()) return std::numeric_limits<double>::infinity();
  const double square = clouds_.x_squares[i];
  const double last = static_cast<double>(found.back().score);
  return square - last - row_margin_ * square - 4 * kUnit * std::abs(last) -
         static_cast<double>(clouds_.x.cols()) * 0x1p-140;
}

Shortlists CloudPairs::shortlists(Index k, const std::vector<double>& v) {
  set_bias(v);
  Shortlists lists(rows(), k);
  std::vector<LargestScores<float>> largest(static_cast<std::size_t>(resolve_threads(context_.threads)));
  constexpr Index tile = 32;
  scores_.each([&](Index first, MatrixView<const float> block) {
    parallel_for(threads_worth(context_.threads, block.rows * block.cols), (block.rows + tile - 1) / tile,
                 [&](Index t, int worker) {
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
  set_bias(v);
  return list(largest_, scores_.is_stored() ? scores_.row(i) : scores_.make_row(i), i, std::min(k, cols()), pairs);
}

std::vector<double> CloudPairs::start() {
  const Index m = cols();
  const double size = clouds_.x_size * clouds_.y_size;  // rms
  std::vector<double> v = isotropic_start(clouds_);
  if (!(size > 0)) return v;
  for (Index j = 0; j < m; ++j) v[j] -= clouds_.y_squares[j];
  sinkhorn_start(scores_, 0.2 * size, v);
  for (Index j = 0; j < m; ++j) v[j] += clouds_.y_squares[j];
  return v;
}

}  // namespace monge::ot::detail
