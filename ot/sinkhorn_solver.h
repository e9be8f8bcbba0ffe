#pragma once  // private: never installed
#include <optional>
#include <vector>

#include "monge/ot/core/stop.h"
#include "monge/ot/sinkhorn.h"
#include "monge/ot/sinkhorn_iteration.h"

namespace monge::ot::detail {

// The weights as they are used: of equal sums where nothing may be created or left.
struct SinkhornWeights {
  std::vector<double> a, b;
  double all_a = 0, all_b = 0;

  // Throws invalid_argument if the sums do not allow what the options ask for.
  template <class T>
  SinkhornWeights(const Problem<T>& problem, const SinkhornOptions& options);
  double mass(const SinkhornOptions& options) const;  // about what a plan moves
};

// One side of a problem; unit: of the geometry.
Side sinkhorn_side(std::vector<double> weights, const std::vector<double>& own, double tau, double mass, double unit);

// Keeps the scores where the options, and their costs, say so. dims: of the points.
template <class T>
void store_if_worthwhile(Geometry<T>& geometry, Index dims, const SinkhornOptions& options);

// Says when to stop: between iterations, and through a Stop inside of passes.
class SinkhornMonitor {
 public:
  explicit SinkhornMonitor(const SinkhornOptions& options);
  double seconds() const { return std::chrono::duration<double>(Stop::Clock::now() - start_).count(); }
  const Stop& in_passes() const { return stop_; }

  // Whether to stop after an iteration. ahead: seconds that what has to follow will take, or another iteration is in
  // vain.
  std::optional<Status> stop(const SinkhornProgress& now, double ahead);
  // Why it stopped, if it did.
  Status why() const { return refused_ ? Status::stopped_by_caller : Status::time_limit; }
  // What remains is the certificate; some time more is left for it.
  void begin_certificate();

 private:
  bool ask();

  const SinkhornOptions& options_;
  Stop::Clock::time_point start_ = Stop::Clock::now();
  SinkhornProgress last_;
  bool refused_ = false;  // by the caller
  Stop stop_;
};

// Column potentials in units of the cost, as they travel between a problem and samples of it.
using Potentials = std::vector<double>;

// Solves a problem, starting from a solved sample of it if it is large.
template <class T>
class SinkhornSolver {
 public:
  // Everything but the level is borrowed. The context of the options has the monitor's Stop.
  SinkhornSolver(const Problem<T>& problem, const SinkhornWeights& weights, const SinkhornOptions& options,
                 SinkhornMonitor& monitor, Index level);

  const Geometry<T>& geometry() const { return geometry_; }
  const SinkhornIteration<T>& iteration() const { return iteration_; }
  Status status() const { return status_; }
  double error() const { return error_; }
  Index iterations() const { return iterations_; }
  double typical_cost() const;  // mean modulus of some costs, units of the cost
  double price_of_gap() const;  // of unbalanced masses: what potentials have to be for sums that differ
  // Of a smaller epsilon double would not know the plan: potentials, in units of it, are off by more than 2^-19.
  double least_epsilon() const;

  // From potentials near the solution, or from nothing; epsilon in units of the cost. Stopped, it is at its best look
  // so far, of the epsilon that was then in use; there is none without iterations.
  void solve(const Potentials* start, double epsilon, double tolerance);

  // Of the last look, units of the cost.
  Potentials row_potentials(Potentials* rest = nullptr) const;
  Potentials col_potentials(Potentials* rest = nullptr) const;

 private:
  static constexpr Index large = 2048 * 2048;  // pairs; below that larger epsilons are as good a start as samples
  static constexpr Index ratio = 8;            // of the points of a problem to those of its sample

  Side side(const std::vector<double>& weights, const std::vector<double>& own, double tau) const;
  Index left() const { return options_.max_iterations - iterations_; }
  double in_type(double epsilon) const;
  bool is_large() const { return options_.coarse_start && geometry_.rows() * geometry_.cols() > large; }

  // Of some pairs, units of the geometry.
  std::vector<double> some_costs() const;
  // Their mean distance from their mean: where epsilon starts to fall from.
  double spread_of_costs() const;

  // None, where the sample cannot be solved.
  Potentials start_from_sample(double epsilon);

  // Columns without weight take no part; their potentials are what the rows make of them.
  void extend_to(const std::vector<std::int32_t>& columns, Potentials& g) const;

  // What the rows of the sample make of all columns.
  Potentials extend(const SinkhornSolver& coarse, const std::vector<std::int32_t>& rows, double epsilon) const;

  // False if it has to stop altogether.
  bool iterate(double epsilon, double tolerance, Index most);
  bool fail(Status status);
  // Seconds from the end of an iteration that took `seconds` to the end of all: another one, then the certificate, on
  // the problem itself.
  double ahead(double seconds) const;

  const Problem<T>& problem_;
  const SinkhornWeights weights_;
  const SinkhornOptions& options_;
  SinkhornMonitor& monitor_;
  Index level_;
  Geometry<T> geometry_;
  SinkhornIteration<T> iteration_;
  std::vector<double> potentials_;
  Status status_ = Status::converged;
  double error_ = 0;
  Index iterations_ = 0;
};

}  // namespace monge::ot::detail
