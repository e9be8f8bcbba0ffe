#pragma once
#include <memory>

#include "monge/apps/common/train_config.h"
#include "monge/flow/objective.h"

namespace monge::apps {

// The teacher that a distillation names. It must have learnt from points of the same law as the student: the same path,
// from the same source, whose digest the student's config must hold. Its weights must have the digest that the config
// names; where that is empty, it is filled in. Throws Error: invalid_argument, io, bad_file.
std::shared_ptr<const flow::Teacher> load_teacher(TrainConfig& student);

}  // namespace monge::apps
