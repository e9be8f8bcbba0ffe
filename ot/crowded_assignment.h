#pragma once  // private: never installed
#include <optional>

#include "monge/ot/assignment_solve.h"

namespace monge::ot::detail {

// Of as many rows as columns, where many of either are equal points, or equal in all costs: a plan between the distinct
// ones, whose masses are whole numbers, gives each row one column. Lists would have to hold all equals, and prices
// could not tell them apart. Nothing where few are equal; then all pairs or lists of them are faster.
template <class T>
std::optional<AssignmentResult> assign_crowded(MatrixView<const T> x, MatrixView<const T> y,
                                               const AssignmentCall& call);
template <class T>
std::optional<AssignmentResult> assign_crowded(MatrixView<const T> cost, const AssignmentCall& call);

}  // namespace monge::ot::detail
