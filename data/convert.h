#pragma once  // private: never installed
#include <cmath>
#include <type_traits>

#include "monge/ot/core/array.h"

namespace monge::data {

// to[i] = from[i], rounded to the nearest T. Returns the first i whose finite value is too large for T, or -1.
template <class S, class T>
Index convert(const S* from, Index count, T* to) {
  for (Index i = 0; i < count; ++i) {
    to[i] = static_cast<T>(from[i]);
    if constexpr (std::is_floating_point_v<S> && sizeof(S) > sizeof(T))
      if (std::isinf(to[i]) && !std::isinf(from[i])) return i;
  }
  return -1;
}

}  // namespace monge::data
