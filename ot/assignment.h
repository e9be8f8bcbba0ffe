#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/status.h"

// Exact assignment: the cheapest way to give each of n rows a column of its own among m >= n, proven.
namespace monge::ot {

struct AssignmentProgress {
  Index assigned = 0;  // rows that have a partner
  Index rows = 0;
  double seconds = 0;  // since the call started
};

struct AssignmentOptions {
  Context context;                                               // between clouds also a GPU: docs/exact.md
  double max_seconds = std::numeric_limits<double>::infinity();  // wall time; then Status::time_limit
  std::function<bool(const AssignmentProgress&)> progress = {};  // called at every check; false stops the run
  double stored_bytes = 2.2e9;  // between clouds, most that n x m floats may take; more are made again for each pass
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

// Between points: the rows of x (n x d) to rows of y (m x d, m >= n), cost |x_i - y_j|^2. Never holds an n x m matrix
// of more than 2.2 GB of floats: what does not fit is computed again. A run that is stopped early (time_limit,
// stopped_by_caller) completes its assignment somehow, and the certificate still brackets the optimum. Throws Error:
// invalid_argument (shapes), not_finite (row and column of the first bad value), out_of_memory, backend_unavailable
// (memory that is not the CPU's).
AssignmentResult assign(MatrixView<const float> x, MatrixView<const float> y, const AssignmentOptions& options = {});
AssignmentResult assign(MatrixView<const double> x, MatrixView<const double> y, const AssignmentOptions& options = {});

// The same for a dense cost (n x m, n <= m), any signs; +infinity forbids a pair. Throws as above, and infeasible when
// no assignment avoids the forbidden pairs. A run that is stopped early on a matrix with forbidden pairs may leave rows
// without a partner: their column is -1, cost is +infinity and the certificate has kind none.
AssignmentResult assign(MatrixView<const float> cost, const AssignmentOptions& options = {});
AssignmentResult assign(MatrixView<const double> cost, const AssignmentOptions& options = {});

// Some pairs with their costs, row by row (CSR); all others are forbidden, and so is a cost of +infinity.
template <class T>
struct SparseCost {
  Index rows = 0, cols = 0;                // rows <= cols
  VectorView<const Index> offsets;         // rows + 1: where each row's pairs begin
  VectorView<const std::int32_t> columns;  // of the pairs
  VectorView<const T> costs;
};
AssignmentResult assign(const SparseCost<float>& cost, const AssignmentOptions& options = {});
AssignmentResult assign(const SparseCost<double>& cost, const AssignmentOptions& options = {});

// The algorithm by name, with the same contract. hungarian: shortest augmenting paths over all pairs, which holds the
// n x m matrix of doubles. auction: from scratch, epsilon scaling on shortlists, and augmenting paths for the rows that
// exact slackness leaves.
AssignmentResult hungarian(MatrixView<const float> x, MatrixView<const float> y, const AssignmentOptions& options = {});
AssignmentResult hungarian(MatrixView<const double> x, MatrixView<const double> y,
                           const AssignmentOptions& options = {});
AssignmentResult hungarian(MatrixView<const float> cost, const AssignmentOptions& options = {});
AssignmentResult hungarian(MatrixView<const double> cost, const AssignmentOptions& options = {});
AssignmentResult auction(MatrixView<const float> x, MatrixView<const float> y, const AssignmentOptions& options = {});
AssignmentResult auction(MatrixView<const double> x, MatrixView<const double> y, const AssignmentOptions& options = {});
AssignmentResult auction(MatrixView<const float> cost, const AssignmentOptions& options = {});
AssignmentResult auction(MatrixView<const double> cost, const AssignmentOptions& options = {});

// Many small problems at once, one per thread: problem b assigns rows [b n, (b + 1) n) of x to the same rows of y, of
// which x and y (B n x d) hold whole numbers. Results as of assign(), columns counted from b n. Progress is told of the
// rows of finished problems; once the run is to end, what is left is completed as by assign().
std::vector<AssignmentResult> assign_batch(MatrixView<const float> x, MatrixView<const float> y, Index n,
                                           const AssignmentOptions& options = {});
std::vector<AssignmentResult> assign_batch(MatrixView<const double> x, MatrixView<const double> y, Index n,
                                           const AssignmentOptions& options = {});

}  // namespace monge::ot
