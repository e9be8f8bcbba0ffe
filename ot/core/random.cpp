#include "monge/ot/core/random.h"

#include <cmath>
#include <numbers>

namespace monge {

std::uint64_t uniform_below(const Rng& rng, std::uint64_t index, std::uint64_t n) {
  const Rng::Block b = rng.bits(index);
  const std::uint64_t word = (std::uint64_t{b.w[0]} << 32) | b.w[1];
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(word) * n) >> 64);
}

void fill_normal(const Rng& rng, std::uint64_t first, VectorView<float> out) {
  for (Index i = 0; i < out.size; ++i) {
    const std::uint64_t element = first + static_cast<std::uint64_t>(i);
    const Rng::Block b = rng.bits(element / 4);
    const std::size_t pair = element % 4 / 2 * 2;
    const float u = static_cast<float>(b.w[pair] >> 1) * 0x1p-31f + 0x1p-32f;
    const float angle = static_cast<float>(static_cast<std::int32_t>(b.w[pair + 1])) * 0x1p-31f;
    const float radius = std::sqrt(-2 * std::log(u));
    const float theta = std::numbers::pi_v<float> * angle;
    out[i] = radius * (element % 2 == 0 ? std::cos(theta) : std::sin(theta));
  }
}

void fill_normal(const Rng& rng, std::uint64_t first, VectorView<double> out) {
  for (Index i = 0; i < out.size; ++i) {
    const std::uint64_t element = first + static_cast<std::uint64_t>(i);
    const Rng::Block b = rng.bits(element / 2);
    const double u = 1 - Rng::uniform(b.w[0], b.w[1]);
    const double theta = 2 * std::numbers::pi * Rng::uniform(b.w[2], b.w[3]);
    out[i] = std::sqrt(-2 * std::log(u)) * (element % 2 == 0 ? std::cos(theta) : std::sin(theta));
  }
}

}  // namespace monge
