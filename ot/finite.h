#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "monge/ot/core/array.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"

namespace monge {

// Throws Error(not_finite) naming the row and column of the first NaN or infinity in x (in row order).
// `who` names the function and the argument: "exact: x".
template <class T>
void require_finite(MatrixView<const T> x, const char* who) {
  constexpr Index block = 256;
  std::atomic<bool> good = true;
  parallel_for(threads_worth(0, x.rows * x.cols / 4), (x.rows + block - 1) / block, [&](Index first, int) {
    bool bad = false;
    for (Index i = first * block; i < std::min(x.rows, (first + 1) * block); ++i) {
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
