#include "monge/ot/line_plan.h"

#include <algorithm>
#include <numeric>

namespace monge::ot::detail {
namespace {

// Places of those that take part, by where they are.
std::vector<std::int32_t> in_order(MatrixView<const double> points, const std::vector<std::int32_t>& taking_part) {
  std::vector<std::int32_t> order(taking_part.size());
  std::iota(order.begin(), order.end(), 0);
  const auto at = [&](std::int32_t place) { return points(taking_part[place], 0); };
  std::sort(order.begin(), order.end(), [&](std::int32_t i, std::int32_t j) { return at(i) < at(j); });
  return order;
}

}  // namespace

bool is_on_line(const Problem<double>& p) {
  return !p.is_dense() && p.dims() == 1 && p.x_labels.empty() && p.cost != Cost::cosine;
}

// Hoffman, On simple linear programming problems (1963): costs are a Monge array once both sides are sorted, so that
// any staircase through it is optimal.
std::vector<MassOnArc> line_plan(const Problem<double>& problem, const TransportMasses& masses,
                                 const PairCosts& pairs) {
  const std::vector<std::int32_t> rows = in_order(problem.x, masses.rows), cols = in_order(problem.y, masses.cols);
  std::vector<Int128> supply(masses.supply), demand(masses.demand);
  std::vector<MassOnArc> plan;
  const auto add = [&](std::int32_t r, std::int32_t c, Int128 mass) {
    plan.push_back({{r, c, pairs.cost(masses.rows[r], masses.cols[c])}, mass});
  };
  for (std::size_t i = 0, j = 0; i < rows.size() && j < cols.size();) {
    const std::int32_t r = rows[i], c = cols[j];
    const Int128 mass = std::min(supply[r], demand[c]);
    add(r, c, mass);
    supply[r] -= mass, demand[c] -= mass;
    const bool row_ends = supply[r] == 0, col_ends = demand[c] == 0;
    if (row_ends && col_ends && i + 1 < rows.size() && j + 1 < cols.size())
      add(r, cols[j + 1], 0), add(rows[i + 1], c, 0);
    i += row_ends, j += col_ends;
  }
  return plan;
}

}  // namespace monge::ot::detail
