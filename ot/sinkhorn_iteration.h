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

  // Looks at the plan that G gives; epsilon must be a T. Returns the L1 error of the column masses, the rows being as
  // they should.
  double look(const std::vector<double>& G, double epsilon);

  // Of the last look:
  const std::vector<double>& residual() const { return residual_; }      // what the plain iteration adds to G
  const std::vector<double>& fitted() const { return fitted_; }          // F that makes rows send a: softmin
  const Side::Settled& row_state() const { return rows_state_; }         // F in force, masses of the rows
  const std::vector<double>& col_masses() const { return col_masses_; }  // received by the columns
  const std::vector<T>& biases() const { return v_; }                    // G + epsilon log b as the passes saw it
  double col_potential(Index j) const;                                   // G_j, as the passes saw it
  double epsilon() const { return epsilon_; }

  const Geometry<T>& geometry() const { return geometry_; }
  const Side& rows() const { return rows_; }
  const Side& cols() const { return cols_; }
  const Context& context() const { return context_; }

 private:
  const Geometry<T>& geometry_;
  Side rows_, cols_;
  Context context_;
  double epsilon_ = 0;
  std::vector<T> v_;
  std::vector<double> fitted_, col_masses_, residual_;
  Side::Settled rows_state_;
};

}  // namespace monge::ot::detail
