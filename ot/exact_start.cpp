#include "monge/ot/exact_start.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "monge/ot/blocks.h"
#include "monge/ot/sinkhorn.h"

namespace monge::ot::detail {
namespace {

constexpr Index small = 1 << 15;  // pairs, which are all looked at anyway

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Median modulus of what some costs have that neither their row nor their column has alone: all that plans depend on.
double spread_of(const PairCosts& pairs) {
  constexpr Index wanted = 4096;
  std::vector<double> parts;
  for (Index k = 0; k < wanted; ++k) {
    const Index i = spread(4 * k, pairs.rows()), other_i = spread(4 * k + 1, pairs.rows());
    const Index j = spread(4 * k + 2, pairs.cols()), other_j = spread(4 * k + 3, pairs.cols());
    if (i == other_i || j == other_j) continue;
    const double part =
        pairs.cost(i, j) - pairs.cost(i, other_j) - (pairs.cost(other_i, j) - pairs.cost(other_i, other_j));
    if (std::isfinite(part)) parts.push_back(std::abs(part) / 2);
  }
  return parts.empty() ? 0 : median(parts);
}

// Forbidden pairs cost more than all others instead.
template <class T>
Matrix<T> all_finite(MatrixView<const T> cost) {
  T least = std::numeric_limits<T>::max(), most = std::numeric_limits<T>::lowest();
  bool finite = true;
  for (Index i = 0; i < cost.rows; ++i) {
    for (Index j = 0; j < cost.cols; ++j) {
      const T c = cost(i, j);
      finite = finite && std::isfinite(c);
      if (std::isfinite(c)) least = std::min(least, c), most = std::max(most, c);
    }
  }
  if (finite) return {};
  const T instead = most >= least && std::isfinite(most + (most - least)) ? most + (most - least) : most;
  Matrix<T> out(cost.rows, cost.cols);
  for (Index i = 0; i < cost.rows; ++i)
    for (Index j = 0; j < cost.cols; ++j) out(i, j) = std::isfinite(cost(i, j)) ? cost(i, j) : instead;
  return out;
}

// Labels that forbid pairs cost more than all others instead.
template <class T>
Problem<T> all_allowed(Problem<T> p, double largest) {
  constexpr double most = std::numeric_limits<double>::max() / 4;
  if (std::isinf(p.label_penalty)) p.label_penalty = 2 * std::min(largest, most);
  return p;
}

// Clouds in float, which is enough for a start, in some units; nothing if float has not the range.
struct InFloat {
  Matrix<float> x, y;
  Problem<float> view;
  bool fits = false;

  explicit InFloat(const Problem<double>& p) : x(p.x.rows, p.x.cols), y(p.y.rows, p.y.cols) {
    const bool shifts = p.cost != Cost::negative_dot && p.cost != Cost::cosine;
    std::vector<double> centre(static_cast<std::size_t>(p.dims()), 0.0);
    if (shifts) centre = weighted_sum(p.x, std::vector<double>(p.x.rows, 1 / static_cast<double>(p.x.rows)));
    const double largest = std::max(copy(p.x, centre, x), copy(p.y, centre, y));
    fits = largest > 1e-12 && largest < 1e12;
    view = {.x = x.view(),
            .y = y.view(),
            .cost = p.cost,
            .a = p.a,
            .b = p.b,
            .x_labels = p.x_labels,
            .y_labels = p.y_labels,
            .label_penalty = p.label_penalty};
  }

 private:
  static double copy(MatrixView<const double> from, const std::vector<double>& centre, Matrix<float>& to) {
    double largest = 0;
    for (Index i = 0; i < from.rows; ++i) {
      for (Index k = 0; k < from.cols; ++k) {
        const double moved = from(i, k) - centre[k];
        to(i, k) = static_cast<float>(moved);
        largest = std::max(largest, std::abs(moved));
      }
    }
    return largest;
  }
};

template <class T>
std::vector<double> sinkhorn_start(const Problem<T>& problem, double epsilon, double stored_bytes,
                                   const Context& context) {
  SinkhornResult result = sinkhorn(problem, {.epsilon = epsilon,
                                             .epsilon_unit = EpsilonUnit::cost,
                                             .tolerance = 0.05,
                                             .max_iterations = 100,
                                             .storage_bytes = stored_bytes,
                                             .certify = false,
                                             .context = context});
  if (result.status == Status::numerical_failure) result.g.clear();
  return std::move(result.g);
}

}  // namespace

template <class T>
std::vector<double> exact_start(const Problem<T>& given, const PairCosts& pairs, double unit, double largest,
                                double stored_bytes, const Context& context) {
  const Problem<T> problem = all_allowed(given, largest * unit);
  std::vector<double> none(static_cast<std::size_t>(problem.cols()), 0.0);
  if (problem.rows() * problem.cols() <= small) return none;
  const double spread = spread_of(pairs), epsilon = 0.02 * spread * unit;
  if (!std::isnormal(epsilon) || spread < 0x1p-80 * largest) return none;  // float would hold no such epsilon
  std::vector<double> g;
  if (problem.is_dense()) {
    const Matrix<T> finite = all_finite(problem.cost_matrix);
    Problem<T> allowed = problem;
    if (finite.rows() > 0) allowed.cost_matrix = finite.view();
    g = sinkhorn_start(allowed, epsilon, stored_bytes, context);
  } else if constexpr (std::is_same_v<T, double>) {
    const InFloat narrow(problem);
    g = narrow.fits ? sinkhorn_start(narrow.view, epsilon, stored_bytes, context)
                    : sinkhorn_start(problem, epsilon, stored_bytes, context);
  } else {
    g = sinkhorn_start(problem, epsilon, stored_bytes, context);
  }
  return g.empty() ? none : g;
}

template std::vector<double> exact_start(const Problem<float>&, const PairCosts&, double, double, double,
                                         const Context&);
template std::vector<double> exact_start(const Problem<double>&, const PairCosts&, double, double, double,
                                         const Context&);

}  // namespace monge::ot::detail
