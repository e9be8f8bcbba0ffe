#pragma once  // private: never installed
#include <string.h>

#include <cstdint>

#include "monge/ot/core/random.h"

// A float as two scaled halves, for products on tensor cores. On host and device, the same bits.
namespace monge::ot::cuda {

MONGE_HOST_DEVICE inline std::uint32_t bits_of(float x) {
  std::uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
MONGE_HOST_DEVICE inline float float_of(std::uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// Floats as integers of the same order; from_order takes them back.
MONGE_HOST_DEVICE inline std::int32_t order_of(float x) {
  const auto bits = static_cast<std::int32_t>(bits_of(x));
  return bits < 0 ? bits ^ 0x7fffffff : bits;
}
MONGE_HOST_DEVICE inline float from_order(std::int32_t order) {
  return float_of(static_cast<std::uint32_t>(order < 0 ? order ^ 0x7fffffff : order));
}

// 2^e, -126 <= e <= 127.
MONGE_HOST_DEVICE inline float power_of_two(int e) { return float_of(static_cast<std::uint32_t>(e + 127) << 23); }

// The IEEE binary16 nearest to x, ties to even, |x| < 65520.
MONGE_HOST_DEVICE inline std::uint16_t half_bits(float x) {
  const std::uint32_t bits = bits_of(x), sign = (bits >> 16) & 0x8000u, size = bits & 0x7fffffffu;
  if (size < 0x38800000u) {  // below 2^-14: a multiple of 2^-24, which an addition to 1/2 finds
    return static_cast<std::uint16_t>(sign | (bits_of(float_of(size) + 0.5f) - bits_of(0.5f)));
  }
  const std::uint32_t odd = (size >> 13) & 1u;
  return static_cast<std::uint16_t>(sign | ((size - 0x38000000u + 0xfffu + odd) >> 13));
}

MONGE_HOST_DEVICE inline float half_value(std::uint16_t h) {
  const std::uint32_t sign = (h & 0x8000u) << 16, size = h & 0x7fffu;
  const float value = size < 0x400u ? static_cast<float>(size) * 0x1p-24f : float_of((size << 13) + 0x38000000u);
  return float_of(bits_of(value) | sign);
}

// x_k = 2^exponent (high_k + low_k) with max |high_k| in [2^7, 2^8]: high is x to 11 bits, low what is left, to 11 bits
// or 2^-25, whichever is coarser, so |x_k - 2^exponent (high_k + low_k)| <= 2^-22 |x_k| + 2^-32 max |x|.
struct Halves {
  std::uint16_t high, low;
};

// The exponent for rows of this largest modulus; 0 for a row of zeros.
MONGE_HOST_DEVICE inline int split_exponent(float largest) {
  if (largest == 0) return 0;
  int e = static_cast<int>(bits_of(largest) >> 23) - 127;                       // largest < 2^(e + 1)
  if (e == -127) e = static_cast<int>(bits_of(largest * 0x1p23f) >> 23) - 150;  // it is subnormal
  return e - 7;
}

// 2^-exponent need not be a float, so it is multiplied by in two steps.
MONGE_HOST_DEVICE inline Halves split(float x, int exponent) {
  const int half = -exponent / 2;
  const float scaled = x * power_of_two(half) * power_of_two(-exponent - half);
  const std::uint16_t high = half_bits(scaled);
  return {high, half_bits(scaled - half_value(high))};
}

}  // namespace monge::ot::cuda
