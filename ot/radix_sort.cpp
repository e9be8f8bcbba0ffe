#include "monge/ot/radix_sort.h"

#include <array>
#include <bit>
#include <utility>

namespace monge::ot::detail {
namespace {

constexpr int kBits = 11, kBuckets = 1 << kBits, kPasses = 3;

// Negative floats order backwards, and below the positive ones: flip all their bits, and the sign alone of the others.
std::uint32_t to_key(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  return bits ^ (bits >> 31 ? 0xFFFFFFFFu : 0x80000000u);
}
float from_key(std::uint32_t key) { return std::bit_cast<float>(key ^ (key >> 31 ? 0x80000000u : 0xFFFFFFFFu)); }

constexpr std::uint32_t digit(std::uint32_t key, int pass) { return (key >> (pass * kBits)) & (kBuckets - 1); }

}  // namespace

void radix_sort(VectorView<float> values, VectorView<std::uint32_t> scratch) {
  std::uint32_t *once = scratch.data, *twice = scratch.data + values.size;
  std::array<std::array<std::uint32_t, kBuckets>, kPasses> place{};
  for (const float value : values) {
    const std::uint32_t key = to_key(value);
    for (int pass = 0; pass < kPasses; ++pass) ++place[pass][digit(key, pass)];
  }
  for (auto& starts : place) {
    std::uint32_t sum = 0;
    for (std::uint32_t& count : starts) {
      const std::uint32_t next = sum + count;
      count = std::exchange(sum, next);
    }
  }
  for (const float value : values) {
    const std::uint32_t key = to_key(value);
    once[place[0][digit(key, 0)]++] = key;
  }
  for (Index i = 0; i < values.size; ++i) twice[place[1][digit(once[i], 1)]++] = once[i];
  for (Index i = 0; i < values.size; ++i) values[place[2][digit(twice[i], 2)]++] = from_key(twice[i]);
}

}  // namespace monge::ot::detail
