#include <algorithm>
#include <cmath>
#include <numeric>

#include "monge/apps/ot_solve/long_work.h"
#include "monge/apps/ot_solve/solvers.h"
#include "monge/ot/core/error.h"
#include "monge/ot/exact.h"

namespace monge::apps {
namespace {

template <class Options>
Options options_of(const Request& r, double stored_bytes) {
  Options options;
  options.context = r.context;
  if (r.max_seconds > 0) options.max_seconds = r.max_seconds;
  options.stored_bytes = stored_bytes;
  return options;
}

double share_of(Index done, Index rows) { return static_cast<double>(done) / static_cast<double>(rows); }

// hungarian and auction: rows of mass 1/n to as many columns.
template <class T>
ot::ExactResult solve_by_name(const ot::Problem<T>& p, const Request& r, const std::string& solver, double stored_bytes,
                              LongWork& work) {
  auto options = options_of<ot::AssignmentOptions>(r, stored_bytes);
  options.progress = [&](const ot::AssignmentProgress& now) { return work.update(share_of(now.assigned, now.rows)); };
  const bool hungarian = solver == "hungarian";
  ot::AssignmentResult found;
  if (p.is_dense())
    found = hungarian ? ot::hungarian(p.cost_matrix, options) : ot::auction(p.cost_matrix, options);
  else
    found = hungarian ? ot::hungarian(p.x, p.y, options) : ot::auction(p.x, p.y, options);
  return {.status = found.status,
          .plan = ot::assignment_plan(found.columns, p.cols()),
          .f = std::move(found.f),
          .g = std::move(found.g),
          .cost = found.cost,
          .certificate = found.certificate};
}

// exact and network_simplex.
template <class T>
ot::ExactResult solve_any(const ot::Problem<T>& p, const Request& r, const std::string& solver, double stored_bytes,
                          LongWork& work) {
  auto options = options_of<ot::ExactOptions>(r, stored_bytes);
  const bool named = solver == "network_simplex", assigns = !named && ot::is_assignment(p);
  options.progress = [&](const ot::ExactProgress& now) {
    if (assigns) return work.update(share_of(now.iterations, p.rows()));
    return work.update(0, concat(now.iterations, " pivots, ", now.pairs, " pairs"));
  };
  return named ? ot::network_simplex(p, options) : ot::exact(p, options);
}

}  // namespace

bool is_exact(const std::string& solver) {
  return solver == "exact" || solver == "network_simplex" || solver == "hungarian" || solver == "auction";
}

bool ExactMemory::keeps(double left) const {
  return scores <= ot::ExactOptions{}.stored_bytes && least + scores <= left;
}

template <class T>
bool gpu_solves(const ot::Problem<T>& p) {
  return ot::is_assignment(p) && !p.is_dense();
}

// Whether `exact` is sure to find an assignment as a plan between distinct points (ot/crowded_assignment.cpp).
template <class T>
bool crowded(const ot::Problem<T>& p, const Sides& distinct) {
  return p.rows() >= (p.is_dense() ? 20 : p.dims() <= 3 ? 6 : 3) * std::min(distinct.n, distinct.m);
}

// Assignments keep a float of each pair, network_simplex a double where making scores anew is dear; up to three
// dimensions, trees do without. The clouds are held in double, and once more in float (of negative_dot also scaled); a
// dense cost of network_simplex once more where labels add to it, and while it starts where pairs are forbidden.
template <class T>
ExactMemory memory_of_exact(const ot::Problem<T>& p, const std::string& solver, const Sides& distinct) {
  const double n = static_cast<double>(p.rows()), m = static_cast<double>(p.cols()), d = static_cast<double>(p.dims());
  const double pairs = n * m, points = (n + m) * d * 20 + 1e7;
  if (solver == "hungarian") return {points + 200 * (n + m) + (p.is_dense() ? 0 : 8 * pairs)};
  if (solver == "network_simplex" || !ot::is_assignment(p) || (solver == "exact" && crowded(p, distinct))) {
    const double rows = static_cast<double>(distinct.n), cols = static_cast<double>(distinct.m);
    const double least = points + 2000 * (rows + cols) + 200 * (n - rows + m - cols) + 2e7;
    const double copies = p.x_labels.empty() ? sizeof(T) : std::isinf(p.label_penalty) ? 16 : 8;
    if (p.is_dense()) return {least + pairs * copies};
    return {least, d > 8 ? 8 * rows * cols : 0, 0};
  }
  const double least = points + 2000 * (n + m) + (p.cost == ot::Cost::negative_dot ? 8 * (n + m) * d : 0);
  if (p.is_dense()) return {least + (solver == "auction" ? 0 : 4 * pairs)};
  if (d <= 3 && n >= 1500) return {least};
  return {least, 4 * pairs, 1e8 + 8200 * n};
}

template <class T>
Solution solve_exact(const Input<T>& input, const Request& r, const std::string& solver, const MemoryBudget& budget) {
  const ot::Problem<T> problem = input.problem();
  const bool one_to_one = solver == "hungarian" || solver == "auction";
  require(!one_to_one || problem.rows() == problem.cols(), "--solver ", solver, " assigns one to one: X has ",
          problem.rows(), " points, Y has ", problem.cols(), "; --solver exact takes any numbers");
  require(!r.on_gpu() || gpu_solves(problem), solver,
          " on a GPU assigns one to one between clouds: as many points of equal weights on both sides, "
          "squared_euclidean or negative_dot; --device cpu takes all");
  check_balanced(input, "; --tau-a, --tau-b and --mass take others");
  const Sides distinct = one_to_one ? Sides{problem.rows(), problem.cols()} : distinct_points(problem, r.context);
  const ExactMemory memory = memory_of_exact(problem, solver, distinct);
  const double left = budget.left(), stored_bytes = memory.keeps(left) ? memory.scores : 0;
  budget.require(memory.needed(left), solver);

  LongWork work(solver, r.max_seconds);
  ot::ExactResult result = one_to_one ? solve_by_name(problem, r, solver, stored_bytes, work)
                                      : solve_any(problem, r, solver, stored_bytes, work);
  Solution s{.solver = solver, .dtype = dtype_name<T>(), .status = result.status};
  s.seconds = work.seconds();
  if (result.status == ot::Status::converged) work.finish();
  if (one_to_one || !result.columns.empty()) {
    s.marginal_error = 0;
  } else {
    s.marginal_error = result.marginal_error;
    s.iterations = result.iterations;
  }
  s.found = std::isfinite(result.cost);
  if (!s.found) return s;
  s.cost = s.value = result.cost;
  s.certificate = result.certificate;
  s.mass = input.a.empty() ? 1 : std::accumulate(input.a.begin(), input.a.end(), 0.0);
  s.f = std::move(result.f);
  s.g = std::move(result.g);
  s.plan = std::move(result.plan);
  return s;
}

template bool gpu_solves(const ot::Problem<float>&);
template bool gpu_solves(const ot::Problem<double>&);
template ExactMemory memory_of_exact(const ot::Problem<float>&, const std::string&, const Sides&);
template ExactMemory memory_of_exact(const ot::Problem<double>&, const std::string&, const Sides&);
template Solution solve_exact(const Input<float>&, const Request&, const std::string&, const MemoryBudget&);
template Solution solve_exact(const Input<double>&, const Request&, const std::string&, const MemoryBudget&);

}  // namespace monge::apps
