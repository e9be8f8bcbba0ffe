#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "monge/ot/assignment.h"
#include "monge/ot/core/status.h"
#include "monge/ot/plan.h"
#include "monge/ot/problem.h"

// Exact optimal transport between weighted points, proven.
namespace monge::ot {

struct ExactProgress {
  Index iterations = 0;  // pivots; of an assignment, rows that have a partner
  Index pairs = 0;       // that the plan may choose from so far; of an assignment, 0
  double seconds = 0;    // since the call started
};

struct ExactOptions {
  Context context;                                               // CPU only; results do not depend on the threads
  double max_seconds = std::numeric_limits<double>::infinity();  // wall time; then Status::time_limit
  std::function<bool(const ExactProgress&)> progress = {};       // called at every check; false stops the run
  double stored_bytes = 2.2e9;  // the most that n x m scores between clouds may take; more are made again for each pass
};

struct ExactResult {
  Status status = Status::converged;
  std::vector<std::int32_t> columns =
      {};                      // n: each row's column, where the plan was found as an assignment; else empty
  SparsePlan plan = {};        // at most n + m - 1 entries, all positive
  std::vector<double> f = {};  // n, units of the cost: f_i + g_j <= C_ij, equal up to rounding where the plan is
  std::vector<double> g = {};  // m
  double cost = 0;             // <P, C>
  double marginal_error = 0;   // L1 distance of the plan's marginals from a and b: their rounding
  Certificate certificate;     // of `cost`'s optimum; docs/network_simplex.md has the argument
  Index iterations = 0;        // pivots
};

// The cheapest plan of a balanced problem: min <P, C>, P 1 = a, P^T 1 = b. Clouds with any cost, or a dense cost, where
// +infinity forbids a pair; so does a label penalty of +infinity. No n x m matrix is made between clouds but what
// `stored_bytes` allows. b counts as scaled to the sum of a, from which it may differ by 1e-6. A run that is stopped
// early (time_limit, stopped_by_caller) has a plan all the same, and the certificate still brackets the optimum; where
// pairs are forbidden there may be none yet: then the plan is empty, cost is +infinity and the certificate has kind
// none.
//
// exact() chooses: assign() (ot/assignment.h) where is_assignment() says so, network_simplex() for all else. Throws
// Error: see check(Problem); invalid_argument (sums of the weights: not equal, or below 1e-290), infeasible (every plan
// uses forbidden pairs), out_of_memory.
ExactResult exact(const Problem<float>& problem, const ExactOptions& options = {});
ExactResult exact(const Problem<double>& problem, const ExactOptions& options = {});
ExactResult network_simplex(const Problem<float>& problem, const ExactOptions& options = {});
ExactResult network_simplex(const Problem<double>& problem, const ExactOptions& options = {});

// Whether the problem is one to one, of a cost that assign() can be asked: n = m, weights that are all the same on
// either side (given or not), squared Euclidean, negative_dot (the same plans) or dense costs, no labels.
template <class T>
bool is_assignment(const Problem<T>& problem);

// An assignment of n rows as a plan: an entry of 1/n in each row that has a partner (column >= 0).
SparsePlan assignment_plan(VectorView<const std::int32_t> columns, Index cols);

// Uniform weights on either side: between clouds, cost |x_i - y_j|^2, or of a dense cost.
inline ExactResult exact(MatrixView<const float> x, MatrixView<const float> y, const ExactOptions& options = {}) {
  return exact(Problem<float>{.x = x, .y = y}, options);
}
inline ExactResult exact(MatrixView<const double> x, MatrixView<const double> y, const ExactOptions& options = {}) {
  return exact(Problem<double>{.x = x, .y = y}, options);
}
ExactResult exact(MatrixView<const float> cost, const ExactOptions& options = {});
ExactResult exact(MatrixView<const double> cost, const ExactOptions& options = {});

// Over the pairs of a graph, any number of rows and columns; weights as in a Problem. exact() assigns where there are
// as many columns as rows, and weights that are all the same on either side. Throws as above, and invalid_argument for
// graphs whose offsets or columns make no sense.
ExactResult exact(const SparseCost<float>& cost, VectorView<const double> a = {}, VectorView<const double> b = {},
                  const ExactOptions& options = {});
ExactResult exact(const SparseCost<double>& cost, VectorView<const double> a = {}, VectorView<const double> b = {},
                  const ExactOptions& options = {});
ExactResult network_simplex(const SparseCost<float>& cost, VectorView<const double> a, VectorView<const double> b,
                            const ExactOptions& options = {});
ExactResult network_simplex(const SparseCost<double>& cost, VectorView<const double> a, VectorView<const double> b,
                            const ExactOptions& options = {});

}  // namespace monge::ot
