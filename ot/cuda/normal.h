#pragma once  // private: never installed
#include <math.h>

#include <cstdint>

#include "monge/ot/core/random.h"
#include "monge/ot/cuda/half.h"

// The normals of ot/core/random.cpp, one block of a stream at a time, on host and device: the same operations in the
// same order, each rounded as IEEE says and none fused, so the same bits.
namespace monge::ot::cuda {

#ifdef __CUDA_ARCH__
MONGE_HOST_DEVICE inline float times(float a, float b) { return __fmul_rn(a, b); }
MONGE_HOST_DEVICE inline float plus(float a, float b) { return __fadd_rn(a, b); }
MONGE_HOST_DEVICE inline float root(float a) { return __fsqrt_rn(a); }
#else
MONGE_HOST_DEVICE inline float times(float a, float b) { return a * b; }
MONGE_HOST_DEVICE inline float plus(float a, float b) { return a + b; }
MONGE_HOST_DEVICE inline float root(float a) { return sqrtf(a); }
#endif

// a x + b, rounded twice.
MONGE_HOST_DEVICE inline float step(float a, float x, float b) { return plus(times(a, x), b); }

// Natural logarithm of normal numbers (Cephes logf).
MONGE_HOST_DEVICE inline float log_of(float x) {
  const std::uint32_t root_half = 0x3F3504F3u, shifted = bits_of(x) - root_half;
  const float e = static_cast<float>(static_cast<std::int32_t>(shifted) >> 23);
  const float f = plus(float_of((shifted & 0x007FFFFFu) + root_half), -1.0f), z = times(f, f);
  float p = step(7.0376836292e-2f, f, -1.1514610310e-1f);
  p = step(p, f, 1.1676998740e-1f);
  p = step(p, f, -1.2420140846e-1f);
  p = step(p, f, 1.4249322787e-1f);
  p = step(p, f, -1.6668057665e-1f);
  p = step(p, f, 2.0000714765e-1f);
  p = step(p, f, -2.4999993993e-1f);
  p = step(p, f, 3.3333331174e-1f);
  float y = times(times(p, f), z);
  y = plus(y, times(e, -2.12194440e-4f));
  y = plus(y, -times(z, 0.5f));
  return plus(plus(f, y), times(e, 0.693359375f));
}

// radius times the cosine and the sine of 2 pi w / 2^32, whose quarter turn is split off in integers.
MONGE_HOST_DEVICE inline void turn(float radius, std::uint32_t w, float& cosine, float& sine) {
  const std::uint32_t quarter = (w + (1u << 29)) >> 30;
  const float x =
      times(static_cast<float>(static_cast<std::int32_t>(w - (quarter << 30))), 2 * 3.14159265358979323846f * 0x1p-32f);
  const float z = times(x, x);
  float s = step(-1.9515295891e-4f, z, 8.3321608736e-3f);
  s = step(s, z, -1.6666654611e-1f);
  s = plus(times(times(s, z), x), x);
  float c = step(2.443315711809948e-5f, z, -1.388731625493765e-3f);
  c = step(c, z, 4.166664568298827e-2f);
  c = plus(plus(times(times(c, z), z), -times(z, 0.5f)), 1.0f);
  const bool swap = quarter & 1u;
  cosine = times(radius, float_of(bits_of(swap ? s : c) ^ (((quarter + 1) << 30) & 0x80000000u)));
  sine = times(radius, float_of(bits_of(swap ? c : s) ^ ((quarter << 30) & 0x80000000u)));
}

// Box-Muller: a pair of normals from two words. The radius takes 31 bits as a uniform in (0, 1].
MONGE_HOST_DEVICE inline void normal_pair(std::uint32_t radius_word, std::uint32_t angle_word, float& first,
                                          float& second) {
  const float u = step(static_cast<float>(static_cast<std::int32_t>(radius_word >> 1)), 0x1p-31f, 0x1p-32f);
  turn(root(times(-2.0f, log_of(u))), angle_word, first, second);
}

// Elements 4 block ... 4 block + 3 of the stream's normals.
MONGE_HOST_DEVICE inline void normals_of(const Rng& rng, std::uint64_t block, float (&out)[4]) {
  const Rng::Block words = rng.bits(block);
  normal_pair(words.w[0], words.w[1], out[0], out[1]);
  normal_pair(words.w[2], words.w[3], out[2], out[3]);
}

}  // namespace monge::ot::cuda
