#pragma once
#include <string>

#include "monge/ot/core/device.h"

namespace monge::apps {

// Where work runs: "cpu", "cuda:N", or "auto", which chooses.
// Throws Error: invalid_argument, backend_unavailable (a device that is not there, or not in this build).
Context choose_device(const std::string& name, int threads);

// Says on stderr, as `program`, what "auto" has chosen; silent for a device that was asked for by name.
void announce_device(const std::string& program, const std::string& name, const Context& context);

}  // namespace monge::apps
