#pragma once  // private: never installed
#include <functional>
#include <vector>

#include "monge/ot/assignment.h"

namespace monge::ot::detail {

// Solves problems of n <= most_assigned points each (ot/core/backend.h) in the room of context.device, some hundreds at
// a time, as long as go_on(rows of those that are solved) says so. Returns how many were. x, y: checked.
template <class T>
Index assign_in_room(MatrixView<const T> x, MatrixView<const T> y, Index n, const Context& context,
                     const std::function<bool(Index)>& go_on, std::vector<AssignmentResult>& results);

}  // namespace monge::ot::detail
