#include "monge/ot/assignment_solve.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "monge/ot/assignment_cloud.h"
#include "monge/ot/assignment_draft.h"
#include "monge/ot/assignment_paths.h"
#include "monge/ot/assignment_rows.h"
#include "monge/ot/assignment_search.h"
#include "monge/ot/cloud_pairs.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"
#include "monge/ot/grouped_start.h"
#include "monge/ot/matrix_pairs.h"
#include "monge/ot/multilevel_start.h"
#include "monge/ot/point_groups.h"
#include "monge/ot/room_pairs.h"
#include "monge/ot/sparse_pairs.h"
#include "monge/ot/tree_pairs.h"

namespace monge::ot::detail {
namespace {

using Method = AssignmentMethod;

// Pairs of a row's first shortlist: more where looking again is dear next to a longer list.
constexpr Index kListedInTrees = 40, kListedBetweenClouds = 16, kListedOfFewDims = 32, kListedUnstored = 32,
                kListedOfMatrices = 48, kListedOfGraphs = 1;
// Rows from which k-d trees are faster than passes over all pairs on the CPU, by dimensions.
constexpr Index kTreesFrom[TreePairs::most_dims + 1] = {1500, 1500, 1500, 1500, 4000, 25000, 40000, 60000, 80000};
constexpr Index kFewDims = 3, kTreesOfClusters = 5;  // at most: clusters whose passes failed go to trees
constexpr Index kGroupsFrom =
    23000;  // rows that start in groups at once: one pass over all pairs costs as much as all of a sample's
constexpr Index kLooksPerRow = 1;  // in a phase of auction: good starts take a third of it at most
constexpr Index kDenseClouds = 512, kDenseOfFewDims = 700;  // points at most whose matrix is searched before lists are
constexpr Index kDenseBelow = 48;                           // rows of a given matrix that is searched as it is

template <class T>
void check_device(MatrixView<const T> a, const AssignmentCall& call) {
  if (a.device.type != DeviceType::cpu)
    throw Error(Errc::backend_unavailable,
                concat(call.who, ": memory of cuda:", a.device.index, ", expected the CPU's"));
}

// Only shortlists between clouds have passes that other rooms know.
void check_runs_here(const AssignmentCall& call) {
  if (call.options.context.device.type != DeviceType::cpu)
    throw Error(Errc::backend_unavailable, concat(call.who, ": searches matrices and graphs on the CPU only"));
}

// The c-transform f_i = min_j cost_ij - v_j, in double over all pairs.
template <class T>
std::vector<double> c_transform(MatrixView<const T> cost, const std::vector<double>& v, int threads) {
  constexpr Index tile = 64;
  std::vector<double> f(cost.rows);
  parallel_for(threads_worth(threads, cost.rows * cost.cols), (cost.rows + tile - 1) / tile, [&](Index t, int) {
    for (Index i = t * tile; i < std::min(cost.rows, (t + 1) * tile); ++i)
      f[i] = two_smallest(cost.row(i), v.data(), cost.cols).first;
  });
  return f;
}

// Searches the whole matrix, as far as the monitor lets it; false if rows are left without a column.
template <class T>
bool search_matrix(MatrixView<const T> cost, std::vector<double> start, Monitor& monitor, int threads, Draft& draft) {
  Assignment assignment = search(cost, std::move(start), monitor);
  const bool complete = detail::complete(cost, assignment);
  std::vector<double> f = c_transform(cost, assignment.v, threads);
  draft.keep(std::move(assignment), std::move(f), monitor.status());
  return complete;
}

// Searches shortlists, whose pairs and bounds on all others give the c-transform. `epsilons(lists, start)` are the
// phases of auction; looks_per_row: see ListSearchOptions. False if rows are left without a column, or if the search
// was given up.
template <class Epsilons, class Complete>
bool search_lists(PairCosts& costs, Index listed, std::vector<double> start, const Epsilons& epsilons,
                  Index looks_per_row, const Complete& complete, Monitor& monitor, Draft& draft) {
  Shortlists lists = costs.shortlists(std::min(listed, costs.cols()), start);
  const ListSearchOptions options{.epsilons = epsilons(lists, start), .looks_per_row = looks_per_row};
  std::optional<Assignment> found = search(costs, lists, std::move(start), monitor, options);
  if (!found) return false;
  Assignment assignment = std::move(*found);
  const bool done = complete(lists, assignment);
  std::vector<double> f(costs.rows());
  for (Index i = 0; i < costs.rows(); ++i) {
    f[i] = lists[i].rest;
    for (const Pair& pair : lists[i]) f[i] = std::min(f[i], pair.cost - assignment.v[pair.column]);
  }
  draft.keep(std::move(assignment), std::move(f), monitor.status());
  return done;
}

// Runs `work`; true if it was stopped inside of a pass.
template <class Work>
bool stopped(const Work& work, Monitor& monitor) {
  try {
    work();
    return false;
  } catch (const Error& e) {
    if (e.code() != Errc::stopped || !monitor.stop(0)) throw;
    return true;
  }
}

Assignment first_columns(Index n, Index m) {
  Assignment a{std::vector<Index>(n), std::vector<Index>(m, -1), std::vector<double>(m, 0.0)};
  for (Index i = 0; i < n; ++i) a.column_of[i] = a.row_of[i] = i;
  return a;
}

Matrix<double> reordered(const Matrix<double>& x, const std::vector<std::int32_t>& order) {
  Matrix<double> out(x.rows(), x.cols());
  for (Index i = 0; i < x.rows(); ++i) std::copy_n(x.view().row(order[i]), x.cols(), out.view().row(i));
  return out;
}

std::vector<double> reordered(const std::vector<double>& values, const std::vector<std::int32_t>& order) {
  std::vector<double> out;
  for (const std::int32_t j : order) out.push_back(values[j]);
  return out;
}

// Row i of the problem solved was row rows[i] of the one given.
void restore_rows(const std::vector<std::int32_t>& rows, AssignmentResult& r) {
  const std::vector<std::int32_t> columns = r.columns;
  const std::vector<double> f = r.f;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    r.columns[rows[i]] = columns[i];
    r.f[rows[i]] = f[i];
  }
}

// So for columns.
void restore_columns(const std::vector<std::int32_t>& columns, AssignmentResult& r) {
  const std::vector<double> g = r.g;
  for (std::int32_t& column : r.columns) column = columns[column];
  for (std::size_t j = 0; j < columns.size(); ++j) r.g[columns[j]] = g[j];
}

// Phases where nothing is known; a cost is the unit.
std::vector<double> coarse_epsilons(double unit, Index n) {
  std::vector<double> epsilons;
  for (double e = unit / 4; e > unit / (4.0 * static_cast<double>(n)) && e > 0; e /= 5) epsilons.push_back(e);
  return epsilons;
}

}  // namespace

