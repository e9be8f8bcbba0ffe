#pragma once  // private: never installed
#include "monge/ot/core/random.h"

namespace monge::ot::cuda {

// a := H a, H the 64 x 64 Hadamard matrix in Sylvester's order.
MONGE_HOST_DEVICE inline void hadamard64(float (&a)[64]) {
#pragma unroll
  for (int step = 1; step < 64; step *= 2) {
#pragma unroll
    for (int i = 0; i < 64; ++i) {
      if (i & step) continue;
      const float sum = a[i] + a[i + step];
      a[i + step] = a[i] - a[i + step];
      a[i] = sum;
    }
  }
}

// Whether row i of a group changes its sign, from the words of the round's block (ot/recombine.h).
MONGE_HOST_DEVICE inline bool is_negative(const Rng::Block& words, int i) { return (words.w[i / 32] >> (i % 32)) & 1u; }

}  // namespace monge::ot::cuda
