#pragma once
#include <memory>

#include "monge/flow/coupling.h"

namespace monge::flow {

struct OnlineOptions {
  std::uint64_t seed = 0;
  CouplingLabels labels = {};
  Context context = {};
};

// Every atom keeps one noise vector of N(0, I), as a number of 32 bits that the vector is made from. A step takes the
// next atoms in random order, assigns their noise vectors to them anew, as cheaply as can be for |x0 - x1|^2, and
// writes the numbers back: step by step the pairing of the whole data set gets cheaper, at the price of a small
// assignment (LOOM-CFM, looking out of the minibatch; Davtyan, Dadi, Cevher and Favaro, Faster inference of flow-based
// generative models via improved data-noise coupling, ICLR 2025). The noise is N fixed vectors, each used once in a
// pass over the data, as is each atom; a batch that reaches into the next pass is assigned in two parts.
//
// The numbers are the coupling's state(): N of them, after the last step drawn. Steps are drawn in order, each any
// number of times; out of order draw() throws Error(invalid_argument).
//
// y: N x d, the atoms; borrowed. With labels a noise vector has the label of the atom that it belonged to first; within
// classes it stays there. Throws Error: invalid_argument (sizes, labels), not_finite.
std::unique_ptr<Coupling> online_coupling(MatrixView<const float> y, const OnlineOptions& options = {});

}  // namespace monge::flow
