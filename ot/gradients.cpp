#include "monge/ot/gradients.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/core/parallel.h"
#include "monge/ot/plan_body.h"
#include "monge/ot/weights.h"

namespace monge::ot {
namespace {

using detail::sum_of;

template <class T>
double length(const T* x, Index d) {
  double largest = 0, square = 0;
  for (Index k = 0; k < d; ++k) largest = std::max(largest, std::abs(static_cast<double>(x[k])));
  if (largest == 0) return 0;
  for (Index k = 0; k < d; ++k) square += std::pow(static_cast<double>(x[k]) / largest, 2);
  return largest * std::sqrt(square);
}

// |x - y|^2: 2 (x_i - mean of the y it is coupled with), times the mass of the row.
template <class T>
void squared(const Problem<T>& p, const detail::PlanBody& plan, MatrixView<T> out) {
  plan.map(out);
  for (Index i = 0; i < out.rows; ++i) {
    const double twice = 2 * plan.row_masses[i];
    for (Index k = 0; k < out.cols; ++k) {
      const double gap = static_cast<double>(p.x(i, k)) - static_cast<double>(out(i, k));
      out(i, k) = twice > 0 ? static_cast<T>(twice * gap) : T(0);
    }
  }
}

// -<x, y>, and 1 - <x, y> / (|x| |y|), whose gradient is what the first one has across x.
template <class T>
void products(const Problem<T>& p, const detail::PlanBody& plan, MatrixView<T> out) {
  Matrix<T> y(p.y.rows, p.y.cols);
  const bool cosine = p.cost == Cost::cosine;
  for (Index j = 0; j < y.rows(); ++j) {
    const double by = cosine ? length(p.y.row(j), y.cols()) : 1;
    for (Index k = 0; k < y.cols(); ++k) y(j, k) = static_cast<T>(static_cast<double>(p.y(j, k)) / by);
  }
  plan.apply(false, y.view(), out);
  for (Index i = 0; i < out.rows; ++i) {
    const double norm = cosine ? length(p.x.row(i), out.cols) : 1;
    double along = 0;
    for (Index k = 0; cosine && k < out.cols; ++k) {
      along += static_cast<double>(out(i, k)) * (static_cast<double>(p.x(i, k)) / norm);
    }
    for (Index k = 0; k < out.cols; ++k) {
      const double across = static_cast<double>(out(i, k)) - along * (static_cast<double>(p.x(i, k)) / norm);
      out(i, k) = static_cast<T>(-across / norm);
    }
  }
}

// |x - y| and sum_k |x_k - y_k|: pair by pair.
template <class T>
void distances(const Problem<T>& p, const detail::PlanBody& plan, MatrixView<T> out) {
  const Index n = p.rows(), m = p.cols(), d = out.cols, most = std::clamp<Index>((Index{1} << 22) / m, 1, n);
  Matrix<double> logs(most, m);
  for (Index first = 0; first < n; first += most) {
    const Index count = std::min(most, n - first);
    plan.logs(first, count, logs.view().rows_from(0, count));
    parallel_for(threads_worth(plan.context.threads, count * m * d), count, [&](Index r, int) {
      const T* x = p.x.row(first + r);
      std::vector<double> sum(static_cast<std::size_t>(d), 0.0), gap(sum);
      for (Index j = 0; j < m; ++j) {
        const double mass = std::exp(logs(r, j));
        if (!(mass > 0)) continue;
        for (Index k = 0; k < d; ++k) gap[k] = static_cast<double>(x[k]) - static_cast<double>(p.y(j, k));
        const double norm = p.cost == Cost::euclidean ? length(gap.data(), d) : 1;
        for (Index k = 0; norm > 0 && k < d; ++k) {
          sum[k] += mass * (p.cost == Cost::euclidean ? gap[k] / norm : (gap[k] > 0) - (gap[k] < 0));
        }
      }
      for (Index k = 0; k < d; ++k) out(first + r, k) = static_cast<T>(sum[k]);
    });
  }
}

template <class T>
Matrix<T> of_points(const Problem<T>& p, const detail::PlanBody& plan) {
  if (p.is_dense()) return {};
  Matrix<T> out(p.rows(), p.dims());
  if (p.cost == Cost::squared_euclidean)
    squared(p, plan, out.view());
  else if (p.cost == Cost::negative_dot || p.cost == Cost::cosine)
    products(p, plan, out.view());
  else
    distances(p, plan, out.view());
  return out;
}

// With D = sum a phi(f) + ... - epsilon sum_ij a_i b_j (exp((f_i + g_j - c_ij) / epsilon) - 1).
std::vector<double> of_weights(const std::vector<double>& f, const std::vector<double>& shares, double other_total,
                               double tau, double epsilon) {
  std::vector<double> out(f.size());
  for (std::size_t i = 0; i < f.size(); ++i) {
    const double phi = std::isfinite(tau) ? -tau * std::expm1(-f[i] / tau) : f[i];
    out[i] = phi - epsilon * (shares[i] - other_total);
  }
  return out;
}

template <class T>
Problem<T> swapped(Problem<T> p, Matrix<T>& transposed) {
  std::swap(p.x, p.y);
  std::swap(p.a, p.b);
  std::swap(p.x_labels, p.y_labels);
  if (p.is_dense()) {
    transposed = Matrix<T>(p.cost_matrix.cols, p.cost_matrix.rows);
    for (Index i = 0; i < transposed.rows(); ++i) {
      for (Index j = 0; j < transposed.cols(); ++j) transposed(i, j) = p.cost_matrix(j, i);
    }
    p.cost_matrix = transposed.view();
  }
  return p;
}

}  // namespace

template <class T>
Gradients<T> gradients(const Problem<T>& problem, const SinkhornResult& result, const SinkhornOptions& options) {
  Gradients<T> out;
  const auto rows = detail::plan_body(problem, result, options.context);
  out.x = of_points(problem, *rows);
  std::vector<double> f = result.f;
  for (double& e : f) e -= result.level;
  out.a = of_weights(f, rows->row_shares, sum_of(rows->b), options.tau_a, result.epsilon);

  SinkhornResult back = result;
  std::swap(back.f, back.g);
  std::swap(back.f_rest, back.g_rest);
  Matrix<T> transposed;
  const Problem<T> other = swapped(problem, transposed);
  const auto cols = detail::plan_body(other, back, options.context);
  out.y = of_points(other, *cols);
  out.b = of_weights(result.g, cols->row_shares, sum_of(cols->b), options.tau_b, result.epsilon);
  return out;
}

template Gradients<float> gradients(const Problem<float>&, const SinkhornResult&, const SinkhornOptions&);
template Gradients<double> gradients(const Problem<double>&, const SinkhornResult&, const SinkhornOptions&);

}  // namespace monge::ot
