#pragma once
#include <cstdint>
#include <string>

#include "monge/data/potentials.h"
#include "monge/ot/semidiscrete.h"

namespace monge::apps {

// What a fit found, as it is kept on disk. `dimensions`: of the atoms.
data::PotentialsFile to_file(const ot::SemidiscreteResult& result, const std::string& dataset_digest, Index dimensions,
                             std::uint64_t seed);

// What matching needs of a file.
ot::SemidiscretePotentials to_potentials(const data::PotentialsFile& file);

// Fits potentials with progress on stderr. When interrupted, the result's status is stopped_by_caller.
ot::SemidiscreteResult fit_with_progress(MatrixView<const float> y, ot::SemidiscreteOptions options,
                                         VectorView<const double> b = {}, const ot::SourceLaw& source = {});

// The same from potentials of a cloud before, origin[j] being which of its points row j of y was (see ot::refit).
ot::SemidiscreteResult refit_with_progress(MatrixView<const float> y, const ot::SemidiscretePotentials& before,
                                           VectorView<const std::int32_t> origin, ot::SemidiscreteOptions options);

}  // namespace monge::apps
