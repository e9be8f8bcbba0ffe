#include "monge/data/digest.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace monge::data {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian, and so are their digests");

constexpr std::uint64_t P1 = 0x9E3779B185EBCA87, P2 = 0xC2B2AE3D27D4EB4F, P3 = 0x165667B19E3779F9,
                        P4 = 0x85EBCA77C2B2AE63, P5 = 0x27D4EB2F165667C5;

template <class Word>
std::uint64_t load(const unsigned char* p) {
  Word word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

std::uint64_t round(std::uint64_t lane, std::uint64_t input) { return std::rotl(lane + input * P2, 31) * P1; }

}  // namespace

void Digest::add(const void* bytes, std::size_t size) {
  const auto* p = static_cast<const unsigned char*>(bytes);
  const auto take = [&](const unsigned char* stripe) {
    for (int i = 0; i < 4; ++i) lanes_[i] = round(lanes_[i], load<std::uint64_t>(stripe + 8 * i));
  };
  std::size_t held = size_ % 32;
  size_ += size;
  if (held > 0) {
    const std::size_t more = std::min(size, 32 - held);
    std::copy_n(p, more, rest_ + held);
    p += more;
    size -= more;
    held += more;
    if (held < 32) return;
    take(rest_);
  }
  for (; size >= 32; p += 32, size -= 32) take(p);
  std::copy_n(p, size, rest_);
}

std::uint64_t Digest::value() const {
  std::uint64_t h = P5;
  if (size_ >= 32) {
    h = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
    for (const std::uint64_t lane : lanes_) h = (h ^ round(0, lane)) * P1 + P4;
  }
  h += size_;
  const unsigned char *p = rest_, *end = rest_ + size_ % 32;
  for (; end - p >= 8; p += 8) h = std::rotl(h ^ round(0, load<std::uint64_t>(p)), 27) * P1 + P4;
  if (end - p >= 4) {
    h = std::rotl(h ^ load<std::uint32_t>(p) * P1, 23) * P2 + P3;
    p += 4;
  }
  for (; p < end; ++p) h = std::rotl(h ^ *p * P5, 11) * P1;
  h = (h ^ (h >> 33)) * P2;
  h = (h ^ (h >> 29)) * P3;
  return h ^ (h >> 32);
}

std::string Digest::text() const {
  const std::uint64_t h = value();
  std::string text = "xxh64:";
  for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[(h >> shift) & 15];
  return text;
}

std::uint64_t xxh64(const void* bytes, std::size_t size) {
  Digest digest;
  digest.add(bytes, size);
  return digest.value();
}

std::string digest(const void* bytes, std::size_t size) {
  Digest digest;
  digest.add(bytes, size);
  return digest.text();
}

}  // namespace monge::data
