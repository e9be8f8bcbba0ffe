#pragma once  // private: never installed
#include <cmath>
#include <cstdint>
#include <limits>

namespace monge::data {

// Elements of files that C++ has no type for.

struct Half {  // IEEE binary16
  std::uint16_t bits;
  explicit operator float() const {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float magnitude = exponent == 31  ? (fraction == 0 ? std::numeric_limits<float>::infinity()
                                                             : std::numeric_limits<float>::quiet_NaN())
                            : exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                            : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
    return bits >> 15 ? -magnitude : magnitude;
  }
  explicit operator double() const { return static_cast<float>(*this); }
};

struct Bool {
  std::uint8_t byte;
  explicit operator float() const { return byte != 0; }
  explicit operator double() const { return byte != 0; }
};

}  // namespace monge::data
