#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "monge/ot/cpu/digits.h"

#define MONGE_AMX __attribute__((target("amx-tile,amx-int8,avx512f,avx512bw,avx512vl,avx512dq")))

namespace monge::ot::cpu {
namespace {

// A tile: 16 rows, or columns, of 64 digits; steps are of 64 values.
constexpr Index block = Digits::block, step = 64, tile_bytes = block * step;
constexpr Index digits = 3;
constexpr Index orders = 4;  // of products of digits: their numbers, 0 to 2, add up to 0, 1, 2 or 3

Index round_up(Index rows) { return (rows + block - 1) / block * block; }

// Lets this process use the tiles' registers; Linux asks for that.
bool request_tiles() {
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

// The exponent e of a row, and that all of its digits stay below 128.
MONGE_AMX int exponent_of(const float* x, Index d) {
  __m512 most = _mm512_setzero_ps();
  for (Index k = 0; k < d; k += 16) {
    const __mmask16 here = static_cast<__mmask16>((1u << std::min<Index>(16, d - k)) - 1);
    most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_maskz_loadu_ps(here, x + k)));
  }
  const float largest = _mm512_reduce_max_ps(most);
  if (!(largest > 0)) return std::numeric_limits<float>::min_exponent;
  constexpr float full = 0x7f7f7fp-23f;
  int e = 0;
  const float share = std::frexp(largest, &e);
  return std::max(share > full ? e + 1 : e, std::numeric_limits<float>::min_exponent);
}

// One row of the tiles of a step, 64 values from x of which `count` are there. digit_stride: between tiles of digits.
MONGE_AMX void cut(const float* x, Index count, int exponent, std::int8_t* out, Index digit_stride) {
  const __m512 power = _mm512_set1_ps(static_cast<float>(23 - exponent));
  const __m512i half = _mm512_set1_epi32(128);
  for (Index k = 0; k < step; k += 16) {
    const Index left = std::clamp<Index>(count - k, 0, 16);
    const __mmask16 here = static_cast<__mmask16>((1u << left) - 1);
    const __m512 scaled = _mm512_scalef_ps(_mm512_maskz_loadu_ps(here, x + k), power);
    __m512i value = _mm512_cvtps_epi32(scaled);
    for (Index digit = digits - 1; digit >= 0; --digit) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + digit * digit_stride + k), _mm512_cvtepi32_epi8(value));
      value = _mm512_srai_epi32(_mm512_add_epi32(value, half), 8);  // what is left after the signed digit
    }
  }
}

// Rows of four bytes become columns.
void turn(std::int8_t* tile) {
  std::int32_t from[16][16], to[16][16];
  std::memcpy(from, tile, tile_bytes);
  for (Index i = 0; i < 16; ++i) {
    for (Index k = 0; k < 16; ++k) to[k][i] = from[i][k];
  }
  std::memcpy(tile, to, tile_bytes);
}

struct TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Some steps of all.
struct Steps {
  Index first, count, all;
};

// The products of digits p and q of 16 rows of x and 16 of y, added up by p + q; those of order 2 in two sums, or each
// would wait for the last. x, y: tiles by digits, then steps. sums: orders + 1 tiles.
MONGE_AMX void add_up(const std::int8_t* x, const std::int8_t* y, const Steps& steps, std::int32_t* sums) {
  if (steps.first == 0) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
  } else {
    _tile_loadd(0, sums, 64);
    _tile_loadd(1, sums + 256, 64);
    _tile_loadd(2, sums + 512, 64);
    _tile_loadd(3, sums + 768, 64);
    _tile_loadd(4, sums + 1024, 64);
  }
  const Index digit = steps.all * tile_bytes;
  x += steps.first * tile_bytes;
  y += steps.first * tile_bytes;
  for (Index s = 0; s < steps.count; ++s, x += tile_bytes, y += tile_bytes) {
    _tile_loadd(5, x, 64);
    _tile_loadd(7, y, 64);
    _tile_dpbssd(0, 5, 7);
    _tile_loadd(6, x + digit, 64);
    _tile_dpbssd(1, 6, 7);
    _tile_loadd(7, y + digit, 64);
    _tile_dpbssd(4, 6, 7);
    _tile_dpbssd(1, 5, 7);
    _tile_loadd(7, y + 2 * digit, 64);
    _tile_dpbssd(2, 5, 7);
    _tile_dpbssd(3, 6, 7);
    _tile_loadd(5, x + 2 * digit, 64);
    _tile_loadd(7, y, 64);
    _tile_dpbssd(2, 5, 7);
    _tile_loadd(7, y + digit, 64);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + 256, 64);
  _tile_stored(2, sums + 512, 64);
  _tile_stored(3, sums + 768, 64);
  _tile_stored(4, sums + 1024, 64);
}

using Sums = std::int32_t[orders + 1][block * block];

