#include "monge/apps/common/device.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <optional>

#include "monge/apps/common/shell.h"
#include "monge/flow/nn/kernels.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"

namespace monge::apps {
namespace {

std::optional<Device> parse_device(const std::string& name) {
  if (name == "cpu") return Device{};
  int index = -1;
  if (!name.starts_with("cuda:")) return {};
  const char* end = name.data() + name.size();
  const auto result = std::from_chars(name.data() + 5, end, index);
  if (result.ec != std::errc() || result.ptr != end || index < 0) return {};
  return Device{DeviceType::cuda, index};
}

}  // namespace

void add_device(CLI::App& app, Device& device) {
  const auto parse = [&device](const std::string& name) {
    const std::optional<Device> found = parse_device(name);
    if (!found) throw CLI::ValidationError("--device", concat("must be cpu or cuda:N, not ", name));
    device = *found;
  };
  app.add_option_function<std::string>("--device", parse,
                                       "Where passes over pairs run: cpu (default), or cuda:N, a GPU")
      ->type_name("D");
}

std::string device_name(const Device& device) {
  return device.type == DeviceType::cpu ? "cpu" : concat("cuda:", device.index);
}

Context choose_device(const std::string& name, int threads) {
  Context context{.threads = threads};
  if (name == "auto") return context;
  const std::optional<Device> found = parse_device(name);
  require(found.has_value(), "--device must be auto, cpu or cuda:N, not '", name, "'");
  context.device = *found;
  ot::backend_for(context.device);  // refuses what is not there
  flow::nn::kernels_for<float>(context.device);
  return context;
}

void announce_device(const std::string& program, const std::string& name, const Context& context) {
  if (name != "auto") return;
  say(program, concat("device auto: running on cpu, ", resolve_threads(context.threads), " threads",
                      ot::cuda_available() ? " (networks have no CUDA room yet)" : " (this build has no CUDA)"));
}

}  // namespace monge::apps
