#include "monge/ot/assignment.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>

#include "monge/ot/assignment_batch.h"
#include "monge/ot/assignment_solve.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"

namespace monge::ot {
namespace {

using Method = detail::AssignmentMethod;

template <class T>
std::vector<AssignmentResult> solve_batch(MatrixView<const T> x, MatrixView<const T> y, Index n,
                                          const AssignmentOptions& options) {
  constexpr const char* who = "assign_batch";
  detail::check_clouds(x, y, {who, Method::automatic, options});
  require(n > 0 && x.rows % n == 0, who, ": ", x.rows, " rows are no whole number of problems of ", n);
  require(x.rows == y.rows, who, ": x has ", x.rows, " rows, y has ", y.rows);
  require(options.max_seconds >= 0, who, ": max_seconds is ", options.max_seconds);
  require(options.stored_bytes >= 0, who, ": stored_bytes is ", options.stored_bytes, ", should not be negative");

  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  std::atomic<bool> stopped = false;
  std::mutex telling;
  Index done = 0;
  std::vector<AssignmentResult> results(x.rows / n);
  // A room of its own takes small problems in hundreds, and the passes of large ones, one after the other.
  const bool away = options.context.device.type != DeviceType::cpu, large = n > most_assigned;
  const auto go_on = [&](Index rows) {
    const bool told = options.context.stop && options.context.stop->requested();
    stopped = stopped || told || (options.progress && rows > 0 && !options.progress({rows, x.rows, elapsed()}));
    return !stopped && elapsed() < options.max_seconds;
  };
  const Index solved = away && !large ? detail::assign_in_room(x, y, n, options.context, go_on, results) : 0;
  if (options.context.stop && options.context.stop->requested()) stopped = true;
  done = solved * n;
  parallel_for(away && large ? 1 : options.context.threads, x.rows / n - solved, [&](Index left, int) {
    const Index b = solved + left;
    AssignmentOptions own;
    own.context.threads = 1;
    if (away && large) own.context = options.context;
    own.max_seconds = std::max(0.0, options.max_seconds - elapsed());
    if (options.progress || stopped) own.progress = [&](const AssignmentProgress&) { return !stopped.load(); };
    results[b] = detail::solve_clouds(x.rows_from(b * n, n), y.rows_from(b * n, n), {who, Method::automatic, own});
    if (!options.progress) return;
    const std::lock_guard lock(telling);
    done += n;
    if (!stopped && !options.progress({done, x.rows, elapsed()})) stopped = true;
  });
  return results;
}

}  // namespace

AssignmentResult assign(MatrixView<const float> x, MatrixView<const float> y, const AssignmentOptions& options) {
  return detail::solve_clouds(x, y, {"assign", Method::automatic, options});
}
AssignmentResult assign(MatrixView<const float> cost, const AssignmentOptions& options) {
  return detail::solve_matrix(cost, {"assign", Method::automatic, options});
}
AssignmentResult hungarian(MatrixView<const float> x, MatrixView<const float> y, const AssignmentOptions& options) {
  return detail::solve_clouds(x, y, {"hungarian", Method::hungarian, options});
}
AssignmentResult hungarian(MatrixView<const float> cost, const AssignmentOptions& options) {
  return detail::solve_matrix(cost, {"hungarian", Method::hungarian, options});
}
AssignmentResult auction(MatrixView<const float> x, MatrixView<const float> y, const AssignmentOptions& options) {
  return detail::solve_clouds(x, y, {"auction", Method::auction, options});
}
AssignmentResult auction(MatrixView<const float> cost, const AssignmentOptions& options) {
  return detail::solve_matrix(cost, {"auction", Method::auction, options});
}
AssignmentResult assign(const SparseCost<float>& cost, const AssignmentOptions& options) {
  return detail::solve_sparse(cost, {"assign", Method::automatic, options});
}
std::vector<AssignmentResult> assign_batch(MatrixView<const float> x, MatrixView<const float> y, Index n,
                                           const AssignmentOptions& options) {
  return solve_batch(x, y, n, options);
}

AssignmentResult assign(MatrixView<const double> x, MatrixView<const double> y, const AssignmentOptions& options) {
  return detail::solve_clouds(x, y, {"assign", Method::automatic, options});
}
AssignmentResult assign(MatrixView<const double> cost, const AssignmentOptions& options) {
  return detail::solve_matrix(cost, {"assign", Method::automatic, options});
}
AssignmentResult hungarian(MatrixView<const double> x, MatrixView<const double> y, const AssignmentOptions& options) {
  return detail::solve_clouds(x, y, {"hungarian", Method::hungarian, options});
}
AssignmentResult hungarian(MatrixView<const double> cost, const AssignmentOptions& options) {
  return detail::solve_matrix(cost, {"hungarian", Method::hungarian, options});
}
AssignmentResult auction(MatrixView<const double> x, MatrixView<const double> y, const AssignmentOptions& options) {
  return detail::solve_clouds(x, y, {"auction", Method::auction, options});
}
AssignmentResult auction(MatrixView<const double> cost, const AssignmentOptions& options) {
  return detail::solve_matrix(cost, {"auction", Method::auction, options});
}
AssignmentResult assign(const SparseCost<double>& cost, const AssignmentOptions& options) {
  return detail::solve_sparse(cost, {"assign", Method::automatic, options});
}
std::vector<AssignmentResult> assign_batch(MatrixView<const double> x, MatrixView<const double> y, Index n,
                                           const AssignmentOptions& options) {
  return solve_batch(x, y, n, options);
}

}  // namespace monge::ot
