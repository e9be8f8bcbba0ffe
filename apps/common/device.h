#pragma once
#include <string>

#include "monge/ot/core/device.h"

namespace CLI {
class App;
}

namespace monge::apps {

// --device of programs that solve: cpu, which is the default, or cuda:N. What is not a device's name is wrong usage.
void add_device(CLI::App& app, Device& device);

std::string device_name(const Device& device);  // "cpu", "cuda:0"

// Where networks run: "cpu", "cuda:N", or "auto", which chooses.
// Throws Error: invalid_argument, backend_unavailable (a device that is not there, or that has no networks).
Context choose_device(const std::string& name, int threads);

// Says on stderr, as `program`, what "auto" has chosen; silent for a device that was asked for by name.
void announce_device(const std::string& program, const std::string& name, const Context& context);

}  // namespace monge::apps
