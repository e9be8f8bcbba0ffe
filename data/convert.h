#pragma once  // private: never installed
#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>

#include "monge/ot/core/array.h"
#include "monge/ot/core/error.h"

namespace monge::data {

// Whether a double holds an integer exactly: its digits, in base 2, are at most 53.
template <class S>
bool held_by_double(S value) {
  const auto bits = static_cast<std::uint64_t>(value);
  const std::uint64_t magnitude = value < 0 ? 0 - bits : bits;
  return magnitude == 0 || std::bit_width(magnitude) - std::countr_zero(magnitude) <= 53;
}

// to[i] = from[i], rounded to the nearest T. Returns the first i whose finite value is too large for T, or an integer
// that even a double would round; -1: none.
template <class S, class T>
Index convert(const S* from, Index count, T* to) {
  for (Index i = 0; i < count; ++i) {
    to[i] = static_cast<T>(from[i]);
    if constexpr (std::is_floating_point_v<S> && sizeof(S) > sizeof(T))
      if (std::isinf(to[i]) && !std::isinf(from[i])) return i;
    if constexpr (std::is_integral_v<S> && sizeof(S) == 8)
      if (!held_by_double(from[i])) return i;
  }
  return -1;
}

// What convert has against a value, for "row 1, column 2: ".
template <class T, class S>
std::string why_not_converted(S value) {
  if constexpr (std::is_integral_v<S>)
    return concat(value, " has more digits than a 64-bit float: subtract an offset, or save as float64");
  else
    return concat(static_cast<double>(value), " is too large for a ", 8 * sizeof(T), "-bit float");
}

}  // namespace monge::data
