#pragma once  // private: never installed
#include "monge/ot/core/array.h"
#include "monge/ot/core/random.h"

namespace monge::flow {

// The numbers 0 to n - 1 in random order, over and over, in another order every time: elements q n to (q + 1) n hold
// each number once. Any element is found without those before it, by a Feistel network of Philox rounds on the smallest
// power of four that n fits in, walked until it is below n (Black and Rogaway, Ciphers with arbitrary finite domains,
// CT-RSA 2002).
class Shuffle {
 public:
  // n > 0, below 2^62.
  Shuffle(Index n, const Rng& rng);

  Index operator()(std::uint64_t element) const;

 private:
  std::uint64_t n_;
  int half_ = 0;  // bits of a half
  Rng rng_;
};

}  // namespace monge::flow
