#pragma once
#include <memory>

#include "monge/flow/coupling.h"
#include "monge/ot/semidiscrete.h"

namespace monge::flow {

struct SemidiscreteCouplingOptions {
  std::uint64_t seed = 0;
  CouplingSource source = {};  // the one the potentials were fitted for; labels count where noise has labels, too
  // Of noise N(0, I) at epsilon = 0:
  Index groups = 32;  // groups of 64 independent rows matched at a time
  Index rounds = 0;   // recombinations of each group (see ot/recombine.h); 0 = by dimension, 32 or 128
  Context context = {};
};

// x0 from the source, paired with the atom that the potentials send it to (epsilon = 0) or draw for it (epsilon > 0).
// A source of points comes as often as the fit saw it: at epsilon = 0 all copies of a point go to one atom, so that
// points have to be many more than atoms for these to be hit alike. With labels a point is drawn among those of a label
// that is drawn as the potentials have it.
//
// At epsilon = 0 noise of N(0, I) is recombined: one pool of 64 x groups fresh rows gives 64 x groups x rounds noise
// vectors, none of them used twice, whose partners cost a fraction of a GEMM row each. A batch takes its rows from
// different groups or different rows of one group in one round, so within a batch (of at most 64 x groups rows; larger
// batches enlarge the pool) noise vectors are exactly independent; batches of different rounds share a pool and are not
// independent of each other. Each vector is exactly N(0, I) and its partner is its own. Draws allocate scratch memory
// only when a pool is filled (epsilon > 0, or a source of points: at every draw).
//
// y: N x d, the atoms the potentials were fitted on; copied in the space of the scores. Throws
// Error: invalid_argument (sizes, potentials with labels and points of none, a label without points), not_finite
// (points).
std::unique_ptr<Coupling> semidiscrete_coupling(MatrixView<const float> y, const ot::SemidiscretePotentials& potentials,
                                                const SemidiscreteCouplingOptions& options = {});

}  // namespace monge::flow
