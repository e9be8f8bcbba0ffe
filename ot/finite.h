#pragma once
#include <atomic>
#include <cmath>
#include <limits>

#include "monge/ot/blocks.h"
#include "monge/ot/core/array.h"
#include "monge/ot/core/error.h"

namespace monge {

// Throws Error(not_finite) naming the row and column of the first NaN or infinity in x (in row order).
// `who` names the function and the argument: "exact: x".
template <class T>
void require_finite(MatrixView<const T> x, const char* who) {
  std::atomic<bool> good = true;
  for_blocks(x.rows, x.cols, [&](Index, Index begin, Index end) {
    bool bad = false;
    for (Index i = begin; i < end; ++i) {
      const T* row = x.row(i);
      for (Index k = 0; k < x.cols; ++k) bad |= !(std::abs(row[k]) <= std::numeric_limits<T>::max());
    }
    if (bad) good = false;
  });
  for (Index i = 0; !good && i < x.rows; ++i) {
    for (Index k = 0; k < x.cols; ++k)
      if (!std::isfinite(x(i, k)))
        throw Error(Errc::not_finite, concat(who, " is ", x(i, k), " in row ", i, ", column ", k));
  }
}

}  // namespace monge
