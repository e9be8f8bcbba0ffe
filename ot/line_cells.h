#pragma once  // private: never installed
#include <vector>

#include "monge/ot/atoms.h"

namespace monge::ot::detail {

// Where <x, y_j> + v_j is the largest score of atom j's label, on a line: from low to high; empty if high <= low.
struct Interval {
  double low, high;
};
std::vector<Interval> line_cells(const AtomSet& atoms, const std::vector<double>& v);

// A draw from N(0,1) given that it lies between; u uniform in [0, 1).
double draw_between(const Interval& cell, double u);

}  // namespace monge::ot::detail
