#include "monge/ot/point_groups.h"

#include <algorithm>
#include <limits>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/random.h"

namespace monge::ot::detail {
namespace {

constexpr int kRounds = 2;             // of Lloyd's
constexpr Index kSampledPerGroup = 8;  // points among which seeds are chosen

double squared_distance(const float* x, const float* y, Index d) {
  double square = 0;
  for (Index k = 0; k < d; ++k) square += static_cast<double>((x[k] - y[k]) * (x[k] - y[k]));
  return square;
}

// Each drawn by the squared distance to those before it.
Matrix<float> seeds(MatrixView<const float> points, Index count) {
  const Index sampled = std::min(points.rows, count * kSampledPerGroup), d = points.cols;
  const auto sample = [&](Index s) { return points.row(s * points.rows / sampled); };
  Matrix<float> out(count, d);
  std::vector<double> nearest(static_cast<std::size_t>(sampled), std::numeric_limits<double>::infinity());
  Index next = 0;
  for (Index g = 0; g < count; ++g) {
    std::copy_n(sample(next), d, out.view().row(g));
    double total = 0;
    for (Index s = 0; s < sampled; ++s) {
      nearest[s] = std::min(nearest[s], squared_distance(sample(s), out.view().row(g), d));
      total += nearest[s];
    }
    const Rng::Block word = Rng{}.bits(static_cast<std::uint64_t>(g));
    double left = Rng::uniform(word.w[0], word.w[1]) * total;
    for (next = 0; next + 1 < sampled && left >= nearest[next]; ++next) left -= nearest[next];
  }
  return out;
}

std::vector<std::int32_t> nearest_centre(MatrixView<const float> points, const Matrix<float>& centres,
                                         const Context& context) {
  std::vector<float> bias(static_cast<std::size_t>(centres.rows()), 0.0f);
  for (Index g = 0; g < centres.rows(); ++g)
    for (Index k = 0; k < centres.cols(); ++k) bias[g] -= centres(g, k) * centres(g, k);
  Matrix<float> score(points.rows, 1);
  Matrix<std::int32_t> nearest(points.rows, 1);
  passes_for<float>({}).hardmin({.x = points, .y = centres.view(), .scale = 2, .v = bias}, score.view(), nearest.view(),
                                context);
  return {nearest.data(), nearest.data() + points.rows};
}

void move_to_means(MatrixView<const float> points, const std::vector<std::int32_t>& group, Matrix<float>& centres) {
  Matrix<double> sums(centres.rows(), centres.cols());
  std::fill_n(sums.data(), sums.rows() * sums.cols(), 0.0);
  std::vector<double> counts(static_cast<std::size_t>(centres.rows()), 0.0);
  for (Index i = 0; i < points.rows; ++i) {
    double* sum = sums.view().row(group[i]);
    for (Index k = 0; k < points.cols; ++k) sum[k] += static_cast<double>(points(i, k));
    ++counts[group[i]];
  }
  for (Index g = 0; g < centres.rows(); ++g)
    for (Index k = 0; k < centres.cols() && counts[g] > 0; ++k)
      centres(g, k) = static_cast<float>(sums(g, k) / counts[g]);
}

}  // namespace

PointGroups group_points(MatrixView<const float> points, Index most, const Context& context) {
  Matrix<float> centres = seeds(points, std::min(most, points.rows));
  std::vector<std::int32_t> group = nearest_centre(points, centres, context);
  for (int round = 0; round < kRounds; ++round) {
    move_to_means(points, group, centres);
    group = nearest_centre(points, centres, context);
  }
  std::vector<std::vector<std::int32_t>> members(static_cast<std::size_t>(centres.rows()));
  for (Index i = 0; i < points.rows; ++i) members[group[i]].push_back(static_cast<std::int32_t>(i));
  PointGroups groups;
  for (const std::vector<std::int32_t>& points_of : members) {
    if (points_of.empty()) continue;
    groups.order.insert(groups.order.end(), points_of.begin(), points_of.end());
    groups.first.push_back(static_cast<Index>(groups.order.size()));
  }
  return groups;
}

}  // namespace monge::ot::detail
