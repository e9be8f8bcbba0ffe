#pragma once
#include <string>

#include "monge/apps/common/train_config.h"

namespace monge::apps {

// Why nothing reads a key of section path, objective or model in a run of this config; empty: it is read, or a key of
// another section.
std::string why_unused(const TrainConfig& config, const std::string& key);

// Refuses what these sections set, other than to the default, but their kinds have no use for: names key and kind.
// Throws Error(invalid_argument).
void refuse_unused_keys(const TrainConfig& config);

}  // namespace monge::apps
