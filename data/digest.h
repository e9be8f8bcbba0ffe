#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace monge::data {

// XXH64 (Collet, xxHash specification, seed 0): catches damage and mix-ups, not forgery.
std::uint64_t xxh64(const void* bytes, std::size_t size);

// The same of bytes that come piece by piece: add() them in order, in any pieces.
class Digest {
 public:
  void add(const void* bytes, std::size_t size);
  std::uint64_t value() const;
  std::string text() const;  // as digest()

 private:
  std::uint64_t lanes_[4] = {0x60EA27EEADC0B5D6, 0xC2B2AE3D27D4EB4F, 0, 0x61C8864E7A143579};
  std::uint64_t size_ = 0;
  unsigned char rest_[32] = {};  // what does not fill a stripe yet: size_ mod 32 bytes
};

// The same as text: "xxh64:" and 16 hexadecimal digits.
std::string digest(const void* bytes, std::size_t size);

}  // namespace monge::data
