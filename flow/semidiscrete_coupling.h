#pragma once
#include <memory>

#include "monge/flow/coupling.h"
#include "monge/ot/semidiscrete.h"

namespace monge::flow {

struct SemidiscreteCouplingOptions {
  std::uint64_t seed = 0;
  Index groups = 32;  // epsilon = 0: groups of 64 independent noise rows matched at a time
  Index rounds = 0;   // epsilon = 0: recombinations of each group (see ot/recombine.h); 0 = by dimension, 32 or 128
  Context context = {};
};

// x0 ~ N(0, I), paired with the atom that the potentials send it to (epsilon = 0) or draw for it (epsilon > 0).
//
// At epsilon = 0 the noise is recombined: one pool of 64 x groups fresh rows gives 64 x groups x rounds noise vectors,
// none of them used twice, whose partners cost a fraction of a GEMM row each. A batch takes its rows from different
// groups or different rows of one group in one round, so within a batch (of at most 64 x groups rows; larger batches
// enlarge the pool) noise vectors are exactly independent; batches of different rounds share a pool and are not
// independent of each other. Each vector is exactly N(0, I) and its partner is its own. Draws allocate scratch memory
// only when a pool is filled (epsilon > 0: at every draw).
//
// y: N x d, the atoms the potentials were fitted on; copied in the space of the scores.
std::unique_ptr<Coupling> semidiscrete_coupling(MatrixView<const float> y, const ot::SemidiscretePotentials& potentials,
                                                const SemidiscreteCouplingOptions& options = {});

}  // namespace monge::flow
