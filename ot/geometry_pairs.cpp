#include "monge/ot/geometry_pairs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "monge/ot/blocks.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/largest_scores.h"

namespace monge::ot::detail {
namespace {

constexpr double u = 0x1p-53;
constexpr Index cheap = 8;  // dimensions in which scores are made as fast as they are read

double largest_modulus(MatrixView<const double> x, Index i) {
  double largest = 0;
  for (Index k = 0; k < x.cols; ++k) largest = std::max(largest, std::abs(x(i, k)));
  return largest;
}

// x_i / |x_i|, each coordinate off by (d / 2 + 4) u of it.
Matrix<double> directions(MatrixView<const double> x) {
  Matrix<double> out(x.rows, x.cols);
  for (Index i = 0; i < x.rows; ++i) {
    const double largest = largest_modulus(x, i);
    double square = 0;
    for (Index k = 0; k < x.cols; ++k) out(i, k) = x(i, k) / largest, square += out(i, k) * out(i, k);
    for (Index k = 0; k < x.cols; ++k) out(i, k) /= std::sqrt(square);
  }
  return out;
}

double longest(MatrixView<const double> x, int exponent) {
  const double scale = std::ldexp(1.0, -exponent);
  double most = 0;
  for (Index i = 0; i < x.rows; ++i) {
    double square = 0;
    for (Index k = 0; k < x.cols; ++k) square += std::pow(x(i, k) * scale, 2);
    most = std::max(most, std::sqrt(square));
  }
  return most;
}

}  // namespace

GeometryPairs::GeometryPairs(const Problem<double>& problem, double stored_bytes, const Context& context)
    : problem_(problem), context_(context), geometry_(problem) {
  const double d = static_cast<double>(problem.dims());
  const int exponent = std::isfinite(geometry_.unit()) ? std::ilogb(geometry_.unit()) : 0;
  const bool products = problem.cost == Cost::squared_euclidean || problem.cost == Cost::negative_dot;
  exponent_ = products ? exponent / 2 : exponent;
  if (problem.cost == Cost::cosine) {
    x_ = directions(problem.x), y_ = directions(problem.y);
    exponent_ = 0;
    most_ = (2 * d + 24) * u;
  } else if (problem.cost == Cost::negative_dot) {
    most_ = (d + 8) * u * longest(problem.x, exponent_) * longest(problem.y, exponent_);
  } else {
    share_ = (d + 8) * u;
  }
  if (!problem.x_labels.empty()) {
    penalty_ = problem.label_penalty / geometry_.unit();
    share_ += 2 * u;
  }
  most_ += (d + 8) * (problem.cost == Cost::euclidean ? 0x1p-530 : std::numeric_limits<double>::min());  // underflow
  const double bytes = static_cast<double>(rows()) * static_cast<double>(cols()) * sizeof(double);
  store_ = problem.dims() > cheap && bytes <= stored_bytes;
}

double GeometryPairs::between(Index i, Index j) const {
  const Index d = problem_.dims();
  if (problem_.cost == Cost::cosine) return std::max(0.0, 1 - dot(x_.view().row(i), y_.view().row(j), d));
  const double *x = problem_.x.row(i), *y = problem_.y.row(j), scale = std::ldexp(1.0, -exponent_);
  double sum = 0;
  switch (problem_.cost) {
    case Cost::negative_dot:
      for (Index k = 0; k < d; ++k) sum -= (x[k] * scale) * (y[k] * scale);
      return sum;
    case Cost::l1:
      for (Index k = 0; k < d; ++k) sum += std::abs((x[k] - y[k]) * scale);
      return sum;
    default:
      for (Index k = 0; k < d; ++k) {
        const double e = (x[k] - y[k]) * scale;
        sum += e * e;
      }
      return problem_.cost == Cost::euclidean ? std::sqrt(sum) : sum;
  }
}

double GeometryPairs::cost(Index i, Index j) const { return between(i, j) + (labels_differ(i, j) ? penalty_ : 0); }

Shortlists GeometryPairs::shortlists(Index k, const std::vector<double>& v) {
  const Index n = rows(), m = cols();
  k = std::min(k, m);
  std::vector<double> bias(v.size());
  double largest = 0;
  for (Index j = 0; j < m; ++j) {
    bias[j] = v[j] - geometry_.col_own()[j];
    if (std::isfinite(bias[j])) largest = std::max(largest, std::abs(v[j]) + std::abs(geometry_.col_own()[j]));
  }
  if (std::exchange(store_, false)) geometry_.store(context_);
  const Scores<double> scores = geometry_.scores({});
  const Index most = geometry_.is_stored() ? n : std::clamp<Index>((Index{1} << 20) / m, 1, n);
  Matrix<double> block(geometry_.is_stored() ? 0 : most, m);
  Shortlists lists(n, k);
  std::vector<LargestScores<double>> finders(static_cast<std::size_t>(resolve_threads(context_.threads)));
  for (Index first = 0; first < n; first += most) {
    const Index count = std::min(most, n - first);
    MatrixView<const double> some = scores.stored;
    if (!geometry_.is_stored()) {
      passes_for<double>(context_.device).store(rows_of(scores, first, count), block.view(), context_);
      some = block.view();
    }
    constexpr Index tile = 16;
    parallel_for(threads_worth(context_.threads, count * m), (count + tile - 1) / tile, [&](Index t, int worker) {
      if (context_.stop) context_.stop->look();
      std::vector<Pair> pairs;
      for (Index r = t * tile; r < std::min(count, (t + 1) * tile); ++r) {
        const Index i = first + r;
        const auto found =
            finders[static_cast<std::size_t>(worker)].find(some.row(r), 1.0, bias.data(), m, k, spread(i, m));
        pairs.clear();
        for (const auto& column : found) pairs.push_back({cost(i, column.column), column.column});
        const bool all = k == m || static_cast<Index>(found.size()) < k;
        const double last = all ? 0 : found.back().score, own = geometry_.row_own()[i];
        const double margin = geometry_.rounding() + 4 * u * (std::abs(last) + std::abs(own) + largest);
        lists.set(i, pairs.data(), static_cast<Index>(pairs.size()), all ? HUGE_VAL : own - last - margin);
      }
    });
  }
  return lists;
}

double GeometryPairs::shortlist(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) {
  pairs.clear();
  for (Index j = 0; j < cols(); ++j)
    if (std::isfinite(v[j]) && !is_forbidden(i, j))
      pairs.push_back({cost(i, static_cast<std::int32_t>(j)), static_cast<std::int32_t>(j)});
  if (static_cast<Index>(pairs.size()) <= k) return HUGE_VAL;
  const auto rest = [&](const Pair& pair) { return pair.cost - v[pair.column]; };
  std::nth_element(pairs.begin(), pairs.begin() + k, pairs.end(), [&](const Pair& a, const Pair& b) {
    return std::pair(rest(a), a.column) < std::pair(rest(b), b.column);
  });
  const Pair next = pairs[k];
  pairs.resize(k);
  return rest(next) - (share_ + 2 * u) * std::abs(next.cost) - most_ - 2 * u * std::abs(v[next.column]);
}

}  // namespace monge::ot::detail
