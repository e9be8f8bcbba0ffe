#pragma once  // private: never installed
#include <algorithm>
#include <cmath>

#include "monge/ot/core/array.h"

namespace monge::ot::detail {

// A float product of points x, y in so many dimensions is within so many 2^-24 |x| |y| of the exact one: of sums in any
// order, d, or products of digits (docs/passes.md).
inline double product_error(Index dims) {
  const double d = static_cast<double>(dims);
  return std::max(d, 4.2 * std::sqrt(d) + 0.1 * d + 8);
}

}  // namespace monge::ot::detail
