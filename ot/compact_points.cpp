#include "monge/ot/compact_points.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>

#include "monge/ot/core/parallel.h"

namespace monge::ot::detail {
namespace {

constexpr Index block = 256;  // rows of a task
constexpr std::uint32_t low_half = 0xffff;

// At most 256 floats, told apart by their bits.
class FewValues {
 public:
  // Whether there was room.
  bool add(float value) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    for (std::uint32_t at = place(bits);; at = (at + 1) % slots) {
      if (number_[at] >= 0 && bits_[at] == bits) return true;
      if (number_[at] >= 0) continue;
      if (values_.size() == 256) return false;
      bits_[at] = bits;
      number_[at] = static_cast<int>(values_.size());
      values_.push_back(value);
      return true;
    }
  }
  std::uint8_t number(float value) const {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    std::uint32_t at = place(bits);
    while (bits_[at] != bits || number_[at] < 0) at = (at + 1) % slots;
    return static_cast<std::uint8_t>(number_[at]);
  }
  const std::vector<float>& values() const { return values_; }

 private:
  static constexpr std::uint32_t slots = 1024;
  static std::uint32_t place(std::uint32_t bits) { return bits * 2654435769u >> 22; }
  std::array<std::uint32_t, slots> bits_{};
  std::array<int, slots> number_ = filled();
  std::vector<float> values_;

  static std::array<int, slots> filled() {
    std::array<int, slots> none;
    none.fill(-1);
    return none;
  }
};

template <class Body>
void for_rows(const Uncentred& y, int threads, const Body& body) {
  parallel_for(threads, (y.rows.size + block - 1) / block,
               [&](Index task, int) { body(task * block, std::min(y.rows.size, (task + 1) * block)); });
}

// In rising order, so that no thread has a say in it; empty: there are more.
FewValues values_of(const Uncentred& y, int threads) {
  std::atomic<bool> few = true;
  std::vector<float> all;
  std::mutex adding;
  for_rows(y, threads, [&](Index begin, Index end) {
    FewValues own;
    for (Index j = begin; j < end && few; ++j) {
      const float* row = y.points.row(y.rows[j]);
      for (Index k = 0; k < y.points.cols; ++k)
        if (!own.add(row[k])) few = false;
    }
    const std::lock_guard lock(adding);
    all.insert(all.end(), own.values().begin(), own.values().end());
  });
  FewValues values;
  std::sort(all.begin(), all.end(),
            [](float a, float b) { return a != b ? a < b : std::signbit(a) && !std::signbit(b); });
  for (const float value : all)
    if (!few || !values.add(value)) return {};
  return values;
}

bool has_short_mantissas(const Uncentred& y, int threads) {
  std::atomic<bool> all = true;
  for_rows(y, threads, [&](Index begin, Index end) {
    for (Index j = begin; j < end && all; ++j) {
      const float* row = y.points.row(y.rows[j]);
      if (std::any_of(row, row + y.points.cols, [](float v) { return std::bit_cast<std::uint32_t>(v) & low_half; }))
        all = false;
    }
  });
  return all;
}

}  // namespace

CompactPoints compact(const Uncentred& y, int threads) {
  if (y.points.empty() || y.rows.empty()) return {};
  const Index n = y.rows.size, d = y.points.cols;
  if (const FewValues values = values_of(y, threads); !values.values().empty()) {
    CompactPoints c{1, Buffer<std::uint8_t>(n * d), values.values()};
    for_rows(y, threads, [&](Index begin, Index end) {
      for (Index j = begin; j < end; ++j)
        std::transform(y.points.row(y.rows[j]), y.points.row(y.rows[j]) + d, c.data.data() + j * d,
                       [&](float v) { return values.number(v); });
    });
    return c;
  }
  if (!has_short_mantissas(y, threads)) return {};
  CompactPoints c{2, Buffer<std::uint8_t>(2 * n * d)};
  for_rows(y, threads, [&](Index begin, Index end) {
    for (Index j = begin; j < end; ++j) {
      const float* row = y.points.row(y.rows[j]);
      for (Index k = 0; k < d; ++k) {
        const auto upper = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(row[k]) >> 16);
        std::memcpy(c.data.data() + 2 * (j * d + k), &upper, sizeof upper);
      }
    }
  });
  return c;
}

}  // namespace monge::ot::detail