template <class T>
void check_clouds(MatrixView<const T> x, MatrixView<const T> y, const AssignmentCall& call) {
  const char* who = call.who;
  require(x.rows > 0 && x.cols > 0, who, ": x is empty (", x.rows, " x ", x.cols, ")");
  require(y.cols == x.cols, who, ": x has ", x.cols, " columns, y has ", y.cols);
  require(y.rows >= x.rows, who, ": y has fewer rows (", y.rows, ") than x (", x.rows, ")");
  require(y.rows <= std::numeric_limits<std::int32_t>::max(), who, ": y has too many rows (", y.rows, ")");
  check_device(x, call);
  check_device(y, call);
  require_finite(x, (std::string(who) + ": x").c_str());
  require_finite(y, (std::string(who) + ": y").c_str());
}

namespace {

template <class T>
AssignmentResult match_clouds(MatrixView<const T> x, MatrixView<const T> y, const AssignmentCall& call) {
  const Index n = x.rows, m = y.rows, d = x.cols;
  Monitor monitor(call.options, n, call.who);
  Context context = call.options.context;
  context.stop = &monitor.in_passes();
  CentredClouds clouds = centred_clouds(x, y, context);
  Draft draft;
  const bool few_dims = d <= kFewDims, here = context.device.type == DeviceType::cpu;
  const bool dense = here && n == m && n <= (few_dims ? kDenseOfFewDims : kDenseClouds);
  if (call.method == Method::hungarian || (call.method == Method::automatic && dense)) {
    const Matrix<double> cost = cost_matrix(clouds, context);
    search_matrix(cost.view(), isotropic_start(clouds), monitor, context.threads, draft);
  } else {
    const bool square = n == m, auction = call.method == Method::auction, starts = square && !auction;
    const auto epsilons = [&](const Shortlists& lists, const std::vector<double>& v) {
      if (!square) return std::vector<double>();
      const double unit = clouds.x_size * clouds.x_size + clouds.y_size * clouds.y_size;
      return auction ? coarse_epsilons(unit, n) : fine_epsilons(lists, v, n);
    };
    const auto complete = [](const Shortlists& lists, Assignment& a) { return detail::complete(lists, a), true; };
    const auto solve = [&](PairCosts& pairs, Index listed, std::vector<double> start, Index looks_per_row = 0) {
      return search_lists(pairs, listed, std::move(start), epsilons, looks_per_row, complete, monitor, draft);
    };
    const std::vector<double> zeros(m, 0.0);
    const auto solve_in_trees = [&] {
      const std::vector<std::int32_t> rows = kd_order(clouds.x.view()), columns = kd_order(clouds.y.view());
      const Matrix<double> xs = reordered(clouds.x, rows), ys = reordered(clouds.y, columns);
      TreePairs pairs(xs.view(), ys.view(), context);
      solve(pairs, kListedInTrees, starts ? multilevel_start(xs.view(), ys.view(), context) : zeros);
      restore_rows(rows, draft.result);
      restore_columns(columns, draft.result);
    };
    const auto solve_in_room = [&] {
      RoomPairs pairs(clouds, context);
      solve(pairs, kListedUnstored, starts ? pairs.start() : zeros);
    };
    const auto solve_in_passes = [&](std::vector<Index> groups, Index looks_per_row) {
      CloudPairs pairs(clouds, call.options.stored_bytes, context, std::move(groups));
      const Index listed = !pairs.is_stored() ? kListedUnstored : few_dims ? kListedOfFewDims : kListedBetweenClouds;
      return solve(pairs, listed, starts ? pairs.start() : zeros, looks_per_row);
    };
    const auto solve_in_groups = [&] {
      const PointGroups groups = group_points(rounded(clouds.y).view(), column_groups, context);
      clouds.y = reordered(clouds.y, groups.order);
      clouds.y_squares = reordered(clouds.y_squares, groups.order);
      solve_in_passes(groups.first, 0);
      restore_columns(groups.order, draft.result);
    };
    // Clusters: other starts take longer, and find how their potentials differ.
    const auto solve_here = [&] {
      if (!starts || n < kGroupsFrom) {
        if (solve_in_passes({}, starts ? kLooksPerRow : 0)) return;
        if (d <= kTreesOfClusters) return solve_in_trees();
      }
      solve_in_groups();
    };
    const bool in_trees = (few_dims || (here && d <= TreePairs::most_dims)) && n >= kTreesFrom[d];
    const auto solve_by_size = [&] { in_trees ? solve_in_trees() : here ? solve_here() : solve_in_room(); };
    // Before there were any lists, all that is known is that costs are not negative.
    if (stopped(solve_by_size, monitor)) {
      draft.keep(first_columns(n, m), std::vector<double>(n, 0.0), monitor.status());
    }
  }
  draft.dual.widen(clouds.error);
  for (Index i = 0; i < n; ++i) {
    draft.dual.add(clouds.row_shift[i]);
    draft.result.f[i] += clouds.row_shift[i];
    const double distance = squared_distance(x.row(i), y.row(draft.result.columns[i]), d, clouds.exponent);
    draft.primal.add(distance);
    draft.primal.widen((d + 8) * (BoundedSum::u * distance + std::numeric_limits<double>::min()));
  }
  for (Index j = 0; j < m; ++j) {
    draft.dual.add(clouds.column_shift[j]);
    draft.result.g[j] += clouds.column_shift[j];
  }
  AssignmentResult result = draft.finish(2 * clouds.exponent, call.who);
  require(std::isfinite(result.cost), call.who, ": the squared distances overflow double");
  result.certificate.lower = std::max(0.0, result.certificate.lower);
  return result;
}

}  // namespace

