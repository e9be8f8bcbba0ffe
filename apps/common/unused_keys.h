#pragma once
#include <string>

#include "monge/apps/common/train_config.h"

namespace monge::apps {

// Why nothing reads a key in a run of this config; empty: it is read. Keys that say how potentials would be fitted
// count as read, so that a config serves with and without them.
std::string why_unused(const TrainConfig& config, const std::string& key);

// Refuses keys (those that begin with `section`) that are set, other than to the default, but that nothing reads: names
// key and kind. Throws Error(invalid_argument).
void refuse_unused_keys(const TrainConfig& config, const std::string& section = "");

}  // namespace monge::apps
