#include "monge/ot/exact_start.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/sinkhorn.h"

namespace monge::ot::detail {
namespace {

constexpr Index small = 1 << 15;  // pairs, which are all looked at anyway

// Mean distance of some costs from their mean.
double spread_of(const PairCosts& pairs) {
  constexpr Index wanted = 4096;
  std::vector<double> costs;
  for (Index k = 0; k < wanted; ++k) {
    const double c = pairs.cost(spread(2 * k, pairs.rows()), spread(2 * k + 1, pairs.cols()));
    if (std::isfinite(c)) costs.push_back(c);
  }
  const double count = static_cast<double>(costs.size());
  double mean = 0, distance = 0;
  for (const double c : costs) mean += c / count;
  for (const double c : costs) distance += std::abs(c - mean) / count;
  return distance;
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

}  // namespace

template <class T>
std::vector<double> exact_start(const Problem<T>& problem, const PairCosts& pairs, double unit,
                                const Context& context) {
  std::vector<double> none(static_cast<std::size_t>(problem.cols()), 0.0);
  if (problem.rows() * problem.cols() <= small) return none;
  const double epsilon = 0.02 * spread_of(pairs) * unit;
  if (!std::isnormal(epsilon)) return none;
  Problem<T> allowed = problem;
  const Matrix<T> finite = problem.is_dense() ? all_finite(problem.cost_matrix) : Matrix<T>();
  if (finite.rows() > 0) allowed.cost_matrix = finite.view();
  SinkhornResult result = sinkhorn(allowed, {.epsilon = epsilon,
                                             .epsilon_unit = EpsilonUnit::cost,
                                             .tolerance = 0.05,
                                             .max_iterations = 100,
                                             .certify = false,
                                             .context = context});
  return result.g.empty() || result.status == Status::numerical_failure ? none : std::move(result.g);
}

template std::vector<double> exact_start(const Problem<float>&, const PairCosts&, double, const Context&);
template std::vector<double> exact_start(const Problem<double>&, const PairCosts&, double, const Context&);

}  // namespace monge::ot::detail
