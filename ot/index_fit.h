#pragma once
#include "monge/ot/matcher.h"
#include "monge/ot/semidiscrete.h"

namespace monge::ot {

// Fits potentials on, against the very index that will match with them: faiss_matcher(y, potentials, index) then gives
// the atoms their masses, as far as the index reaches them at all, whatever its recall. From potentials that
// semidiscrete() found; epsilon 0, no labels. Of the options tolerance, max_samples_per_atom (0: 400), max_seconds,
// check_samples, seed, context and on_step count.
//
// result.marginal and result.cost are those of the index; the certificate holds as it does for any potentials, and says
// what they lose against the optimum. result.status is converged if marginal.upper <= tolerance.
SemidiscreteResult fit_to_index(MatrixView<const float> y, const SemidiscretePotentials& potentials,
                                const FaissOptions& index, const SemidiscreteOptions& options = {},
                                const SourceLaw& source = {});

}  // namespace monge::ot
