#include "monge/flow/mmd.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"

namespace monge::flow {
namespace {

constexpr Index kRows = 128, kCols = 1024;  // of a tile: half a megabyte of distances for each thread

void check(const char* who, MatrixView<const float> x, MatrixView<const float> y) {
  require(x.rows >= 2 && y.rows >= 2 && x.cols > 0, who, ": needs two points on each side, there are ", x.rows, " and ",
          y.rows, " of ", x.cols, " dimensions");
  require(x.cols == y.cols, who, ": points of ", x.cols, " and of ", y.cols, " dimensions");
  require_finite(x, concat(who, ": x").c_str());
  require_finite(y, concat(who, ": y").c_str());
}

// The mean of kernel(|x_i - y_j|) over all pairs; where x and y are one set (`same`), over those of different points.
template <class Kernel>
double mean(MatrixView<const float> x, MatrixView<const float> y, bool same, const Context& context,
            const Kernel& kernel) {
  const Index down = (x.rows + kRows - 1) / kRows, across = (y.rows + kCols - 1) / kCols;
  std::vector<double> sums(static_cast<std::size_t>(down * across), 0.0);
  std::vector<Matrix<float>> tiles;
  for (int w = 0; w < resolve_threads(context.threads); ++w) tiles.emplace_back(kRows, kCols);
  ot::Passes<float>& passes = ot::passes_for<float>({});
  Context alone = context;
  alone.threads = 1;
  parallel_for(context.threads, down * across, [&](Index task, int worker) {
    const Index top = task / across * kRows, left = task % across * kCols;
    const Index rows = std::min(kRows, x.rows - top), cols = std::min(kCols, y.rows - left);
    if (same && left + cols <= top) return;  // below the diagonal: counted above it
    const MatrixView<float> tile(tiles[static_cast<std::size_t>(worker)].data(), rows, cols, kCols);
    passes.store({.x = x.rows_from(top, rows), .y = y.rows_from(left, cols), .metric = ot::Metric::euclidean}, tile,
                 alone);
    double sum = 0;
    for (Index i = 0; i < rows; ++i)
      for (Index j = same ? std::max<Index>(0, top + i + 1 - left) : 0; j < cols; ++j)
        sum += kernel(static_cast<double>(tile(i, j)));
    sums[static_cast<std::size_t>(task)] = sum;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  const auto n = static_cast<double>(x.rows), m = static_cast<double>(y.rows);
  return same ? 2 * total / (n * (n - 1)) : total / (n * m);
}

}  // namespace

double energy_distance(MatrixView<const float> x, MatrixView<const float> y, const Context& context) {
  check("energy_distance", x, y);
  const auto distance = [](double r) { return r; };
  return 2 * mean(x, y, false, context, distance) - mean(x, x, true, context, distance) -
         mean(y, y, true, context, distance);
}

double mmd_rbf(MatrixView<const float> x, MatrixView<const float> y, const MmdOptions& options) {
  check("mmd_rbf", x, y);
  std::vector<double> bandwidths = options.bandwidths;
  if (bandwidths.empty()) {
    const double median = median_distance(y);
    require(median > 0, "mmd_rbf: half of the points of y coincide: name the bandwidths");
    for (const double factor : {0.25, 0.5, 1.0, 2.0, 4.0}) bandwidths.push_back(factor * median);
  }
  for (double& h : bandwidths) {
    require(h > 0 && std::isfinite(h), "mmd_rbf: bandwidths must be positive, not ", h);
    h = -1 / (2 * h * h);
  }
  const auto kernel = [&](double r) {
    double sum = 0;
    for (const double factor : bandwidths) sum += std::exp(factor * r * r);
    return sum / static_cast<double>(bandwidths.size());
  };
  return mean(x, x, true, options.context, kernel) + mean(y, y, true, options.context, kernel) -
         2 * mean(x, y, false, options.context, kernel);
}

double median_distance(MatrixView<const float> y) {
  require(y.rows >= 2, "median_distance: needs two points, there are ", y.rows);
  const Index half = y.rows / 2;
  std::vector<double> distances;
  for (Index i = 0; i < half; ++i) {
    double square = 0;
    for (Index k = 0; k < y.cols; ++k) {
      const double difference = static_cast<double>(y(i, k)) - y(i + half, k);
      square += difference * difference;
    }
    distances.push_back(std::sqrt(square));
  }
  const auto middle = distances.begin() + half / 2;
  std::nth_element(distances.begin(), middle, distances.end());
  return *middle;
}

}  // namespace monge::flow
