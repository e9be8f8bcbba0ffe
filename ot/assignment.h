#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/status.h"

namespace monge::ot {

struct AssignmentProgress {
  Index assigned = 0;  // rows that have a partner
  Index rows = 0;
  double seconds = 0;  // since the call started
};

struct AssignmentOptions {
  Context context;                                               // CPU only; the search itself runs on one thread
  double max_seconds = std::numeric_limits<double>::infinity();  // wall time; then Status::time_limit
  std::function<bool(const AssignmentProgress&)> progress;       // called at every check; false stops the run
};

// An optimal assignment of n rows to m >= n columns, each row of mass 1/n.
struct AssignmentResult {
  Status status = Status::converged;
  std::vector<std::int32_t> columns;  // n: each row's column, all different
  std::vector<double> f;              // n: row potentials; f_i + g_j <= C_ij up to rounding, equal on the pairs chosen
  std::vector<double> g;              // m: column potentials; n < m: g <= 0, and 0 where no row went
  double cost = 0;                    // mean cost over the rows, <P, C>
  Certificate certificate;            // of `cost`'s optimum; docs/exact.md has the argument
};

// The cheapest one-to-one assignment of the rows of x (n x d) to rows of y (m x d, m >= n), cost |x_i - y_j|^2.
// Holds an n x m matrix of doubles. A run that is stopped early (time_limit, stopped_by_caller) completes its
// assignment greedily, and the certificate still brackets the optimum. Throws Error: invalid_argument (shapes),
// not_finite (row and column of the first bad value), out_of_memory, backend_unavailable (memory that is not the
// CPU's).
AssignmentResult assign(MatrixView<const float> x, MatrixView<const float> y, const AssignmentOptions& options = {});
AssignmentResult assign(MatrixView<const double> x, MatrixView<const double> y, const AssignmentOptions& options = {});

// The same for a dense cost (n x m, n <= m), any signs; +infinity forbids a pair. Throws as above, and infeasible when
// no assignment avoids the forbidden pairs. A run that is stopped early on a matrix with forbidden pairs may leave rows
// without a partner: their column is -1, cost is +infinity and the certificate has kind none.
AssignmentResult assign(MatrixView<const float> cost, const AssignmentOptions& options = {});
AssignmentResult assign(MatrixView<const double> cost, const AssignmentOptions& options = {});

}  // namespace monge::ot
