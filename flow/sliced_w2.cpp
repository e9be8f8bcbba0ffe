#include "monge/flow/sliced_w2.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "monge/flow/radix_sort.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/random.h"
#include "monge/ot/finite.h"

namespace monge::flow {
namespace {

constexpr Index kDirections = 64;  // of one tile: enough to pay for packing the points
constexpr Index kRows = 512;       // points of one GEMM

Index tiles(Index directions) { return (directions + kDirections - 1) / kDirections; }

// What one worker needs, whatever the number of directions.
struct Workspace {
  Buffer<float> points;           // kRows x dimensions, centred
  Buffer<float> projections;      // kDirections x rows; empty if they go elsewhere
  Buffer<std::uint32_t> scratch;  // for sorting
};

std::vector<Workspace> workspaces(const Context& context, Index directions, Index rows, Index dimensions,
                                  bool projections) {
  std::vector<Workspace> w(std::min<Index>(resolve_threads(context.threads), tiles(directions)));
  for (Workspace& one : w) {
    one.points = Buffer<float>(kRows * dimensions);
    one.scratch = Buffer<std::uint32_t>(2 * rows);
    if (projections) one.projections = Buffer<float>(kDirections * rows);
  }
  return w;
}

// out (directions x rows of x) = the sorted projections <theta, x_i - centre>.
void sorted_projections(MatrixView<const float> directions, MatrixView<const float> x, const float* centre,
                        Workspace& workspace, MatrixView<float> out) {
  const Index d = x.cols;
  for (Index first = 0; first < x.rows; first += kRows) {
    const Index rows = std::min(kRows, x.rows - first);
    float* points = workspace.points.data();
    for (Index i = 0; i < rows; ++i)
      for (Index k = 0; k < d; ++k) points[i * d + k] = x(first + i, k) - centre[k];
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, directions.rows, rows, d, 1.0f, directions.data,
                directions.stride, points, d, 0.0f, out.data + first, out.stride);
  }
  for (Index l = 0; l < directions.rows; ++l) radix_sort({out.row(l), x.rows}, workspace.scratch.view());
}

// The squared W2 between sorted a and b, each of uniform weights: the mean over q in [0, 1] of the squared difference
// of their quantiles. Between breaks, at multiples of 1 / a.size and 1 / b.size, both are constant.
double squared_w2(VectorView<const float> a, VectorView<const float> b) {
  double sum = 0;
  const auto square = [](double v) { return v * v; };
  if (a.size == b.size) {
    for (Index i = 0; i < a.size; ++i) sum += square(static_cast<double>(a[i]) - b[i]);
    return sum / static_cast<double>(a.size);
  }
  Index i = 0, j = 0, at = 0;  // quantiles in units of 1 / (a.size b.size)
  while (i < a.size) {
    const Index a_ends = (i + 1) * b.size, b_ends = (j + 1) * a.size, end = std::min(a_ends, b_ends);
    sum += static_cast<double>(end - at) * square(static_cast<double>(a[i]) - b[j]);
    i += a_ends == end;
    j += b_ends == end;
    at = end;
  }
  return sum / static_cast<double>(at);
}

void check(MatrixView<const float> x) {
  require(!x.empty(), "sliced_w2: a set is empty (", x.rows, " x ", x.cols, ")");
  if (x.device.type != DeviceType::cpu) throw Error(Errc::backend_unavailable, "sliced_w2: runs on the CPU only");
  require_finite(x, "sliced_w2: the set");
}

}  // namespace

SlicedReference::SlicedReference(MatrixView<const float> points, const SlicedOptions& options) : options_(options) {
  require(options.directions > 0, "sliced_w2: directions must be positive, not ", options.directions);
  check(points);
  const Index d = points.cols;
  directions_ = Matrix<float>(options.directions, d);
  const Rng rng{options.seed};
  for (Index l = 0; l < options.directions; ++l) {
    const VectorView<float> theta(directions_.data() + l * d, d);
    fill_normal(rng, static_cast<std::uint64_t>(l * d), theta);
    double square = 0;
    for (const float v : theta) square += static_cast<double>(v) * v;
    for (float& v : theta) v = static_cast<float>(v / std::sqrt(square));
  }

  std::vector<double> mean(d, 0.0);
  for (Index i = 0; i < points.rows; ++i)
    for (Index k = 0; k < d; ++k) mean[k] += points(i, k);
  centre_ = Buffer<float>(d);
  for (Index k = 0; k < d; ++k) centre_[k] = static_cast<float>(mean[k] / static_cast<double>(points.rows));

  sorted_ = Matrix<float>(options.directions, points.rows);
  auto work = workspaces(options.context, options.directions, points.rows, d, false);
  parallel_for(options.context.threads, tiles(options.directions), [&](Index tile, int worker) {
    const Index first = tile * kDirections, count = std::min(kDirections, options.directions - first);
    sorted_projections(std::as_const(directions_).view().rows_from(first, count), points, centre_.data(), work[worker],
                       sorted_.view().rows_from(first, count));
  });
}

double SlicedReference::distance(MatrixView<const float> x) const {
  check(x);
  require(x.cols == dimensions(), "sliced_w2: one set has ", x.cols, " columns, the other ", dimensions());
  const Index directions = directions_.rows();
  std::vector<double> squares(directions);
  auto work = workspaces(options_.context, directions, x.rows, x.cols, true);
  parallel_for(options_.context.threads, tiles(directions), [&](Index tile, int worker) {
    const Index first = tile * kDirections, count = std::min(kDirections, directions - first);
    const MatrixView<float> projections(work[worker].projections.data(), count, x.rows);
    sorted_projections(directions_.view().rows_from(first, count), x, centre_.data(), work[worker], projections);
    for (Index l = 0; l < count; ++l)
      squares[first + l] = squared_w2({projections.row(l), x.rows}, {sorted_.view().row(first + l), rows()});
  });
  double sum = 0;
  for (const double square : squares) sum += square;
  require(std::isfinite(sum), "sliced_w2: values so large that their projections overflow");
  return std::sqrt(sum / static_cast<double>(directions));
}

double sliced_w2(MatrixView<const float> x, MatrixView<const float> y, const SlicedOptions& options) {
  return SlicedReference(y, options).distance(x);
}

}  // namespace monge::flow
