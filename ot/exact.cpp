#include "monge/ot/exact.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "monge/ot/bounded_sum.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/exact_assignment.h"
#include "monge/ot/exact_start.h"
#include "monge/ot/exact_transport.h"
#include "monge/ot/geometry_pairs.h"
#include "monge/ot/line_plan.h"
#include "monge/ot/matrix_pairs.h"
#include "monge/ot/network_simplex.h"
#include "monge/ot/sinkhorn_start.h"
#include "monge/ot/sparse_pairs.h"
#include "monge/ot/transport_flows.h"

namespace monge::ot {
namespace {

using detail::BoundedSum;
using detail::DistinctProblem;
using detail::ExactMonitor;
using detail::Flow;
using detail::TransportCosts;
using detail::TransportMasses;
using detail::TransportSolution;

constexpr double u = 0x1p-53;
constexpr double underflow = std::numeric_limits<double>::min();  // more than what it may take from a number
constexpr double dust = 1e-12;  // share of the mass that roundings of the weights may leave on forbidden pairs

struct Call {
  const char* who;  // the public function, for messages
  const ExactOptions& options;
};

void check_options(const Call& call) {
  const ExactOptions& o = call.options;
  const char* who = call.who;
  require(o.max_seconds >= 0, who, ": max_seconds is ", o.max_seconds, ", should not be negative");
  require(o.stored_bytes >= 0, who, ": stored_bytes is ", o.stored_bytes, ", should not be negative");
  if (o.context.device.type != DeviceType::cpu)
    throw Error(Errc::backend_unavailable, concat(who, ": runs on the CPU only"));
}

// g_j = min_i c_ij - f_i of columns that take no part.
void extend(const TransportCosts& costs, const std::vector<double>& f, std::vector<double>& g, const Context& context) {
  std::vector<Index> open;
  for (std::size_t j = 0; j < g.size(); ++j)
    if (!std::isfinite(g[j])) open.push_back(static_cast<Index>(j));
  const Index n = static_cast<Index>(f.size()), count = static_cast<Index>(open.size());
  parallel_for(threads_worth(context.threads, 8 * n * count), count, [&](Index k, int) {
    double least = HUGE_VAL;
    for (Index i = 0; i < n; ++i) {
      const double c = costs.pairs.cost(i, open[k]);
      if (std::isfinite(c)) least = std::min(least, c - costs.share * std::abs(c) - costs.most - f[i]);
    }
    g[open[k]] = std::isfinite(least) ? least : 0;
  });
}

// In the caller's units.
ExactResult finish(const TransportCosts& costs, const TransportMasses& masses, const TransportSolution& solution,
                   std::vector<Flow> flows, const Call& call) {
  ExactResult r;
  r.status = solution.status;
  r.iterations = solution.pivots;
  r.f = solution.f, r.g = solution.g;
  for (auto* potentials : {&r.f, &r.g})
    for (double& value : *potentials) {
      value *= costs.unit;
      require(std::isfinite(value), call.who, ": the potentials overflow double");
    }
  const Index n = static_cast<Index>(r.f.size()), m = static_cast<Index>(r.g.size());
  const double total = masses.total();
  BoundedSum cost;
  double forbidden = 0;  // mass
  for (const Flow& flow : flows) {
    const double mass = masses.in_units(flow.mass), c = flow.arc.cost;
    if (!std::isfinite(c)) {
      forbidden += mass;
      continue;
    }
    cost.add(mass * c);
    cost.widen(mass * (costs.share * std::abs(c) + costs.most) + underflow);
  }
  if (forbidden > dust * total) {
    if (r.status == Status::converged)
      throw Error(Errc::infeasible, concat(call.who, ": infeasible: every plan moves ", forbidden, " of ", total,
                                           " over forbidden pairs"));
    r.plan = detail::plan_of({}, masses, n, m);
    r.cost = HUGE_VAL;
    return r;
  }
  std::erase_if(flows, [](const Flow& flow) { return !std::isfinite(flow.arc.cost); });
  r.plan = detail::plan_of(flows, masses, n, m);
  r.marginal_error = detail::marginal_error(masses, r.plan);
  r.cost = cost.value() * costs.unit;
  require(std::isfinite(r.cost), call.who, ": the cost overflows double");
  // Masses that are a little different from the weights meant would move so much more or less.
  const double off = costs.complete ? 2 * masses.off * total * costs.largest : 0;
  const auto outward = [&](double bound, double to) { return std::nextafter(bound * costs.unit, to); };
  const double lower = outward(solution.lower - off, -HUGE_VAL);
  r.certificate = {Certificate::Kind::proven, costs.least < 0 ? lower : std::max(0.0, lower),
                   outward(cost.upper() + off, HUGE_VAL)};
  return r;
}

ExactResult finish(const TransportCosts& costs, const TransportMasses& masses, TransportSolution solution,
                   const Call& call) {
  extend(costs, solution.f, solution.g, call.options.context);
  return finish(costs, masses, solution, detail::flows_of(solution.basis, masses), call);
}

// A solution between distinct points.
template <class T>
ExactResult finish(const TransportCosts& costs, const TransportMasses& masses, const DistinctProblem<T>& distinct,
                   TransportSolution solution, const Call& call) {
  extend(costs, solution.f, solution.g, call.options.context);
  solution.f = distinct.of_rows(std::move(solution.f)), solution.g = distinct.of_cols(std::move(solution.g));
  std::vector<Flow> flows = detail::flows_of(solution.basis, distinct.masses());
  return finish(costs, masses, solution, distinct.flows_of_all(std::move(flows)), call);
}

template <class T>
ExactResult solve_clouds(const Problem<T>& all, const Call& call) {
  const TransportMasses masses(all.a, all.rows(), all.b, all.cols(), call.who);
  ExactMonitor monitor(call.options);
  Context context = call.options.context;
  context.stop = &monitor.in_passes();
  const DistinctProblem<T> distinct(all, masses, context);
  const Problem<T>& given = distinct.problem();
  detail::OwnedProblem<double> owned;
  const Problem<double>& problem = detail::as_double(given, owned);
  detail::GeometryPairs pairs(problem, call.options.stored_bytes, context);
  require(std::isfinite(pairs.unit()), call.who, ": the costs overflow double: rescale the points");
  detail::GeometryPairs columns(detail::turned(problem), 0, context);
  const TransportCosts costs{.pairs = pairs,
                             .turned = &columns,
                             .unit = pairs.unit(),
                             .share = pairs.share(),
                             .most = pairs.most(),
                             .least = given.cost == Cost::negative_dot ? -pairs.largest_cost() : 0,
                             .largest = pairs.largest_cost(),
                             .complete = problem.x_labels.empty() || std::isfinite(problem.label_penalty)};
  const auto start = [&] {
    std::vector<double> v =
        detail::exact_start(given, pairs, costs.unit, costs.largest, call.options.stored_bytes, context);
    for (double& e : v) e /= costs.unit;
    return v;
  };
  std::vector<detail::MassOnArc> known;
  if (detail::is_on_line(problem)) known = detail::line_plan(problem, distinct.masses(), pairs);
  return finish(costs, masses, distinct, detail::network_simplex(costs, distinct.masses(), monitor, start, known),
                call);
}

struct Extent {
  double least = HUGE_VAL, largest = 0;  // largest: modulus
  bool complete = true;
};

template <class T>
Extent extent_of(MatrixView<const T> cost) {
  Extent e;
  for (Index i = 0; i < cost.rows; ++i) {
    for (Index j = 0; j < cost.cols; ++j) {
      const double c = static_cast<double>(cost(i, j));
      e.complete = e.complete && std::isfinite(c);
      e.least = std::min(e.least, c);
      if (std::isfinite(c)) e.largest = std::max(e.largest, std::abs(c));
    }
  }
  return e;
}

// What became of the costs given: they are in this unit, and off by as much as in TransportCosts.
struct Rewritten {
  double unit = 1, share = 0, most = 0;
};

template <class T>
ExactResult solve_matrix(const Problem<T>& all, const Extent& extent, const Rewritten& as, const Call& call) {
  const TransportMasses masses(all.a, all.rows(), all.b, all.cols(), call.who);
  ExactMonitor monitor(call.options);
  Context context = call.options.context;
  context.stop = &monitor.in_passes();
  const DistinctProblem<T> distinct(all, masses, context);
  const Problem<T>& problem = distinct.problem();
  detail::MatrixPairs<T> pairs(problem.cost_matrix, context);
  const TransportCosts costs{.pairs = pairs,
                             .unit = as.unit,
                             .share = as.share,
                             .most = as.most,
                             .least = std::min(0.0, extent.least),
                             .largest = extent.largest,
                             .complete = extent.complete};
  const auto start = [&] {
    return detail::exact_start(problem, pairs, 1, costs.largest, call.options.stored_bytes, context);
  };
  return finish(costs, masses, distinct, detail::network_simplex(costs, distinct.masses(), monitor, start), call);
}

// In double, where labels are to be added, or costs are so large or small that their sums would not be right.
template <class T>
ExactResult solve_dense(const Problem<T>& problem, const Call& call) {
  Extent extent = extent_of(problem.cost_matrix);
  const bool labels = !problem.x_labels.empty() && problem.label_penalty > 0;
  const bool adds = labels && std::isfinite(problem.label_penalty);  // or forbids
  const double largest = extent.largest + (adds ? problem.label_penalty : 0);
  const int size = largest > 0 ? std::ilogb(largest) : 0, exponent = std::abs(size) < 500 ? 0 : size;
  if (!labels && exponent == 0) return solve_matrix(problem, extent, {}, call);
  Matrix<double> costs(problem.rows(), problem.cols());
  for (Index i = 0; i < costs.rows(); ++i) {
    for (Index j = 0; j < costs.cols(); ++j) {
      const bool differ = labels && problem.x_labels[i] != problem.y_labels[j];
      const double c = std::ldexp(static_cast<double>(problem.cost_matrix(i, j)), -exponent);
      costs(i, j) = c + (differ ? std::ldexp(problem.label_penalty, -exponent) : 0);
    }
  }
  const Problem<double> in_double{.cost_matrix = costs.view(), .a = problem.a, .b = problem.b};
  const Rewritten as{.unit = std::ldexp(1.0, exponent), .share = adds ? u : 0, .most = exponent != 0 ? underflow : 0};
  return solve_matrix(in_double, extent_of(in_double.cost_matrix), as, call);
}

template <class T>
ExactResult solve_graph(const SparseCost<T>& graph, VectorView<const double> a, VectorView<const double> b,
                        const Call& call) {
  check_options(call);
  detail::SparsePairs pairs = detail::sparse_pairs(graph, call.who, detail::Matching::any);
  check_weights(a, pairs.rows(), call.who, "a");
  check_weights(b, pairs.cols(), call.who, "b");
  const TransportMasses masses(a, pairs.rows(), b, pairs.cols(), call.who);
  ExactMonitor monitor(call.options);
  const double unit = std::ldexp(1.0, pairs.exponent());
  TransportCosts costs{.pairs = pairs, .unit = unit, .most = pairs.exponent() != 0 ? underflow : 0, .complete = false};
  for (const T c : graph.costs)
    if (std::isfinite(c)) costs.least = std::min(costs.least, static_cast<double>(c) / unit);
  return finish(
      costs, masses,
      detail::network_simplex(costs, masses, monitor,
                              [&] { return std::vector<double>(static_cast<std::size_t>(pairs.cols()), 0.0); }),
      call);
}

template <class T>
ExactResult choose(const Problem<T>& problem, const Call& call) {
  return is_assignment(problem) ? detail::exact_assignment(problem, call.who, call.options)
                                : detail::exact_transport(problem, call.who, call.options);
}

template <class T>
ExactResult choose_matrix(MatrixView<const T> cost, const Call& call) {
  require(!cost.empty(), call.who, ": cost is empty (", cost.rows, " x ", cost.cols, ")");
  return choose(Problem<T>{.cost_matrix = cost}, call);
}

template <class T>
ExactResult choose(const SparseCost<T>& cost, VectorView<const double> a, VectorView<const double> b,
                   const Call& call) {
  return detail::equal_weights(a, cost.rows, b, cost.cols) ? detail::exact_assignment(cost, a, call.who, call.options)
                                                           : solve_graph(cost, a, b, call);
}

}  // namespace

namespace detail {

template <class T>
ExactResult exact_transport(const Problem<T>& problem, const char* who, const ExactOptions& options) {
  const Call call{who, options};
  check_options(call);
  check(problem, who, Forbidden::allowed);
  ExactResult result;
  with_team(threads_worth(options.context.threads, problem.rows() * problem.cols()),
            [&] { result = problem.is_dense() ? solve_dense(problem, call) : solve_clouds(problem, call); });
  return result;
}
template ExactResult exact_transport(const Problem<float>&, const char*, const ExactOptions&);
template ExactResult exact_transport(const Problem<double>&, const char*, const ExactOptions&);

}  // namespace detail

ExactResult exact(const Problem<float>& problem, const ExactOptions& options) {
  return choose(problem, {"exact", options});
}
ExactResult exact(const Problem<double>& problem, const ExactOptions& options) {
  return choose(problem, {"exact", options});
}
ExactResult exact(MatrixView<const float> cost, const ExactOptions& options) {
  return choose_matrix(cost, {"exact", options});
}
ExactResult exact(MatrixView<const double> cost, const ExactOptions& options) {
  return choose_matrix(cost, {"exact", options});
}
ExactResult exact(const SparseCost<float>& cost, VectorView<const double> a, VectorView<const double> b,
                  const ExactOptions& options) {
  return choose(cost, a, b, {"exact", options});
}
ExactResult exact(const SparseCost<double>& cost, VectorView<const double> a, VectorView<const double> b,
                  const ExactOptions& options) {
  return choose(cost, a, b, {"exact", options});
}
ExactResult network_simplex(const Problem<float>& problem, const ExactOptions& options) {
  return detail::exact_transport(problem, "network_simplex", options);
}
ExactResult network_simplex(const Problem<double>& problem, const ExactOptions& options) {
  return detail::exact_transport(problem, "network_simplex", options);
}
ExactResult network_simplex(const SparseCost<float>& cost, VectorView<const double> a, VectorView<const double> b,
                            const ExactOptions& options) {
  return solve_graph(cost, a, b, {"network_simplex", options});
}
ExactResult network_simplex(const SparseCost<double>& cost, VectorView<const double> a, VectorView<const double> b,
                            const ExactOptions& options) {
  return solve_graph(cost, a, b, {"network_simplex", options});
}

}  // namespace monge::ot
