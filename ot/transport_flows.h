#pragma once  // private: never installed
#include <vector>

#include "monge/ot/equal_points.h"
#include "monge/ot/plan.h"
#include "monge/ot/problem.h"
#include "monge/ot/transport_masses.h"
#include "monge/ot/transport_tree.h"

// Solutions of transport problems as masses between points.
namespace monge::ot::detail {

struct Flow {
  Arc arc;  // between points
  Int128 mass = 0;
};

// What moves in a basis, row by row; its nodes are the points that take part.
std::vector<Flow> flows_of(const Basis& basis, const TransportMasses& masses);

// A problem between distinct points, of labels as of coordinates, whose masses are the sums of those of equal ones. Of
// a dense cost equal rows and equal columns are the same points.
template <class T>
class DistinctProblem {
 public:
  // Borrows what the problem borrows.
  DistinctProblem(const Problem<T>& problem, const TransportMasses& masses, const Context& context);

  const Problem<T>& problem() const { return problem_; }
  const TransportMasses& masses() const { return masses_; }

  // Equal points send and receive in their order: n + m - 1 flows at most, if those between distinct points are a tree.
  std::vector<Flow> flows_of_all(std::vector<Flow> flows) const;
  // To each point what its group has.
  std::vector<double> of_rows(std::vector<double> values) const { return of_all(rows_, std::move(values)); }
  std::vector<double> of_cols(std::vector<double> values) const { return of_all(cols_, std::move(values)); }

 private:
  static std::vector<double> of_all(const EqualPoints& points, std::vector<double> values);

  const TransportMasses& all_;
  EqualPoints rows_, cols_;
  bool as_given_ = false;  // nothing is equal
  Matrix<T> x_, y_, cost_;
  std::vector<std::int32_t> x_labels_, y_labels_;
  std::vector<double> a_, b_;
  TransportMasses masses_;
  Problem<T> problem_;
};

// Positive masses as a plan, in the units of the weights, and L1 distance of its marginals from the masses.
SparsePlan plan_of(const std::vector<Flow>& flows, const TransportMasses& masses, Index rows, Index cols);
double marginal_error(const TransportMasses& masses, const SparsePlan& plan);

}  // namespace monge::ot::detail
