#pragma once
#include <cstdint>

#include "monge/ot/core/array.h"

#ifdef __CUDACC__
#define MONGE_HOST_DEVICE __host__ __device__
#else
#define MONGE_HOST_DEVICE
#endif

namespace monge {

// A stream of random numbers is a value: the same (seed, stream, index) gives the same words on every device, at any
// thread count. Philox4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011).
struct Rng {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;

  struct Block {
    std::uint32_t w[4];
  };

  MONGE_HOST_DEVICE constexpr Block bits(std::uint64_t index) const {
    std::uint32_t c[4] = {lo(index), hi(index), lo(stream), hi(stream)};
    std::uint32_t k0 = lo(seed), k1 = hi(seed);
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2];
      const std::uint32_t n0 = hi(p1) ^ c[1] ^ k0, n2 = hi(p0) ^ c[3] ^ k1;
      c[0] = n0;
      c[1] = lo(p1);
      c[2] = n2;
      c[3] = lo(p0);
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return {{c[0], c[1], c[2], c[3]}};
  }

  // A stream of its own for each purpose: streams named by different words never overlap.
  MONGE_HOST_DEVICE constexpr Rng substream(std::uint64_t name) const {
    const Block b = Rng{seed ^ 0x6D6F6E6765ull, stream}.bits(name);
    return {seed, (std::uint64_t{b.w[0]} << 32) | b.w[1]};
  }

  // Uniform in [0, 1), 24 bits.
  MONGE_HOST_DEVICE static constexpr float uniform(std::uint32_t w) { return static_cast<float>(w >> 8) * 0x1p-24f; }
  // Uniform in [0, 1), 53 bits.
  MONGE_HOST_DEVICE static constexpr double uniform(std::uint32_t a, std::uint32_t b) {
    return static_cast<double>(((std::uint64_t{a} << 32) | b) >> 11) * 0x1p-53;
  }

  MONGE_HOST_DEVICE static constexpr std::uint32_t lo(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
  MONGE_HOST_DEVICE static constexpr std::uint32_t hi(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }
};

// A uniform integer in [0, n) from the stream's block `index`: bias below n / 2^64.
std::uint64_t uniform_below(const Rng& rng, std::uint64_t index, std::uint64_t n);

// out[i] = element first + i of the stream's infinite sequence of standard normals (Box-Muller), so any part of the
// sequence can be made on its own. Floats (4 per block, vectorised) and doubles (2 per block) are sequences of their
// own. One thread.
void fill_normal(const Rng& rng, std::uint64_t first, VectorView<float> out);
void fill_normal(const Rng& rng, std::uint64_t first, VectorView<double> out);

}  // namespace monge
