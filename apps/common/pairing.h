#pragma once
#include <filesystem>
#include <memory>

#include "monge/apps/common/train_config.h"
#include "monge/data/dataset.h"
#include "monge/flow/coupling.h"

namespace monge::apps {

// The coupling a run asks for. Semidiscrete potentials come from the file that the config names, else from `fitted`,
// a file in the run's folder, where they are put after being fitted if it is not there yet. They must belong to the
// data set and have the digest that the config names; an empty digest is filled in.
// Throws Error: invalid_argument, bad_file, io; Interrupted during a fit.
std::unique_ptr<flow::Coupling> make_coupling(TrainConfig& config, const data::Dataset& dataset,
                                              const std::filesystem::path& fitted, const Context& context);

}  // namespace monge::apps
