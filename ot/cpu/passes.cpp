#include "monge/ot/cpu/passes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "monge/ot/core/parallel.h"

namespace monge::ot::cpu {
namespace {

template <class T>
using Row = std::vector<T>;

template <class T>
void score_row(const Scores<T>& s, Index i, Row<T>& row) {
  row.resize(static_cast<std::size_t>(s.cols()));
  for (Index j = 0; j < s.cols(); ++j) {
    T dot = 0;
    if (s.is_stored()) {
      dot = s.stored(i, j);
    } else {
      const T *x = s.x.row(i), *y = s.y.row(j);
#pragma omp simd reduction(+ : dot)
      for (Index k = 0; k < s.x.cols; ++k) dot += x[k] * y[k];
    }
    row[static_cast<std::size_t>(j)] = s.scale * dot + (s.u.empty() ? T(0) : s.u[i]) + (s.v.empty() ? T(0) : s.v[j]);
  }
}

template <class T, class F>
void for_rows(const Scores<T>& s, const Context& context, F f) {
  std::vector<Row<T>> rows(static_cast<std::size_t>(resolve_threads(context.threads)));
  parallel_for(context.threads, s.rows(), [&](Index i, int worker) {
    Row<T>& row = rows[static_cast<std::size_t>(worker)];
    score_row(s, i, row);
    f(i, row);
  });
}

// Replaces scores by exp((s - max) / epsilon); returns {max, sum}.
template <class T>
std::pair<T, double> exponentiate(Row<T>& row, T epsilon) {
  const T best = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (T& s : row) {
    s = best == -std::numeric_limits<T>::infinity() ? T(0) : std::exp((s - best) / epsilon);
    sum += s;
  }
  return {best, sum};
}

}  // namespace

template <class T>
void softmin(const Scores<T>& s, T epsilon, VectorView<T> out, const Context& context) {
  for_rows(s, context, [&](Index i, Row<T>& row) {
    const auto [best, sum] = exponentiate(row, epsilon);
    out[i] = sum == 0 ? -best : static_cast<T>(-best - epsilon * std::log(sum));
  });
}

template <class T>
void hardmin(const Scores<T>& s, MatrixView<T> values, MatrixView<std::int32_t> columns, const Context& context) {
  for_rows(s, context, [&](Index i, Row<T>& row) {
    std::vector<std::int32_t> order(row.size());
    for (std::size_t j = 0; j < order.size(); ++j) order[j] = static_cast<std::int32_t>(j);
    std::partial_sort(order.begin(), order.begin() + values.cols, order.end(), [&](std::int32_t a, std::int32_t b) {
      const T sa = row[static_cast<std::size_t>(a)], sb = row[static_cast<std::size_t>(b)];
      return sa != sb ? sa > sb : a < b;
    });
    for (Index k = 0; k < values.cols; ++k) {
      columns(i, k) = order[static_cast<std::size_t>(k)];
      values(i, k) = row[static_cast<std::size_t>(columns(i, k))];
    }
  });
}

template <class T>
void sample(const Scores<T>& s, T epsilon, const Rng& rng, std::uint64_t first, VectorView<std::int32_t> columns,
            const Context& context) {
  for_rows(s, context, [&](Index i, Row<T>& row) {
    const double sum = exponentiate(row, epsilon).second;
    const auto b = rng.bits(first + static_cast<std::uint64_t>(i));
    const double target = Rng::uniform(b.w[0], b.w[1]) * sum;
    double below = 0;
    std::int32_t last = 0;
    for (std::size_t j = 0; j < row.size(); ++j) {
      if (row[j] <= 0) continue;
      last = static_cast<std::int32_t>(j);
      if ((below += row[j]) > target) break;
    }
    columns[i] = last;
  });
}

template <class T>
void histogram(const Scores<T>& s, T epsilon, VectorView<const T> f, VectorView<const T> weights,
               VectorView<double> mass, const Context&) {
  std::fill(mass.begin(), mass.end(), 0.0);
  Row<T> row;
  for (Index i = 0; i < s.rows(); ++i) {
    score_row(s, i, row);
    const double w = weights.empty() ? 1.0 : static_cast<double>(weights[i]);
    if (epsilon == 0) {
      mass[std::max_element(row.begin(), row.end()) - row.begin()] += w;
      continue;
    }
    for (std::size_t j = 0; j < row.size(); ++j) mass[static_cast<Index>(j)] += w * std::exp((row[j] + f[i]) / epsilon);
  }
}

template <class T>
void apply(const Scores<T>& s, T epsilon, MatrixView<const T> values, MatrixView<T> out, const Context& context) {
  for_rows(s, context, [&](Index i, Row<T>& row) {
    const double sum = exponentiate(row, epsilon).second;
    for (Index p = 0; p < out.cols; ++p) {
      double total = 0;
      for (std::size_t j = 0; j < row.size(); ++j) total += row[j] * values(static_cast<Index>(j), p);
      out(i, p) = static_cast<T>(total / sum);
    }
  });
}

#define MONGE_INSTANTIATE(T)                                                                                      \
  template void softmin(const Scores<T>&, T, VectorView<T>, const Context&);                                      \
  template void hardmin(const Scores<T>&, MatrixView<T>, MatrixView<std::int32_t>, const Context&);               \
  template void sample(const Scores<T>&, T, const Rng&, std::uint64_t, VectorView<std::int32_t>, const Context&); \
  template void histogram(const Scores<T>&, T, VectorView<const T>, VectorView<const T>, VectorView<double>,      \
                          const Context&);                                                                        \
  template void apply(const Scores<T>&, T, MatrixView<const T>, MatrixView<T>, const Context&);
MONGE_INSTANTIATE(float)
MONGE_INSTANTIATE(double)

}  // namespace monge::ot::cpu
