#pragma once  // private: never installed
#include <cmath>
#include <cstdint>
#include <vector>

#include "monge/ot/laplacian.h"
#include "monge/ot/semidiscrete_fit.h"

namespace monge::ot::detail {

// How masses answer to potentials. Where row i of the noise goes to atom j with probability p_ij, softmax of
// temperature epsilon (of the pair, where the plan of a batch has widths),
//   dm_j / dv_k = -E p_j p_k / epsilon (j != k),   dm_j / dv_j = E p_j (1 - p_j) / epsilon:
// the Laplacian of the graph of borders between cells. It is measured on the batches that are assigned anyway, and with
// it steps follow waves over many cells as fast as what goes on between neighbours: Newton's method, for noise.
class Curvature {
 public:
  // own: N, mass that each atom wins per unit of v_j by itself, more than none: measured links may be missing between
  // far clusters.
  Curvature(const SemidualProblem& problem, std::vector<double> own, const Context& context);

  // What rows of noise say: sums of p_j p_k / epsilon, merged, and the masses these should add up to. width: mean
  // distance of a row from the nearest border of its cell.
  void add(const BatchMass& batch, double width);

  // Atoms that have had next to nothing of the noise of late, if together they weigh more than this.
  std::vector<std::int32_t> lost(double worth) const;

  // The change of v that brings each atom so much mass (N, of sum zero, about).
  std::vector<double> solve(const std::vector<double>& missing) const;

 private:
  std::vector<std::int32_t> order_, place_;  // atoms are kept in kd_order; atom j is place_[j] there
  std::vector<double> own_;
  std::vector<Link> prior_, measured_;
  std::vector<double> had_, due_;  // rows of late, per atom
  double rows_ = 0, least_width_ = HUGE_VAL;
  Multigrid grids_;
};

}  // namespace monge::ot::detail
