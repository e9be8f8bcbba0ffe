#pragma once  // private: never installed
#include "monge/ot/core/array.h"

namespace monge::ot::detail {

// |x - y|^2, d coordinates each, within (d + 2) roundings of each difference's square.
double squared_distance(const double* x, const double* y, Index d);

}  // namespace monge::ot::detail
