#include "monge/ot/assignment_solve.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "monge/ot/assignment_rows.h"
#include "monge/ot/assignment_searches.h"
#include "monge/ot/crowded_assignment.h"
#include "monge/ot/matrix_pairs.h"
#include "monge/ot/multilevel_start.h"
#include "monge/ot/sparse_pairs.h"

namespace monge::ot::detail {
namespace {

using Method = AssignmentMethod;

constexpr Index kListedOfMatrices = 48, kListedOfGraphs = 1;  // pairs of a row's first shortlist
constexpr Index kDenseBelow = 48;                             // rows of a given matrix that is searched as it is
constexpr Index kCrowdsFrom = 256;                            // rows of a given matrix that may be equal to each other

// Of each row; throws at NaN, at -infinity and for rows without an allowed pair.
template <class T>
std::vector<RowSummary> summaries(MatrixView<const T> cost, const AssignmentCall& call) {
  constexpr Index tile = 64;
  std::vector<RowSummary> rows(cost.rows);
  parallel_for(threads_worth(call.options.context.threads, cost.rows * cost.cols), (cost.rows + tile - 1) / tile,
               [&](Index t, int) {
                 for (Index i = t * tile; i < std::min(cost.rows, (t + 1) * tile); ++i)
                   rows[i] = summary(cost.row(i), cost.cols);
               });
  for (Index i = 0; i < cost.rows; ++i) {
    for (Index j = 0; !rows[i].regular && j < cost.cols; ++j)
      if (!(cost(i, j) > -std::numeric_limits<T>::infinity()))
        throw Error(Errc::not_finite, concat(call.who, ": cost is ", cost(i, j), " in row ", i, ", column ", j));
    if (rows[i].finite == 0)
      throw Error(Errc::infeasible, concat(call.who, ": infeasible: all pairs of row ", i, " are forbidden"));
  }
  return rows;
}

double largest_of(const std::vector<RowSummary>& rows) {
  double largest = 0;
  for (const RowSummary& row : rows) largest = std::max(largest, row.largest);
  return largest;
}

// Whether the best pairs of most rows tie: small integers, say. Then lists never end, and closing all columns at one
// distance together is faster.
template <class T>
bool mostly_ties(MatrixView<const T> cost) {
  constexpr Index sample = 32;
  const Index best = std::min<Index>(32, cost.cols);
  Index rows = 0, tied = 0;
  for (Index i = 0; i < cost.rows; i += (cost.rows + sample - 1) / sample, ++rows) {
    std::vector<T> row(cost.row(i), cost.row(i) + cost.cols);
    std::partial_sort(row.begin(), row.begin() + best, row.end());
    const Index different = std::unique(row.begin(), row.begin() + best) - row.begin();
    tied += 4 * different < best;
  }
  return 2 * tied > rows;
}

// Solves for 2^exponent cost.
template <class T>
AssignmentResult solve_scaled(MatrixView<const T> cost, const std::vector<RowSummary>& rows, int exponent,
                              const AssignmentCall& call) {
  const Index n = cost.rows, m = cost.cols;
  Monitor monitor(call.options, n, call.who);
  Context context = call.options.context;
  context.stop = &monitor.in_passes();
  Draft draft;
  bool complete = false;
  const bool dense = n < m || n < kDenseBelow || mostly_ties(cost);
  if (call.method == Method::hungarian || (call.method == Method::automatic && dense)) {
    complete = search_matrix(cost, {}, monitor, context.threads, draft);
  } else {
    MatrixPairs<T> pairs(cost, context);
    const bool square = n == m, auction = call.method == Method::auction;
    const auto epsilons = [&](const Shortlists& lists, const std::vector<double>& v) {
      if (!square) return std::vector<double>();
      return auction ? coarse_epsilons(largest_of(rows), n) : fine_epsilons(lists, v, n);
    };
    const auto finish = [&](const Shortlists&, Assignment& a) { return detail::complete(cost, a); };
    const auto search_from = [&](std::vector<double> start, const ListSearchLimits& limits) {
      return search_lists(pairs, kListedOfMatrices, std::move(start), epsilons, limits, finish, monitor, draft);
    };
    const auto solve = [&] {
      if (!square || auction) {
        complete = search_from(std::vector<double>(m, 0.0), {});
      } else {
        complete = search_from(pairs.start(rows), {.looks_per_row = most_looks_per_row});
        const bool given_up = !complete && monitor.status() == Status::converged;
        if (given_up) complete = search_from(pairs.start_in_groups(rows), {});
      }
    };
    if (stopped(solve, monitor)) complete = search_matrix(cost, {}, monitor, context.threads, draft);
  }
  if (!complete) return draft.give_up(exponent, call.who);
  for (Index i = 0; i < n; ++i) draft.primal.add(static_cast<double>(cost(i, draft.result.columns[i])));
  if (exponent != 0) {  // what scaling may have lost to underflow
    draft.dual.widen(static_cast<double>(n) * std::numeric_limits<double>::min());
    draft.primal.widen(static_cast<double>(n) * std::numeric_limits<double>::min());
  }
  return draft.finish(exponent, call.who);
}

template <class T>
AssignmentResult match_matrix(MatrixView<const T> cost, const AssignmentCall& call) {
  std::vector<RowSummary> rows = summaries(cost, call);
  const double largest = largest_of(rows);
  const int exponent = largest > 0 ? std::ilogb(largest) : 0;
  if (call.method == Method::automatic && cost.rows == cost.cols && cost.rows >= kCrowdsFrom)
    if (auto crowded = assign_crowded(cost, call)) return std::move(*crowded);
  if (std::abs(exponent) < 900) return solve_scaled(cost, rows, 0, call);
  Matrix<double> scaled(cost.rows, cost.cols);  // sums of the costs as given would overflow or lose bits
  for (Index i = 0; i < cost.rows; ++i)
    for (Index j = 0; j < cost.cols; ++j) scaled(i, j) = std::ldexp(static_cast<double>(cost(i, j)), -exponent);
  return solve_scaled(std::as_const(scaled).view(), summaries(std::as_const(scaled).view(), call), exponent, call);
}

}  // namespace

template <class T>
AssignmentResult solve_matrix(MatrixView<const T> cost, const AssignmentCall& call) {
  const char* who = call.who;
  require(cost.rows > 0, who, ": cost is empty (", cost.rows, " x ", cost.cols, ")");
  require(cost.cols >= cost.rows, who, ": cost has fewer columns (", cost.cols, ") than rows (", cost.rows, ")");
  require(cost.cols <= std::numeric_limits<std::int32_t>::max(), who, ": too many columns (", cost.cols, ")");
  check_device(cost, call);
  check_runs_here(call);
  AssignmentResult result;
  with_team(threads_worth(call.options.context.threads, cost.rows * cost.cols),
            [&] { result = match_matrix(cost, call); });
  return result;
}

template <class T>
AssignmentResult solve_sparse(const SparseCost<T>& cost, const AssignmentCall& call) {
  check_runs_here(call);
  SparsePairs pairs = sparse_pairs(cost, call.who);
  Monitor monitor(call.options, cost.rows, call.who);
  Draft draft;
  const auto finish = [](const Shortlists& lists, Assignment& a) { return complete_listed(lists, a); };
  const auto epsilons = [](const Shortlists&, const std::vector<double>&) { return std::vector<double>(); };
  const bool complete =
      search_lists(pairs, kListedOfGraphs, std::vector<double>(cost.cols, 0.0), epsilons, {}, finish, monitor, draft);
  if (!complete) return draft.give_up(pairs.exponent(), call.who);
  for (Index i = 0; i < cost.rows; ++i) draft.primal.add(pairs.cost(i, draft.result.columns[i]));
  const double lost = pairs.exponent() == 0 ? 0.0 : static_cast<double>(cost.rows) * std::numeric_limits<double>::min();
  draft.dual.widen(lost);
  draft.primal.widen(lost);
  return draft.finish(pairs.exponent(), call.who);
}

template AssignmentResult solve_matrix(MatrixView<const float>, const AssignmentCall&);
template AssignmentResult solve_matrix(MatrixView<const double>, const AssignmentCall&);
template AssignmentResult solve_sparse(const SparseCost<float>&, const AssignmentCall&);
template AssignmentResult solve_sparse(const SparseCost<double>&, const AssignmentCall&);

}  // namespace monge::ot::detail
