#pragma once
#include <cstddef>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace monge::ot::cpu {

inline constexpr std::size_t huge_page = std::size_t{1} << 21;

// Large buffers touched for the first time cost more in page faults than in what is written to them.
inline void prefer_huge_pages(void* memory, std::size_t bytes) {
#if defined(__linux__)
  madvise(memory, bytes, MADV_HUGEPAGE);
#else
  static_cast<void>(memory), static_cast<void>(bytes);
#endif
}

}  // namespace monge::ot::cpu
