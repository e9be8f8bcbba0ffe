#include "monge/ot/crowded_assignment.h"

#include <algorithm>

#include "monge/ot/equal_points.h"
#include "monge/ot/exact_transport.h"

namespace monge::ot::detail {
namespace {

// Points equal to one, in the mean, from which on a plan between distinct points is found sooner: between clouds, by
// their dimension, and of a matrix.
double crowd(Index d) { return d <= 3 ? 6 : 3; }
constexpr double crowd_of_matrices = 20;

ExactOptions options_of(const AssignmentOptions& given, Index rows) {
  ExactOptions options;
  options.context = given.context;
  options.context.device = {};
  options.max_seconds = given.max_seconds;
  options.stored_bytes = given.stored_bytes;
  if (given.progress)
    options.progress = [&given, rows](const ExactProgress& now) { return given.progress({0, rows, now.seconds}); };
  return options;
}

template <class T>
AssignmentResult by_transport(const Problem<T>& problem, const AssignmentCall& call) {
  ExactResult found = exact_transport(problem, call.who, options_of(call.options, problem.rows()));
  AssignmentResult r{.status = found.status,
                     .columns = std::vector<std::int32_t>(found.f.size(), -1),
                     .f = std::move(found.f),
                     .g = std::move(found.g),
                     .cost = found.cost,
                     .certificate = found.certificate};
  std::copy(found.plan.columns.begin(), found.plan.columns.end(), r.columns.begin());  // all of them or none
  return r;
}

}  // namespace

template <class T>
std::optional<AssignmentResult> assign_crowded(MatrixView<const T> x, MatrixView<const T> y,
                                               const AssignmentCall& call) {
  const auto crowding = [&](MatrixView<const T> z) { return equal_points<T>({z}, call.options.context).crowding(); };
  if (std::max(crowding(x), crowding(y)) < crowd(x.cols)) return {};
  return by_transport(Problem<T>{.x = x, .y = y}, call);
}

template <class T>
std::optional<AssignmentResult> assign_crowded(MatrixView<const T> cost, const AssignmentCall& call) {
  const auto crowding = [&](bool columns) {
    return equal_points<T>({cost, {}, columns}, call.options.context).crowding();
  };
  if (std::max(crowding(false), crowding(true)) < crowd_of_matrices) return {};
  return by_transport(Problem<T>{.cost_matrix = cost}, call);
}

template std::optional<AssignmentResult> assign_crowded(MatrixView<const float>, MatrixView<const float>,
                                                        const AssignmentCall&);
template std::optional<AssignmentResult> assign_crowded(MatrixView<const double>, MatrixView<const double>,
                                                        const AssignmentCall&);
template std::optional<AssignmentResult> assign_crowded(MatrixView<const float>, const AssignmentCall&);
template std::optional<AssignmentResult> assign_crowded(MatrixView<const double>, const AssignmentCall&);

}  // namespace monge::ot::detail
