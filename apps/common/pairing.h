#pragma once
#include <filesystem>
#include <memory>

#include "monge/apps/common/pairing_config.h"
#include "monge/apps/common/train_config.h"
#include "monge/data/dataset.h"
#include "monge/data/potentials.h"
#include "monge/flow/coupling.h"

namespace monge::apps {

// Whether the run fits its potentials itself and `fitted`, where it keeps them, holds no finished fit yet.
// Throws Error: bad_file, io.
bool needs_fit(const TrainConfig& config, const std::filesystem::path& fitted);

// The fit that such a run asks for. When interrupted, what was reached so far, of status stopped_by_caller. The digest
// of its source, if it has one, is filled in.
data::PotentialsFile fit_potentials(TrainConfig& config, const data::Dataset& dataset, const Context& context);

// The coupling a run asks for. Semidiscrete potentials come from the file that the config names, else from `fitted`.
// They must belong to the data set and have the digest and the status that the config names; where it names none, they
// are filled in. Their epsilon and their labels must be those of coupling.epsilon and coupling.labels. What did not
// converge is used with a warning on stderr. Throws Error: invalid_argument, bad_file, io.
std::unique_ptr<flow::Coupling> make_coupling(TrainConfig& config, const data::Dataset& dataset,
                                              const std::filesystem::path& fitted, const Context& context);

}  // namespace monge::apps
