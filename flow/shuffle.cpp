#include "monge/flow/shuffle.h"

#include "monge/ot/core/error.h"

namespace monge::flow {

Shuffle::Shuffle(Index n, const Rng& rng) : n_(static_cast<std::uint64_t>(n)), rng_(rng) {
  require(n > 0 && n < Index{1} << 62, "Shuffle: n must be in [1, 2^62), not ", n);
  while (std::uint64_t{1} << 2 * half_ < n_) ++half_;
}

Index Shuffle::operator()(std::uint64_t element) const {
  const std::uint64_t rounds = half_ < 8 ? 32 : 8;  // small halves take more to mix
  const Rng pass = rng_.substream(element / n_);
  const std::uint64_t mask = (std::uint64_t{1} << half_) - 1;
  std::uint64_t place = element % n_;
  do {
    std::uint64_t left = place >> half_, right = place & mask;
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const Rng::Block b = pass.bits(round << 32 | right);
      const std::uint64_t mixed = (left ^ b.w[0]) & mask;
      left = right;
      right = mixed;
    }
    place = left << half_ | right;
  } while (place >= n_);
  return static_cast<Index>(place);
}

}  // namespace monge::flow
