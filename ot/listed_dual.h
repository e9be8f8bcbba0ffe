#pragma once  // private: never installed
#include <cstdint>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/device.h"
#include "monge/ot/laplacian.h"
#include "monge/ot/shortlists.h"

namespace monge::ot::detail {

// Entropic transport over shortlists, whose other pairs are left out, as a concave function of the column potentials:
//
//   D(v) = sum_i a_i f_i + sum_j b_j v_j,   f_i = -epsilon_i log sum_j exp(-(c_ij - v_j) / epsilon_i).
//
// Each row has a temperature of its own, as tails are many times as sparse as the middle of a cloud. Columns with
// numbers next to each other should lie close (kd_order).
class ListedDual {
 public:
  static constexpr Index most_listed = 16;

  // lists, a, b: borrowed; a, b: the masses of rows and columns. epsilon: of each row, positive.
  ListedDual(const Shortlists& lists, const std::vector<double>& a, const std::vector<double>& b,
             std::vector<double> epsilon, const Context& context);

  // Passes of Sinkhorn's for the columns, steps `omega` times as long: they put right what lies close together.
  void sinkhorn(int passes, double omega, std::vector<double>& v);
  // A step of Newton's, which moves the mass of whole regions, and passes after it, if D has risen then; else a
  // fraction of it, or none. farthest: at most so many temperatures, as lists are good for v nearby.
  void newton(int passes, double omega, double farthest, std::vector<double>& v);
  // How much mass groups of neighbouring columns have too much or lack, as a share of all.
  double imbalance(const std::vector<double>& v);

 private:
  double evaluate(const std::vector<double>& v);  // D; the plan and its column masses beside it
  void multiply(const std::vector<double>& z, std::vector<double>& out);
  Multigrid between_groups() const;
  std::vector<double> newton_step();
  template <class Body>
  void for_tiles(Index count, const Body& body) const;

  const Shortlists& lists_;
  const std::vector<double>&a_, &b_;
  const std::vector<double> epsilon_;
  const Context& context_;
  Index n_, m_;
  double usual_ = 0;                  // temperature
  std::vector<std::int32_t> column_;  // n x most_listed, as `plan_`
  std::vector<Index> first_;          // where each column's entries begin
  std::vector<std::uint32_t> entry_;  // into `plan_`, by column
  std::vector<float> plan_;
  std::vector<double> mass_, heat_;  // of columns: what they get, and the mean temperature of what they get
  std::vector<double> own_;          // added to the curvature's diagonal
  std::vector<double> row_sum_;
};

}  // namespace monge::ot::detail
