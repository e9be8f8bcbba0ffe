#pragma once  // private: never installed
#include <optional>

#include "monge/ot/exact.h"

namespace monge::ot::detail {

// What each of n rows weighs, and all of them, where all rows weigh the same and all of as many columns do.
struct EqualWeights {
  double each = 1, total = 1;
};

// Nothing if weights differ, are none that a solver takes, or do not sum to the same.
std::optional<EqualWeights> equal_weights(VectorView<const double> a, Index n, VectorView<const double> b, Index m);

// exact() of a problem that is_assignment() knows. `who` is the public function, for messages.
template <class T>
ExactResult exact_assignment(const Problem<T>& problem, const char* who, const ExactOptions& options);

}  // namespace monge::ot::detail
