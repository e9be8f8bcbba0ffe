#pragma once
#include <cstdint>
#include <string>

#include "monge/data/dataset.h"
#include "monge/data/potentials.h"
#include "monge/ot/semidiscrete.h"

namespace monge::apps {

// Names of source laws, as potentials keep them: of N(0, I), or of the training points of a data file, of each label
// where it is by label.
inline constexpr const char* standard_normal = "standard_normal";
std::string points_law(const data::Dataset& source, bool by_label);

// A law that potentials are fitted for.
struct FitSource {
  ot::SourceLaw law = {};
  std::string name = standard_normal;
};

// The training points of `source`, which is borrowed, equally likely; by label where the options have labels that cost
// anything, of which noise then has the points' shares unless unequal labels never meet.
FitSource fit_source(const data::Dataset& source, ot::SemidiscreteOptions& options);

// Says so on stderr where the points of a source are too few for atoms to be hit alike at epsilon = 0.
void warn_of_few_points(const char* program, const std::string& source_file, const data::Dataset& source,
                        const data::Dataset& dataset);

// What a fit found, as it is kept on disk. `dimensions`: of the atoms.
data::PotentialsFile to_file(const ot::SemidiscreteResult& result, const std::string& dataset_digest, Index dimensions,
                             std::uint64_t seed, const std::string& source_law = standard_normal);

// What matching needs of a file.
ot::SemidiscretePotentials to_potentials(const data::PotentialsFile& file);

// Fits potentials with progress on stderr. When interrupted, the result's status is stopped_by_caller.
ot::SemidiscreteResult fit_with_progress(MatrixView<const float> y, ot::SemidiscreteOptions options,
                                         VectorView<const double> b = {}, const ot::SourceLaw& source = {});

// The same from potentials of a cloud before, origin[j] being which of its points row j of y was (see ot::refit).
ot::SemidiscreteResult refit_with_progress(MatrixView<const float> y, const ot::SemidiscretePotentials& before,
                                           VectorView<const std::int32_t> origin, ot::SemidiscreteOptions options,
                                           const ot::SourceLaw& source = {});

}  // namespace monge::apps