// Writes past the caches, or not.
template <bool past>
MONGE_AMX void put(float* out, __mmask16 here, __m512 values) {
  if (past && here == 0xffff && reinterpret_cast<std::uintptr_t>(out) % 64 == 0)
    _mm512_stream_ps(out, values);
  else
    _mm512_mask_storeu_ps(out, here, values);
}

// out_ij = alpha 2^(x_powers_i + y_powers_j) sum_order 256^(3 - order) sums_order_ij
template <bool past>
MONGE_AMX void write(float alpha, const float* x_powers, const float* y_powers, const Sums& sums, Index rows,
                     Index cols, float* out, Index stride) {
  const __mmask16 here = static_cast<__mmask16>((1u << cols) - 1);
  const __m512 base = _mm512_set1_ps(256.0f), factor = _mm512_set1_ps(alpha), powers = _mm512_loadu_ps(y_powers);
  for (Index i = 0; i < rows; ++i) {
    const auto sum = [&](Index order) MONGE_AMX { return _mm512_load_si512(sums[order] + i * block); };
    __m512 product = _mm512_cvtepi32_ps(sum(0));
    product = _mm512_fmadd_ps(product, base, _mm512_cvtepi32_ps(sum(1)));
    product = _mm512_fmadd_ps(product, base, _mm512_cvtepi32_ps(_mm512_add_epi32(sum(2), sum(4))));
    product = _mm512_fmadd_ps(product, base, _mm512_cvtepi32_ps(sum(3)));
    const __m512 power = _mm512_add_ps(powers, _mm512_set1_ps(x_powers[i]));
    put<past>(out + i * stride, here, _mm512_scalef_ps(_mm512_mul_ps(product, factor), power));
  }
}

}  // namespace

bool has_digit_products() {
  static const bool available = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                                __builtin_cpu_supports("amx-int8") && request_tiles();
  return available;
}

Digits::Digits(Operand operand, Index rows, Index d)
    : operand_(operand),
      rows_(rows),
      steps_((d + step - 1) / step),
      tiles_(round_up(rows) * digits * steps_ * step),
      powers_(round_up(rows)) {}

void Digits::read(MatrixView<const float> x, Index first) {
  const Index digit_stride = steps_ * tile_bytes, full = round_up(x.rows);
  for (Index top = 0; top < full; top += block) {
    std::int8_t* tiles = tiles_.data() + (first + top) * digits * steps_ * step;
    for (Index r = 0; r < block; ++r) {
      const Index i = top + r;
      const bool there = i < x.rows;
      const int exponent = there ? exponent_of(x.row(i), x.cols) : 0;
      powers_[first + i] = static_cast<float>(exponent - 19);
      for (Index s = 0; s < steps_; ++s) {
        const float* values = there ? x.row(i) + s * step : nullptr;
        cut(values, there ? x.cols - s * step : 0, exponent, tiles + s * tile_bytes + r * step, digit_stride);
      }
    }
    for (Index t = 0; operand_ == Operand::right && t < digits * steps_; ++t) turn(tiles + t * tile_bytes);
  }
}

template <bool past>
MONGE_AMX void Digits::multiply(float alpha, const Digits& x, Index first_x, Index rows, const Digits& y, Index first_y,
                                Index cols, float* out, Index stride) {
  const TileShapes shapes;
  _tile_loadconfig(&shapes);
  constexpr Index most = 4, near = 8;  // blocks at a time; steps of a block that stay in the first cache
  alignas(64) Sums sums[most];
  const Index block_bytes = digits * x.steps_ * tile_bytes;
  const std::int8_t* x_tiles = x.tiles_.data() + first_x / block * block_bytes;
  const std::int8_t* y_tiles = y.tiles_.data() + first_y / block * block_bytes;
  for (Index j = 0; j < cols; j += block, y_tiles += block_bytes) {
    for (Index top = 0; top < rows; top += most * block) {
      const Index blocks = std::min(most, (rows - top + block - 1) / block);
      for (Index k = 0; k < x.steps_; k += near) {
        const Steps steps{k, std::min(near, x.steps_ - k), x.steps_};
        for (Index b = 0; b < blocks; ++b)
          add_up(x_tiles + (top / block + b) * block_bytes, y_tiles, steps, sums[b][0]);
      }
      for (Index b = 0; b < blocks; ++b) {
        const Index i = top + b * block;
        write<past>(alpha, x.powers_.data() + first_x + i, y.powers_.data() + first_y + j, sums[b],
                    std::min(block, rows - i), std::min(block, cols - j), out + i * stride + j, stride);
      }
    }
  }
  _tile_release();
  if (past) _mm_sfence();
}

void digit_products(float alpha, const Digits& x, Index first_x, Index rows, const Digits& y, Index first_y, Index cols,
                    float* out, Index stride, bool past_caches) {
  if (past_caches)
    Digits::multiply<true>(alpha, x, first_x, rows, y, first_y, cols, out, stride);
  else
    Digits::multiply<false>(alpha, x, first_x, rows, y, first_y, cols, out, stride);
}

}  // namespace monge::ot::cpu
