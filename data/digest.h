#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace monge::data {

// XXH64 (Collet, xxHash specification, seed 0): catches damage and mix-ups, not forgery.
std::uint64_t xxh64(const void* bytes, std::size_t size);

// The same as text: "xxh64:" and 16 hexadecimal digits.
std::string digest(const void* bytes, std::size_t size);

}  // namespace monge::data
