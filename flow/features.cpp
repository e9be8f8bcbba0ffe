#include "monge/flow/features.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "monge/ot/closed_form.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"
#include "monge/ot/moments.h"

namespace monge::flow {
namespace {

void check(const char* who, MatrixView<const float> x, MatrixView<const float> y, Index least) {
  require(x.rows >= least && y.rows >= least && x.cols > 0, who, ": needs ", least, " rows on each side, there are ",
          x.rows, " and ", y.rows, " of ", x.cols, " features");
  require(x.cols == y.cols, who, ": rows of ", x.cols, " and of ", y.cols, " features");
  require_finite(x, concat(who, ": x").c_str());
  require_finite(y, concat(who, ": y").c_str());
}

Matrix<double> in_double(MatrixView<const float> x) {
  Matrix<double> out(x.rows, x.cols);
  for (Index i = 0; i < x.rows; ++i) std::copy_n(x.row(i), x.cols, out.view().row(i));
  return out;
}

// The sum of the kernel over all pairs of rows of x and y, those on the diagonal left out for one set with itself.
double kernel_sum(const Matrix<double>& x, const Matrix<double>& y, bool same, Matrix<double>& scratch) {
  ot::passes_for<double>({}).store({.x = x.view(), .y = y.view(), .scale = 1 / static_cast<double>(x.cols())},
                                   scratch.view(), {.threads = 1});
  double sum = 0;
  for (Index i = 0; i < x.rows(); ++i)
    for (Index j = 0; j < y.rows(); ++j) {
      const double base = scratch(i, j) + 1;
      if (!same || i != j) sum += base * base * base;
    }
  return sum;
}

// The distance from each row of x to its k-th nearest other row.
std::vector<float> neighbour_distances(MatrixView<const float> x, Index k, const Context& context) {
  Matrix<float> nearest(x.rows, k + 1);  // a row is the nearest to itself, or another one as near is
  Matrix<std::int32_t> ignored(x.rows, k + 1);
  ot::passes_for<float>({}).hardmin({.x = x, .y = x, .scale = -1, .metric = ot::Metric::euclidean}, nearest.view(),
                                    ignored.view(), context);
  std::vector<float> distances;
  for (Index i = 0; i < x.rows; ++i) distances.push_back(-nearest(i, k));
  return distances;
}

// Share of the rows of x within the radius of some row of y: max_j radius_j - |x_i - y_j| is not negative.
double share_within(MatrixView<const float> x, MatrixView<const float> y, const std::vector<float>& radii,
                    const Context& context) {
  Matrix<float> best(x.rows, 1);
  Matrix<std::int32_t> ignored(x.rows, 1);
  ot::passes_for<float>({}).hardmin({.x = x, .y = y, .scale = -1, .v = radii, .metric = ot::Metric::euclidean},
                                    best.view(), ignored.view(), context);
  const auto inside = std::count_if(best.data(), best.data() + x.rows, [](float slack) { return slack >= 0; });
  return static_cast<double>(inside) / static_cast<double>(x.rows);
}

}  // namespace

double frechet_distance(MatrixView<const float> x, MatrixView<const float> y, const Context& context) {
  check("frechet_distance", x, y, 2);
  const auto moments = [&](MatrixView<const float> points) {
    ot::Moments m = ot::cloud_moments(points, {}, context);
    const auto n = static_cast<double>(points.rows);
    for (double& value : m.covariance) value *= n / (n - 1);
    return m;
  };
  const ot::Moments a = moments(x), b = moments(y);
  const Index d = x.cols;
  return ot::bures_w2({.mean = a.mean, .covariance = {a.covariance.data(), d, d}},
                      {.mean = b.mean, .covariance = {b.covariance.data(), d, d}})
      .squared;
}

KernelDistance kernel_distance(MatrixView<const float> x, MatrixView<const float> y,
                               const KernelDistanceOptions& options) {
  check("kernel_distance", x, y, 2);
  require(options.block >= 2, "kernel_distance: block must be at least 2, not ", options.block);
  const Index shorter = std::min(x.rows, y.rows);
  const bool one = shorter < options.block;
  const Index blocks = one ? 1 : shorter / options.block;
  std::vector<double> values(static_cast<std::size_t>(blocks));
  parallel_for(options.context.threads, blocks, [&](Index b, int) {
    const Matrix<double> xs = in_double(one ? x : x.rows_from(b * options.block, options.block));
    const Matrix<double> ys = in_double(one ? y : y.rows_from(b * options.block, options.block));
    const auto n = static_cast<double>(xs.rows()), m = static_cast<double>(ys.rows());
    Matrix<double> xx(xs.rows(), xs.rows()), yy(ys.rows(), ys.rows()), xy(xs.rows(), ys.rows());
    values[static_cast<std::size_t>(b)] = kernel_sum(xs, xs, true, xx) / (n * (n - 1)) +
                                          kernel_sum(ys, ys, true, yy) / (m * (m - 1)) -
                                          2 * kernel_sum(xs, ys, false, xy) / (n * m);
  });
  KernelDistance result{.blocks = blocks};
  const auto count = static_cast<double>(blocks);
  for (const double value : values) result.value += value / count;
  double square = 0;
  for (const double value : values) square += (value - result.value) * (value - result.value);
  result.standard_error =
      blocks > 1 ? std::sqrt(square / (count * (count - 1))) : std::numeric_limits<double>::quiet_NaN();
  return result;
}

PrecisionRecall precision_recall(MatrixView<const float> x, MatrixView<const float> y, Index k,
                                 const Context& context) {
  require(k > 0, "precision_recall: k must be positive, not ", k);
  check("precision_recall", x, y, k + 1);
  return {.precision = share_within(x, y, neighbour_distances(y, k, context), context),
          .recall = share_within(y, x, neighbour_distances(x, k, context), context)};
}

}  // namespace monge::flow
