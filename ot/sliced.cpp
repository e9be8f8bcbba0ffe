#include "monge/ot/sliced.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/random.h"
#include "monge/ot/finite.h"
#include "monge/ot/projections.h"
#include "monge/ot/quantiles.h"

namespace monge::ot {
namespace {

using detail::kDirections;
using detail::Masses;
using detail::project;
using detail::Workspace;

Index tiles(Index directions) { return (directions + kDirections - 1) / kDirections; }

// Sorted projections of one cloud on one direction; `order` says which points they are, if they have weights.
template <class T>
struct Line {
  const T* values;
  Index size;
  const std::int32_t* order;
};

// The sum over the merged quantiles of mass f(a_i - b_j).
template <class T, class F>
double quantile_mean(const Line<T>& a, const Line<T>& b, const Masses& masses, F f) {
  double sum = 0;
  const auto step = [&](Index i, Index j) { return static_cast<double>(a.values[i]) - b.values[j]; };
  if (!masses.uniform()) {
    detail::merge_weighted(
        a.size, [&](Index i) { return a.order ? masses.of_a(a.order[i]) : 1.0; }, b.size,
        [&](Index j) { return b.order ? masses.of_b(b.order[j]) : masses.b_factor; },
        [&](Index i, Index j, double mass) { sum += mass * f(step(i, j)); });
    return sum * masses.unit;
  }
  if (a.size == b.size) {
    for (Index i = 0; i < a.size; ++i) sum += f(step(i, i));
    return sum / static_cast<double>(a.size);
  }
  detail::merge_uniform(a.size, b.size, [&](Index i, Index j, double length) { sum += length * f(step(i, j)); });
  return sum / static_cast<double>(a.size * b.size);
}

// W_p^p = unit^p times mean.
struct Power {
  double unit = 1, mean = 0;
};

template <class T>
Power wasserstein(const Line<T>& a, const Line<T>& b, const Masses& masses, double p) {
  if (p == 2) return {1, quantile_mean(a, b, masses, [](double v) { return v * v; })};
  if (p == 1) return {1, quantile_mean(a, b, masses, [](double v) { return std::abs(v); })};
  double largest = 0;
  quantile_mean(a, b, masses, [&](double v) {
    largest = std::max(largest, std::abs(v));
    return 0.0;
  });
  if (!(largest > 0)) return {0, 0};
  return {largest, quantile_mean(a, b, masses, [&](double v) { return std::pow(std::abs(v) / largest, p); })};
}

// The mean of W_p^p over the directions, its root and what the choice of directions is worth.
SlicedResult summarise(const std::vector<Power>& powers, Index count, double p, int exponent, Index dimensions) {
  double unit = 0, sum = 0, squares = 0;
  for (Index l = 0; l < count; ++l) unit = std::max(unit, powers[l].unit);
  const auto value = [&](Index l) {
    return powers[l].unit == unit ? powers[l].mean : std::pow(powers[l].unit / unit, p) * powers[l].mean;
  };
  for (Index l = 0; l < count; ++l) sum += value(l);
  require(std::isfinite(sum) && std::isfinite(unit),
          "sliced: x is so large next to the reference that distances overflow");
  const double n = static_cast<double>(count), mean = sum / n;
  for (Index l = 0; l < count; ++l) squares += (value(l) - mean) * (value(l) - mean);

  SlicedResult r;
  r.directions = count;
  if (unit == 0 || sum == 0) return r;
  const double root = unit * (p == 2 ? std::sqrt(mean) : std::pow(mean, 1 / p));
  r.distance = std::ldexp(root, exponent);
  if (dimensions > 1)  // on a line all directions are one
    r.standard_error = count > 1 ? r.distance * (std::sqrt(squares / (n - 1) / n) / (p * mean))
                                 : std::numeric_limits<double>::infinity();
  return r;
}

template <class T>
void check(MatrixView<const T> x, const char* who) {
  require(!x.empty(), who, " is empty (", x.rows, " x ", x.cols, ")");
  require(x.rows <= std::numeric_limits<std::int32_t>::max(), who, " has too many rows, ", x.rows);
  if (x.device.type != DeviceType::cpu) throw Error(Errc::backend_unavailable, concat(who, " is not CPU memory"));
  require_finite(x, who);
}

// The largest |value|, in lanes the compiler can keep in vectors.
template <class T>
double size_of(MatrixView<const T> x) {
  constexpr Index lanes = 16;
  T largest[lanes] = {};
  for (Index i = 0; i < x.rows; ++i) {
    const T* row = x.row(i);
    Index k = 0;
    for (; k + lanes <= x.cols; k += lanes)
      for (Index l = 0; l < lanes; ++l) largest[l] = std::max(largest[l], std::abs(row[k + l]));
    for (; k < x.cols; ++k) largest[0] = std::max(largest[0], std::abs(row[k]));
  }
  return *std::max_element(largest, largest + lanes);
}

// Random unit rows: float normals in both types, so that their figures agree.
template <class T>
Matrix<T> unit_directions(Index count, Index d, std::uint64_t seed) {
  Matrix<T> directions(count, d);
  std::vector<float> normals(d);
  const Rng rng{seed};
  for (Index l = 0; l < count; ++l) {
    fill_normal(rng, static_cast<std::uint64_t>(l * d), VectorView<float>(normals));
    double square = 0;
    for (const float v : normals) square += static_cast<double>(v) * v;
    if (square == 0) normals[0] = 1, square = 1;
    for (Index k = 0; k < d; ++k) directions(l, k) = static_cast<T>(normals[k] / std::sqrt(square));
  }
  return directions;
}

}  // namespace

template <class T>
SlicedReference<T>::SlicedReference(MatrixView<const T> y, const SlicedOptions& options, VectorView<const double> b)
    : SlicedReference(y, options, b, 0, true) {}

template <class T>
SlicedReference<T>::SlicedReference(MatrixView<const T> y, const SlicedOptions& options, VectorView<const double> b,
                                    double size, bool keep)
    : options_(options), y_(y) {
  require(options.directions > 0, "sliced: directions must be positive, not ", options.directions);
  require(options.p >= 1 && std::isfinite(options.p), "sliced: p must be finite and at least 1, not ", options.p);
  if (options.context.device.type != DeviceType::cpu)
    throw Error(Errc::backend_unavailable, "sliced: runs on the CPU only");
  check(y, "sliced: y");
  detail::checked_total(b, y.rows, "sliced: b");
  weights_.assign(b.begin(), b.end());
  const Index d = y.cols, count = options.directions;
  directions_ = unit_directions<T>(count, d, options.seed);

  // A scale by a power of two changes no bit, but where it saves values from the ends of T's range.
  constexpr int most = std::numeric_limits<T>::max_exponent - 8;
  size = std::max(size, size_of(y));
  if (size > 0) exponent_ = std::clamp(std::ilogb(size), -most, most);
  std::vector<double> mean(d, 0.0);
  const double scale = std::ldexp(1.0, -exponent_);
  for (Index i = 0; i < y.rows; ++i)
    for (Index k = 0; k < d; ++k) mean[k] += y(i, k) * scale;
  centre_ = Buffer<T>(d);
  for (Index k = 0; k < d; ++k) centre_[k] = static_cast<T>(mean[k] / static_cast<double>(y.rows));
  if (!keep) return;

  const bool weighted = !weights_.empty();
  sorted_ = Matrix<T>(count, y.rows);
  if (weighted) order_ = Matrix<std::int32_t>(count, y.rows);
  std::vector<Workspace<T>> work(std::min<Index>(resolve_threads(options.context.threads), tiles(count)));
  for (Workspace<T>& w : work) w.prepare(y.rows, d, false, weighted);
  parallel_for(options.context.threads, tiles(count), [&](Index tile, int worker) {
    const Index first = tile * kDirections, rows = std::min(kDirections, count - first);
    const Index step = detail::directions_at_once(y.rows);  // as where they are not kept: the same bits
    for (Index l = 0; l < rows; l += step) {
      const Index count = std::min(step, rows - l);
      project<T>(directions_.view().rows_from(first + l, count), y, exponent_, centre_.data(), work[worker],
                 sorted_.view().rows_from(first + l, count));
    }
    for (Index l = first; l < first + rows; ++l) {
      T* values = sorted_.view().row(l);
      if (weighted)
        detail::sort_with_order(values, y.rows, work[worker], order_.view().row(l));
      else
        detail::sort_values(values, y.rows, work[worker]);
    }
  });
  y_.data = nullptr;
}

template <class T>
SlicedResult SlicedReference<T>::distance(MatrixView<const T> x, VectorView<const double> a) const {
  check(x, "sliced: x");
  return measure(x, a, size_of(x));
}

template <class T>
SlicedResult SlicedReference<T>::measure(MatrixView<const T> x, VectorView<const double> a, double size) const {
  const Index d = dimensions(), n = x.rows, m = rows(), count = directions_.rows();
  require(x.cols == d, "sliced: one cloud has ", x.cols, " columns, the other ", d);
  const Masses masses(a, n, weights_, m, "sliced");
  const bool kept = y_.data == nullptr;
  // Squares of doubles may still overflow: see summarise.
  require(std::ldexp(size, -exponent_) < std::numeric_limits<T>::max() / (16 * static_cast<double>(d)),
          "sliced: x is so large next to the reference that its projections overflow");

  struct Both {
    Workspace<T> x, y;
  };
  std::vector<Both> work(std::min<Index>(resolve_threads(options_.context.threads), tiles(count)));
  for (Both& w : work) {
    w.x.prepare(n, d, true, !a.empty());
    if (!kept) w.y.prepare(m, d, true, !weights_.empty());
  }
  const auto line = [](T* values, Index size, bool weighted, Workspace<T>& w) -> Line<T> {
    if (weighted)
      detail::sort_with_order(values, size, w, w.order.data());
    else
      detail::sort_values(values, size, w);
    return {values, size, weighted ? w.order.data() : nullptr};
  };
  std::vector<Power> powers(count);
  const auto measure_tile = [&](Index tile, int worker) {
    const Index first = tile * kDirections, rows = std::min(kDirections, count - first);
    const MatrixView<const T> directions = directions_.view().rows_from(first, rows);
    auto& [wx, wy] = work[worker];
    // The projections on direction l, made with some of those after it.
    const auto projected = [&, exponent = exponent_](MatrixView<const T> points, Index l, Workspace<T>& w) {
      const Index step = detail::directions_at_once(points.rows), count = std::min(step, rows - l);
      if (l % step == 0)
        project<T>(directions.rows_from(l, count), points, exponent, centre_.data(), w,
                   {w.projections.data(), count, points.rows});
      return w.projections.data() + l % step * points.rows;
    };
    for (Index l = 0; l < rows; ++l) {
      const Line<T> of_x = line(projected(x, l, wx), n, !a.empty(), wx);
      const Line<T> of_y =
          kept ? Line<T>{sorted_.view().row(first + l), m, weights_.empty() ? nullptr : order_.view().row(first + l)}
               : line(projected(y_, l, wy), m, !weights_.empty(), wy);
      powers[first + l] = wasserstein(of_x, of_y, masses, options_.p);
    }
  };
  // Without anyone to tell, all tiles are one wave. Waves are as long on any number of threads: a run that is stopped
  // then has the same directions.
  constexpr Index told = 8;
  const Index wave = options_.progress ? told : tiles(count);
  Status status = Status::converged;
  Index done = 0;
  while (done < count && status == Status::converged) {
    const Index first = done / kDirections, last = std::min(first + wave, tiles(count));
    parallel_for(options_.context.threads, last - first, [&](Index t, int worker) { measure_tile(first + t, worker); });
    done = std::min(last * kDirections, count);
    if (options_.progress && !options_.progress(done) && done < count) status = Status::stopped_by_caller;
  }
  SlicedResult r = summarise(powers, done, options_.p, exponent_, d);
  r.status = status;
  return r;
}

template class SlicedReference<float>;
template class SlicedReference<double>;

struct Slicing {
  template <class T>
  static SlicedResult once(MatrixView<const T> x, MatrixView<const T> y, const SlicedOptions& options,
                           VectorView<const double> a, VectorView<const double> b) {
    check(x, "sliced: x");
    const double size = size_of(x);
    return SlicedReference<T>(y, options, b, size, false).measure(x, a, size);
  }
};

SlicedResult sliced(MatrixView<const float> x, MatrixView<const float> y, const SlicedOptions& options,
                    VectorView<const double> a, VectorView<const double> b) {
  return Slicing::once(x, y, options, a, b);
}
SlicedResult sliced(MatrixView<const double> x, MatrixView<const double> y, const SlicedOptions& options,
                    VectorView<const double> a, VectorView<const double> b) {
  return Slicing::once(x, y, options, a, b);
}

}  // namespace monge::ot
