#pragma once  // private: never installed
#include <chrono>
#include <optional>
#include <vector>

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

// Says when to stop.
class SinkhornMonitor {
 public:
  explicit SinkhornMonitor(const SinkhornOptions& options) : options_(options) {}
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  std::optional<Status> stop(const SinkhornProgress& now) const;

 private:
  using Clock = std::chrono::steady_clock;
  const SinkhornOptions& options_;
  Clock::time_point start_ = Clock::now();
};

// Column potentials in units of the cost, as they travel between a problem and samples of it.
using Potentials = std::vector<double>;

// Solves a problem, starting from a solved sample of it if it is large.
template <class T>
class SinkhornSolver {
 public:
  // Everything but the level is borrowed.
  SinkhornSolver(const Problem<T>& problem, const SinkhornWeights& weights, const SinkhornOptions& options,
                 const SinkhornMonitor& monitor, Index level);

  const Geometry<T>& geometry() const { return geometry_; }
  const SinkhornIteration<T>& iteration() const { return iteration_; }
  Status status() const { return status_; }
  double error() const { return error_; }
  Index iterations() const { return iterations_; }
  double typical_cost() const;  // mean modulus of some costs, units of the cost

  // From potentials near the solution, or from nothing; epsilon in units of the cost.
  void solve(const Potentials* start, double epsilon, double tolerance);

  // Of the last look, units of the cost.
  Potentials row_potentials() const;
  Potentials col_potentials() const;

 private:
  static constexpr Index large = 2048 * 2048;  // pairs; below that larger epsilons are as good a start as samples
  static constexpr Index ratio = 8;            // of the points of a problem to those of its sample

  Side side(const std::vector<double>& weights, const std::vector<double>& own, double tau) const;
  double in_type(double epsilon) const;
  bool is_large() const { return options_.coarse_start && geometry_.rows() * geometry_.cols() > large; }

  // Of some pairs, units of the geometry.
  std::vector<double> some_costs() const;
  // Their mean distance from their mean: where epsilon starts to fall from.
  double spread_of_costs() const;

  Potentials start_from_sample(double epsilon);

  // Columns without weight take no part; their potentials are what the rows make of them.
  void extend_to(const std::vector<std::int32_t>& columns, Potentials& g) const;

  // What the rows of the sample make of all columns.
  Potentials extend(const SinkhornSolver& coarse, const std::vector<std::int32_t>& rows, double epsilon) const;

  // False if it has to stop altogether.
  bool iterate(double epsilon, double tolerance, Index most);
  bool fail(Status status);
  // At what there is, when it has to stop early.
  void look(double epsilon);

  const Problem<T>& problem_;
  const SinkhornWeights weights_;
  const SinkhornOptions& options_;
  const SinkhornMonitor& monitor_;
  Index level_;
  Geometry<T> geometry_;
  SinkhornIteration<T> iteration_;
  std::vector<double> potentials_;
  Status status_ = Status::converged;
  double error_ = 0;
  Index iterations_ = 0;
};

}  // namespace monge::ot::detail