template <class T>
AssignmentResult solve_clouds(MatrixView<const T> x, MatrixView<const T> y, const AssignmentCall& call) {
  check_clouds(x, y, call);
  if (call.method == Method::hungarian) check_runs_here(call);
  backend_for(call.options.context.device);  // refuses what is not there
  AssignmentResult result;
  with_team(threads_worth(call.options.context.threads, x.rows * y.rows), [&] { result = match_clouds(x, y, call); });
  return result;
}

namespace {

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
    const auto search_from = [&](std::vector<double> start, Index looks_per_row) {
      return search_lists(pairs, kListedOfMatrices, std::move(start), epsilons, looks_per_row, finish, monitor, draft);
    };
    const auto solve = [&] {
      if (!square || auction) {
        complete = search_from(std::vector<double>(m, 0.0), 0);
      } else {
        complete = search_from(pairs.start(rows), kLooksPerRow);
        const bool given_up = !complete && monitor.status() == Status::converged;
        if (given_up) complete = search_from(pairs.start_in_groups(rows), 0);
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
      search_lists(pairs, kListedOfGraphs, std::vector<double>(cost.cols, 0.0), epsilons, 0, finish, monitor, draft);
  if (!complete) return draft.give_up(pairs.exponent(), call.who);
  for (Index i = 0; i < cost.rows; ++i) draft.primal.add(pairs.cost(i, draft.result.columns[i]));
  const double lost = pairs.exponent() == 0 ? 0.0 : static_cast<double>(cost.rows) * std::numeric_limits<double>::min();
  draft.dual.widen(lost);
  draft.primal.widen(lost);
  return draft.finish(pairs.exponent(), call.who);
}

template void check_clouds(MatrixView<const float>, MatrixView<const float>, const AssignmentCall&);
template void check_clouds(MatrixView<const double>, MatrixView<const double>, const AssignmentCall&);
template AssignmentResult solve_clouds(MatrixView<const float>, MatrixView<const float>, const AssignmentCall&);
template AssignmentResult solve_clouds(MatrixView<const double>, MatrixView<const double>, const AssignmentCall&);
template AssignmentResult solve_matrix(MatrixView<const float>, const AssignmentCall&);
template AssignmentResult solve_matrix(MatrixView<const double>, const AssignmentCall&);
template AssignmentResult solve_sparse(const SparseCost<float>&, const AssignmentCall&);
template AssignmentResult solve_sparse(const SparseCost<double>&, const AssignmentCall&);

}  // namespace monge::ot::detail
