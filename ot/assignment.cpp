#include "monge/ot/assignment.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "monge/ot/assignment_cloud.h"
#include "monge/ot/assignment_paths.h"
#include "monge/ot/assignment_rows.h"
#include "monge/ot/assignment_search.h"
#include "monge/ot/bounded_sum.h"
#include "monge/ot/cloud_pairs.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"

namespace monge::ot {
namespace {

using detail::Assignment;
using detail::BoundedSum;
using detail::Monitor;

template <class T>
void check_device(MatrixView<const T> a, const AssignmentOptions& options, const char* who) {
  if (a.device.type != DeviceType::cpu || options.context.device.type != DeviceType::cpu)
    throw Error(Errc::backend_unavailable, concat(who, ": runs on the CPU only"));
}

// The c-transform f_i = min_j cost_ij - v_j, in double over all pairs.
template <class T>
std::vector<double> c_transform(MatrixView<const T> cost, const std::vector<double>& v, int threads) {
  constexpr Index tile = 64;
  std::vector<double> f(cost.rows);
  parallel_for(threads, (cost.rows + tile - 1) / tile, [&](Index t, int) {
    for (Index i = t * tile; i < std::min(cost.rows, (t + 1) * tile); ++i)
      f[i] = detail::two_smallest(cost.row(i), v.data(), cost.cols).first;
  });
  return f;
}

// Potentials, of which f is the c-transform of g, and their sum.
void keep(const Assignment& assignment, std::vector<double> f, Status status, AssignmentResult& result,
          BoundedSum& dual) {
  result.status = status;
  result.columns.assign(assignment.column_of.begin(), assignment.column_of.end());
  result.f = std::move(f);
  result.g = assignment.v;
  for (const double value : result.f) dual.add(value);
  for (const double value : result.g) dual.add(value);
}

// Searches the whole matrix, as far as the monitor lets it; false if rows are left without a column.
template <class T>
bool solve_dense(MatrixView<const T> cost, std::vector<double> start, Monitor& monitor, int threads,
                 AssignmentResult& result, BoundedSum& dual) {
  Assignment assignment = detail::search(cost, std::move(start), monitor);
  const bool complete = detail::complete(cost, assignment);
  keep(assignment, c_transform(cost, assignment.v, threads), monitor.status(), result, dual);
  return complete;
}

// Searches shortlists; a list's pairs and its bound on all others give the c-transform.
void solve_lists(detail::PairCosts& costs, std::vector<double> start, Monitor& monitor, AssignmentResult& result,
                 BoundedSum& dual) {
  detail::Shortlists lists = costs.shortlists(std::min<Index>(16, costs.cols()), start);
  Assignment assignment = detail::search(costs, lists, std::move(start), monitor, {});
  detail::complete(lists, assignment);
  std::vector<double> f(costs.rows());
  for (Index i = 0; i < costs.rows(); ++i) {
    f[i] = lists[i].rest;
    for (const detail::Pair& pair : lists[i]) f[i] = std::min(f[i], pair.cost - assignment.v[pair.column]);
  }
  keep(assignment, std::move(f), monitor.status(), result, dual);
}

// Brings the sums over the rows back to means in the caller's units, each bound outward by its roundings.
void certify(const BoundedSum& dual, const BoundedSum& primal, int exponent, AssignmentResult& result) {
  const double n = static_cast<double>(result.columns.size());
  const auto outward = [&](double bound, double to) {
    return std::nextafter(std::ldexp(std::nextafter(bound / n, to), exponent), to);
  };
  result.cost = std::ldexp(primal.value() / n, exponent);
  result.certificate = {Certificate::Kind::proven, outward(dual.lower(), -HUGE_VAL), outward(primal.upper(), HUGE_VAL)};
  for (auto* potentials : {&result.f, &result.g})
    for (double& value : *potentials) {
      value = std::ldexp(value, exponent);
      require(std::isfinite(value), "assign: the potentials overflow double");
    }
}

// The largest finite magnitude; throws at NaN, at -infinity and for rows without an allowed pair.
template <class T>
double largest_cost(MatrixView<const T> cost) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  T largest = 0;
  for (Index i = 0; i < cost.rows; ++i) {
    bool bad = false, allowed = false;
    for (Index j = 0; j < cost.cols; ++j) {
      const T c = cost(i, j);
      allowed |= c < infinity;
      bad |= !(c > -infinity);
      largest = std::max(largest, c < infinity ? std::abs(c) : T(0));
    }
    for (Index j = 0; bad && j < cost.cols; ++j)
      if (!(cost(i, j) > -infinity))
        throw Error(Errc::not_finite, concat("assign: cost is ", cost(i, j), " in row ", i, ", column ", j));
    if (!allowed) throw Error(Errc::infeasible, concat("assign: all pairs of row ", i, " are forbidden"));
  }
  return static_cast<double>(largest);
}

template <class T>
AssignmentResult exact_between(MatrixView<const T> x, MatrixView<const T> y, const AssignmentOptions& options) {
  const Index n = x.rows, m = y.rows, d = x.cols;
  require(n > 0 && d > 0, "assign: x is empty (", n, " x ", d, ")");
  require(y.cols == d, "assign: x has ", d, " columns, y has ", y.cols);
  require(m >= n, "assign: y has fewer rows (", m, ") than x (", n, ")");
  require(m <= std::numeric_limits<std::int32_t>::max(), "assign: y has too many rows (", m, ")");
  check_device(x, options, "assign");
  check_device(y, options, "assign");
  require_finite(x, "assign: x");
  require_finite(y, "assign: y");

  Monitor monitor(options, "assign");
  const detail::CentredClouds cloud = detail::centred_clouds(x, y, options.context);
  AssignmentResult result;
  BoundedSum dual, primal;
  detail::CloudPairs pairs(cloud, options.context);
  solve_lists(pairs, n == m ? pairs.start() : std::vector<double>(m, 0.0), monitor, result, dual);
  dual.widen(cloud.error);
  for (Index i = 0; i < n; ++i) {
    dual.add(cloud.row_shift[i]);
    result.f[i] += cloud.row_shift[i];
    const double distance = detail::squared_distance(x.row(i), y.row(result.columns[i]), d, cloud.exponent);
    primal.add(distance);
    primal.widen((d + 8) * (BoundedSum::u * distance + std::numeric_limits<double>::min()));
  }
  for (Index j = 0; j < m; ++j) {
    dual.add(cloud.column_shift[j]);
    result.g[j] += cloud.column_shift[j];
  }
  certify(dual, primal, 2 * cloud.exponent, result);
  require(std::isfinite(result.cost), "assign: the squared distances overflow double");
  result.certificate.lower = std::max(0.0, result.certificate.lower);
  return result;
}

// Solves for 2^exponent cost.
template <class T>
AssignmentResult exact_dense(MatrixView<const T> cost, int exponent, const AssignmentOptions& options) {
  Monitor monitor(options, "assign");
  AssignmentResult result;
  BoundedSum dual, primal;
  if (!solve_dense(cost, {}, monitor, options.context.threads, result, dual)) {
    certify(dual, primal, exponent, result);
    result.cost = HUGE_VAL;
    result.certificate = {};
    return result;
  }
  for (Index i = 0; i < cost.rows; ++i) primal.add(static_cast<double>(cost(i, result.columns[i])));
  if (exponent != 0) {  // what scaling may have lost to underflow
    dual.widen(static_cast<double>(cost.rows) * std::numeric_limits<double>::min());
    primal.widen(static_cast<double>(cost.rows) * std::numeric_limits<double>::min());
  }
  certify(dual, primal, exponent, result);
  return result;
}

template <class T>
void check_cost(MatrixView<const T> cost, const AssignmentOptions& options) {
  require(cost.rows > 0, "assign: cost is empty (", cost.rows, " x ", cost.cols, ")");
  require(cost.cols >= cost.rows, "assign: cost has fewer columns (", cost.cols, ") than rows (", cost.rows, ")");
  require(cost.cols <= std::numeric_limits<std::int32_t>::max(), "assign: too many columns (", cost.cols, ")");
  check_device(cost, options, "assign");
}

}  // namespace

AssignmentResult assign(MatrixView<const float> x, MatrixView<const float> y, const AssignmentOptions& options) {
  return exact_between(x, y, options);
}
AssignmentResult assign(MatrixView<const double> x, MatrixView<const double> y, const AssignmentOptions& options) {
  return exact_between(x, y, options);
}

AssignmentResult assign(MatrixView<const float> cost, const AssignmentOptions& options) {
  check_cost(cost, options);
  largest_cost(cost);
  return exact_dense(cost, 0, options);  // no float is too large or too small for double potentials
}

AssignmentResult assign(MatrixView<const double> cost, const AssignmentOptions& options) {
  check_cost(cost, options);
  const double largest = largest_cost(cost);
  const int exponent = largest > 0 ? std::ilogb(largest) : 0;
  if (std::abs(exponent) < 900) return exact_dense(cost, 0, options);
  Matrix<double> scaled(cost.rows, cost.cols);  // sums of the costs as given would overflow or lose bits
  for (Index i = 0; i < cost.rows; ++i)
    for (Index j = 0; j < cost.cols; ++j) scaled(i, j) = std::ldexp(cost(i, j), -exponent);
  return exact_dense(std::as_const(scaled).view(), exponent, options);
}

}  // namespace monge::ot
