#pragma once  // private: never installed
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "monge/ot/assignment_draft.h"
#include "monge/ot/assignment_paths.h"
#include "monge/ot/assignment_rows.h"
#include "monge/ot/assignment_search.h"
#include "monge/ot/assignment_solve.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"

// What the solvers of assignment problems between clouds, of matrices and of graphs have in common.
namespace monge::ot::detail {

// Of each row, in a phase of auction: where more rows look again the start was bad. Good ones took three quarters at
// most.
inline constexpr Index most_looks_per_row = 1;

template <class T>
void check_device(MatrixView<const T> a, const AssignmentCall& call) {
  if (a.device.type != DeviceType::cpu)
    throw Error(Errc::backend_unavailable,
                concat(call.who, ": memory of cuda:", a.device.index, ", expected the CPU's"));
}

// Only shortlists between clouds have passes that other rooms know.
inline void check_runs_here(const AssignmentCall& call) {
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
// phases of auction. False if rows are left without a column, or if the search
// was given up.
template <class Epsilons, class Complete>
bool search_lists(PairCosts& costs, Index listed, std::vector<double> start, const Epsilons& epsilons,
                  const ListSearchLimits& limits, const Complete& complete, Monitor& monitor, Draft& draft) {
  Shortlists lists = costs.shortlists(std::min(listed, costs.cols()), start);
  const ListSearchOptions options{.epsilons = epsilons(lists, start), .limits = limits};
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

// Phases where nothing is known; a cost is the unit.
inline std::vector<double> coarse_epsilons(double unit, Index n) {
  std::vector<double> epsilons;
  for (double e = unit / 4; e > unit / (4.0 * static_cast<double>(n)) && e > 0; e /= 5) epsilons.push_back(e);
  return epsilons;
}

}  // namespace monge::ot::detail
