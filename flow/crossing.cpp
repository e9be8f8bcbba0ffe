#include "monge/flow/crossing.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"

namespace monge::flow {
namespace {

double squared_distance(const float* a, const float* b, Index d) {
  double sum = 0;
  for (Index k = 0; k < d; ++k) sum += (static_cast<double>(a[k]) - b[k]) * (static_cast<double>(a[k]) - b[k]);
  return sum;
}

struct Counts {
  std::vector<std::int64_t> by_time;
  double saved = 0;
};

// <a, a>, <a, b> and <b, b> of a = x - x', b = y - y'. Several sums at a time, which vectorises.
struct Products {
  double aa, ab, bb;
};
Products products(const float* x, const float* x_, const float* y, const float* y_, Index d) {
  constexpr Index lanes = 4;
  double aa[lanes] = {}, ab[lanes] = {}, bb[lanes] = {};
  const auto add = [&](Index lane, Index k) {
    const double a = static_cast<double>(x[k]) - static_cast<double>(x_[k]);
    const double b = static_cast<double>(y[k]) - static_cast<double>(y_[k]);
    aa[lane] += a * a;
    ab[lane] += a * b;
    bb[lane] += b * b;
  };
  Index k = 0;
  for (; k + lanes <= d; k += lanes)
    for (Index lane = 0; lane < lanes; ++lane) add(lane, k + lane);
  for (; k < d; ++k) add(0, k);
  return {aa[0] + aa[1] + (aa[2] + aa[3]), ab[0] + ab[1] + (ab[2] + ab[3]), bb[0] + bb[1] + (bb[2] + bb[3])};
}

// Path i against all after it.
void compare(MatrixView<const float> x0, MatrixView<const float> x1, Index i, Counts& counts) {
  const auto bins = static_cast<Index>(counts.by_time.size());
  for (Index j = i + 1; j < x0.rows; ++j) {
    const auto [aa, ab, bb] = products(x0.row(i), x0.row(j), x1.row(i), x1.row(j), x0.cols);
    if (ab >= 0) continue;
    // |a + t (b - a)| is least at t = <a, a - b> / |a - b|^2, which lies within (0, 1).
    const double t = (aa - ab) / (aa - 2 * ab + bb);
    ++counts.by_time[static_cast<std::size_t>(std::min(bins - 1, static_cast<Index>(t * static_cast<double>(bins))))];
    counts.saved -= 2 * ab;
  }
}

}  // namespace

Crossing crossing(MatrixView<const float> x0, MatrixView<const float> x1, Index bins, const Context& context) {
  require(x0.rows == x1.rows && x0.cols == x1.cols, "crossing: x0 is ", x0.rows, " x ", x0.cols, ", x1 is ", x1.rows,
          " x ", x1.cols);
  require(x0.rows >= 2 && x0.cols > 0, "crossing: needs two paths, there are ", x0.rows);
  require(bins > 0, "crossing: bins must be positive, not ", bins);
  require_finite(x0, "crossing: x0");
  require_finite(x1, "crossing: x1");
  constexpr Index block = 16;
  const Index n = x0.rows, tasks = (n + block - 1) / block;
  std::vector<Counts> parts(static_cast<std::size_t>(tasks));
  parallel_for(context.threads, tasks, [&](Index task, int) {
    Counts& counts = parts[static_cast<std::size_t>(task)];
    counts.by_time.assign(static_cast<std::size_t>(bins), 0);
    for (Index i = task * block; i < std::min(n, (task + 1) * block); ++i) compare(x0, x1, i, counts);
  });
  double saved = 0, cost = 0;
  std::vector<std::int64_t> by_time(static_cast<std::size_t>(bins), 0);
  for (const Counts& counts : parts) {
    saved += counts.saved;
    for (std::size_t b = 0; b < by_time.size(); ++b) by_time[b] += counts.by_time[b];
  }
  for (Index i = 0; i < n; ++i) cost += squared_distance(x0.row(i), x1.row(i), x0.cols) / static_cast<double>(n);
  const double pairs = static_cast<double>(n) * static_cast<double>(n - 1) / 2;
  Crossing result;
  for (const std::int64_t count : by_time) {
    result.by_time.push_back(static_cast<double>(count) / pairs);
    result.share += result.by_time.back();
  }
  result.gain = saved == 0 ? 0 : saved / pairs / cost;
  return result;
}

CouplingCost coupling_cost(Coupling& coupling, MatrixView<const float> y, Index batch, std::uint64_t steps,
                           std::uint64_t first_step) {
  require(batch > 0 && steps > 0, "coupling_cost: batch and steps must be positive");
  require(!y.empty(), "coupling_cost: y is empty (", y.rows, " x ", y.cols, ")");
  Matrix<float> x0(batch, y.cols), targets(coupling.has_targets() ? batch : 0, y.cols);
  std::vector<std::int32_t> atoms(static_cast<std::size_t>(batch));
  double sum = 0, square = 0;
  for (std::uint64_t step = first_step; step < first_step + steps; ++step) {
    coupling.draw(step, x0.view(), atoms);
    if (coupling.has_targets()) coupling.targets(targets.view());
    double mean = 0;
    for (Index i = 0; i < batch; ++i) {
      const std::int32_t atom = atoms[static_cast<std::size_t>(i)];
      require(atom >= 0 && atom < y.rows, "coupling_cost: the coupling drew atom ", atom, " of ", y.rows);
      const float* x1 = coupling.has_targets() ? targets.view().row(i) : y.row(atom);
      mean += squared_distance(x0.view().row(i), x1, y.cols) / static_cast<double>(batch);
    }
    sum += mean;
    square += mean * mean;
  }
  const auto n = static_cast<double>(steps);
  const double variance = std::max(0.0, square / n - sum / n * (sum / n)) / (n - 1);
  return {sum / n, steps > 1 ? std::sqrt(variance) : std::numeric_limits<double>::quiet_NaN()};
}

}  // namespace monge::flow
