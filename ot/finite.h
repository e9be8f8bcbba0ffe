#pragma once
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "monge/ot/blocks.h"
#include "monge/ot/core/array.h"
#include "monge/ot/core/error.h"

namespace monge {

// Throws Error(not_finite) naming the row and column of the first NaN or infinity in x (in row order).
// `who` names the function and the argument: "exact: x".
template <class T>
void require_finite(MatrixView<const T> x, const char* who) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  const Bits exponent = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());  // all ones
  std::atomic<bool> good = true;
  for_blocks(x.rows, x.cols, [&](Index, Index begin, Index end) {
    Bits bad = 0;
    for (Index i = begin; i < end; ++i) {
      const T* row = x.row(i);
      for (Index k = 0; k < x.cols; ++k)
        bad |= (std::bit_cast<Bits>(row[k]) & exponent) == exponent ? Bits(1) : Bits(0);
    }
    if (bad) good = false;
  });
  for (Index i = 0; !good && i < x.rows; ++i) {
    for (Index k = 0; k < x.cols; ++k)
      if (!std::isfinite(x(i, k)))
        throw Error(Errc::not_finite, concat(who, " is ", x(i, k), " in row ", i, ", column ", k));
  }
}

// Throws Error(not_finite) likewise; but +infinity is no fault: of costs it forbids a pair.
template <class T>
void require_costs(MatrixView<const T> cost, const char* who) {
  constexpr T least = std::numeric_limits<T>::lowest();
  for (Index i = 0; i < cost.rows; ++i) {
    bool good = true;
    for (Index j = 0; j < cost.cols; ++j) good &= cost(i, j) >= least;
    for (Index j = 0; !good && j < cost.cols; ++j)
      if (!(cost(i, j) >= least))
        throw Error(Errc::not_finite, concat(who, " is ", cost(i, j), " in row ", i, ", column ", j));
  }
}

}  // namespace monge
