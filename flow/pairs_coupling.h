#pragma once
#include <memory>

#include "monge/flow/coupling.h"

namespace monge::flow {

// Pairs made beforehand, row k of x0 (K x d) with the atom atoms_k: by a known map, by one assignment of all of the
// data, by integrating a trained flow (reflow). They are drawn in random order, all of them once before any comes
// again. `atom_count`: size of the data set. x0 and atoms are borrowed. Throws Error: invalid_argument (sizes, an atom
// out of range and its place), not_finite.
//
// With the labels of x0 (K) and of the atoms (atom_count) pairs are held to be within classes: the first one of unequal
// labels is refused, in its place.
std::unique_ptr<Coupling> pairs_coupling(MatrixView<const float> x0, VectorView<const std::int32_t> atoms,
                                         Index atom_count, std::uint64_t seed,
                                         VectorView<const std::int32_t> labels = {},
                                         VectorView<const std::int32_t> atom_labels = {});

}  // namespace monge::flow
