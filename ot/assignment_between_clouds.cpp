#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "monge/ot/assignment_cloud.h"
#include "monge/ot/assignment_searches.h"
#include "monge/ot/assignment_solve.h"
#include "monge/ot/cloud_pairs.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/crowded_assignment.h"
#include "monge/ot/finite.h"
#include "monge/ot/grouped_start.h"
#include "monge/ot/multilevel_start.h"
#include "monge/ot/point_groups.h"
#include "monge/ot/room_pairs.h"
#include "monge/ot/tree_pairs.h"

namespace monge::ot::detail {
namespace {

using Method = AssignmentMethod;

// Pairs of a row's first shortlist: more where looking again is dear next to a longer list.
constexpr Index kListedInTrees = 40, kListedBetweenClouds = 16, kListedOfFewDims = 32, kListedUnstored = 32;
// Rows from which k-d trees are faster than passes over all pairs on the CPU, by dimensions.
constexpr Index kTreesFrom[TreePairs::most_dims + 1] = {1500, 1500, 1500, 1500, 4000, 25000, 40000, 60000, 80000};
constexpr Index kFewDims = 3, kTreesOfClusters = 5;  // at most: clusters whose passes failed go to trees
constexpr Index kGroupsFrom = 23000;  // rows that start in groups at once: one pass takes longer than a sample's all
// Points at most whose matrix is searched where passes have failed; or groups and trees, too: heavy tails are for
// nobody's lists.
constexpr Index kMatrixAtOnce = 2048, kMatrixInstead = 8192;
constexpr Index kSights = 32;  // of each pair, by paths on lists; then its matrix takes no longer
constexpr Index kDenseClouds = 512, kDenseOfFewDims = 700;  // points at most whose matrix is searched before lists are

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
  const auto solve_densely = [&] {
    const Matrix<double> cost = cost_matrix(clouds, context);
    search_matrix(cost.view(), isotropic_start(clouds), monitor, context.threads, draft);
  };
  if (call.method == Method::hungarian || (call.method == Method::automatic && dense)) {
    solve_densely();
  } else {
    const bool square = n == m, auction = call.method == Method::auction, starts = square && !auction;
    const auto epsilons = [&](const Shortlists& lists, const std::vector<double>& v) {
      if (!square) return std::vector<double>();
      const double unit = clouds.x_size * clouds.x_size + clouds.y_size * clouds.y_size;
      return auction ? coarse_epsilons(unit, n) : fine_epsilons(lists, v, n);
    };
    const auto complete = [](const Shortlists& lists, Assignment& a) { return detail::complete(lists, a), true; };
    // Where a matrix can take its place, a search on lists is given up that sees too many pairs.
    const bool fits = sizeof(double) * static_cast<double>(n * m) <= call.options.stored_bytes;
    const bool small = here && starts && fits && n <= kMatrixInstead;
    const auto solve = [&](PairCosts& pairs, Index listed, std::vector<double> start, Index looks_per_row = 0) {
      const ListSearchLimits limits{looks_per_row, small ? kSights : 0};
      return search_lists(pairs, listed, std::move(start), epsilons, limits, complete, monitor, draft);
    };
    const std::vector<double> zeros(m, 0.0);
    const auto solve_in_trees = [&] {
      const std::vector<std::int32_t> rows = kd_order(clouds.x.view()), columns = kd_order(clouds.y.view());
      const Matrix<double> xs = reordered(clouds.x, rows), ys = reordered(clouds.y, columns);
      TreePairs pairs(xs.view(), ys.view(), context);
      if (!solve(pairs, kListedInTrees, starts ? multilevel_start(xs.view(), ys.view(), context) : zeros))
        return solve_densely();
      restore_rows(rows, draft.result);
      restore_columns(columns, draft.result);
    };
    const Index most_looks = starts ? most_looks_per_row : 0;
    const auto solve_in_room = [&] {
      RoomPairs pairs(clouds, context);
      return solve(pairs, kListedUnstored, starts ? pairs.start() : zeros, most_looks);
    };
    const auto solve_in_passes = [&](Index looks, std::vector<Index> groups = {}) {
      CloudPairs pairs(clouds, call.options.stored_bytes, context, std::move(groups));
      const Index listed = !pairs.is_stored() ? kListedUnstored : few_dims ? kListedOfFewDims : kListedBetweenClouds;
      return solve(pairs, listed, starts ? pairs.start() : zeros, looks);
    };
    const auto solve_in_groups = [&] {
      const PointGroups groups = group_points(rounded(clouds.y).view(), column_groups, context);
      clouds.y = reordered(clouds.y, groups.order);
      clouds.y_squares = reordered(clouds.y_squares, groups.order);
      if (!solve_in_passes(0, groups.first)) solve_densely();
      restore_columns(groups.order, draft.result);
    };
    const bool in_trees = (few_dims || (here && d <= TreePairs::most_dims)) && n >= kTreesFrom[d];
    const auto solve_by_size = [&] {
      if (in_trees) return solve_in_trees();
      if (here && starts && n >= kGroupsFrom) return solve_in_groups();
      if (here ? solve_in_passes(most_looks) : solve_in_room()) return;
      // Clusters: other starts take longer, and find how their potentials differ. Few points take no longer as a
      // matrix.
      if (small && n <= kMatrixAtOnce) return solve_densely();
      d <= kTreesOfClusters ? solve_in_trees() : solve_in_groups();
    };
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
  with_team(threads_worth(call.options.context.threads, x.rows * y.rows), [&] {
    std::optional<AssignmentResult> crowded;
    if (call.method == Method::automatic && x.rows == y.rows && x.rows > kDenseClouds)
      crowded = assign_crowded(x, y, call);
    result = crowded ? std::move(*crowded) : match_clouds(x, y, call);
  });
  return result;
}

template void check_clouds(MatrixView<const float>, MatrixView<const float>, const AssignmentCall&);
template void check_clouds(MatrixView<const double>, MatrixView<const double>, const AssignmentCall&);
template AssignmentResult solve_clouds(MatrixView<const float>, MatrixView<const float>, const AssignmentCall&);
template AssignmentResult solve_clouds(MatrixView<const double>, MatrixView<const double>, const AssignmentCall&);

}  // namespace monge::ot::detail
