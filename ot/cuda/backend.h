#pragma once  // private: never installed
#include <memory>

#include "monge/ot/core/backend.h"

namespace monge::ot::cuda {

// The room of a device that is there.
std::unique_ptr<Backend> make_room(int device);

}  // namespace monge::ot::cuda
