#pragma once  // private: never installed
#include "monge/ot/exact.h"

namespace monge::ot::detail {

// network_simplex() for another public function, `who`, which messages name.
template <class T>
ExactResult exact_transport(const Problem<T>& problem, const char* who, const ExactOptions& options);

}  // namespace monge::ot::detail
