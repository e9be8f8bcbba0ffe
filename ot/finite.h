#pragma once
#include <cmath>
#include <limits>

#include "monge/ot/core/array.h"
#include "monge/ot/core/error.h"

namespace monge {

// Throws Error(not_finite) naming the row and column of the first NaN or infinity in x (in row order).
// `who` names the function and the argument: "exact: x".
template <class T>
void require_finite(MatrixView<const T> x, const char* who) {
  for (Index i = 0; i < x.rows; ++i) {
    bool bad = false;
    for (Index k = 0; k < x.cols; ++k) bad |= !(std::abs(x(i, k)) <= std::numeric_limits<T>::max());
    if (!bad) continue;
    for (Index k = 0; k < x.cols; ++k)
      if (!std::isfinite(x(i, k)))
        throw Error(Errc::not_finite, concat(who, " is ", x(i, k), " in row ", i, ", column ", k));
  }
}

}  // namespace monge
