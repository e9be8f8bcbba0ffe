#pragma once  // private: never installed
#include <vector>

#include "monge/ot/core/backend.h"
#include "monge/ot/geometry.h"
#include "monge/ot/side.h"

namespace monge::ot::detail {

// Sinkhorn's iteration as a map of the reduced column potentials G to themselves: rows settle, then columns. All in
// units of the geometry.
template <class T>
class SinkhornIteration {
 public:
  SinkhornIteration(const Geometry<T>& geometry, Side rows, Side cols, const Context& context);

  // What a look at the plan of some G shows.
  struct Look {
    double epsilon = 0;
    std::vector<T> v;                // G + epsilon log b, as the passes saw it
    std::vector<double> fitted;      // F that makes rows send a: softmin
    Side::Settled rows;              // F in force, masses of the rows
    std::vector<double> col_masses;  // received by the columns
    std::vector<double> residual;    // what the plain iteration adds to G
  };

  // Looks at the plan that G gives; epsilon must be a T. Returns the L1 error of the column masses, the rows being as
  // they should: infinite where masses are out of range, NaN where potentials are no numbers. When the context's Stop
  // throws, the last look stays what it was.
  double look(const std::vector<double>& G, double epsilon);

  const Look& last() const { return last_; }
  void go_back_to(const Look& look) { last_ = look; }

  // Of the last look:
  const std::vector<double>& residual() const { return last_.residual; }
  const std::vector<double>& fitted() const { return last_.fitted; }
  const Side::Settled& row_state() const { return last_.rows; }
  const std::vector<double>& col_masses() const { return last_.col_masses; }
  const std::vector<T>& biases() const { return last_.v; }
  double col_potential(Index j) const;  // G_j, as the passes saw it
  double epsilon() const { return last_.epsilon; }

  const Geometry<T>& geometry() const { return geometry_; }
  const Side& rows() const { return rows_; }
  const Side& cols() const { return cols_; }
  const Context& context() const { return context_; }

 private:
  const Geometry<T>& geometry_;
  Side rows_, cols_;
  Context context_;
  Look last_, next_;  // the latter is being made
};

}  // namespace monge::ot::detail
