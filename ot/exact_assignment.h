#pragma once  // private: never installed
#include "monge/ot/exact.h"

namespace monge::ot::detail {

// Whether n rows and as many columns all weigh the same on either side; of weights that solvers take, and that balance.
bool equal_weights(VectorView<const double> a, Index n, VectorView<const double> b, Index m);

// exact() of a problem that is_assignment() knows. `who` is the public function, for messages.
template <class T>
ExactResult exact_assignment(const Problem<T>& problem, const char* who, const ExactOptions& options);

// exact() of a square graph, whose weights are equal.
template <class T>
ExactResult exact_assignment(const SparseCost<T>& cost, VectorView<const double> a, const char* who,
                             const ExactOptions& options);

}  // namespace monge::ot::detail
