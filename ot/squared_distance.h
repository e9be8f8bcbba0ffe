#pragma once  // private: never installed
#include "monge/ot/core/array.h"

namespace monge::ot::detail {

// |x - y|^2 of d coordinates; relative error below (d + 3) 2^-53, but for underflow.
double squared_distance(const double* x, const double* y, Index d);

}  // namespace monge::ot::detail
