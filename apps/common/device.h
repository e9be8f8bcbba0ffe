#pragma once
#include <string>

#include "monge/ot/core/device.h"

namespace monge::apps {

// Where work runs: "cpu", "cuda:N", or "auto", which chooses and says on stderr, as `program`, what it chose.
// Throws Error: invalid_argument, backend_unavailable (a device that is not there, or not in this build).
Context choose_device(const std::string& program, const std::string& name, int threads);

}  // namespace monge::apps
