#pragma once  // private: never installed
#include <vector>

#include "monge/ot/assignment.h"
#include "monge/ot/core/stop.h"

// The search behind assign(): phases of auction, then shortest augmenting paths on a dense matrix, after Jonker and
// Volgenant (A shortest augmenting path algorithm for dense and sparse linear assignment problems, Computing 38, 1987).
namespace monge::ot::detail {

// Asks the caller and the clock whether to go on: between steps of a search, and through a Stop inside of passes.
class Monitor {
 public:
  Monitor(const AssignmentOptions& options, Index rows, const char* who);
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  const char* who() const { return who_; }              // the public function, for messages
  bool stop(Index assigned);                            // calls progress; true once the run is to end
  Status status() const { return status_; }             // converged, or why it is to end
  const Stop& in_passes() const { return in_passes_; }  // asks like stop(0)

 private:
  const AssignmentOptions& options_;
  Index rows_;
  const char* who_;
  Stop::Clock::time_point start_ = Stop::Clock::now();
  Status status_ = Status::converged;
  Stop in_passes_;
};

// A partial assignment and the column potentials v it is tight for: an assigned row's column attains min_j c_ij - v_j.
struct Assignment {
  std::vector<Index> column_of;  // n, -1 = none
  std::vector<Index> row_of;     // m, -1 = none
  std::vector<double> v;         // m; for n < m never positive, and 0 where no row is
};

// Assigns every row of `cost` (n x m, n <= m, finite or +infinity, no row all infinite, magnitudes below 2^900) unless
// the monitor ends the run. v: a start for the column potentials, m values, used if n = m; empty = zeros. Throws
// Error(infeasible).
template <class T>
Assignment search(MatrixView<const T> cost, std::vector<double> v, Monitor& monitor);

// Gives each row that is left the free column cheapest to it; false if a row may take none of those.
template <class T>
bool complete(MatrixView<const T> cost, Assignment& assignment);

}  // namespace monge::ot::detail
