#include "monge/apps/common/device.h"

#include <charconv>

#include "monge/apps/common/shell.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"

namespace monge::apps {
namespace {

Device parse_device(const std::string& name) {
  if (name == "cpu") return {};
  int index = -1;
  if (name.starts_with("cuda:")) {
    const char* end = name.data() + name.size();
    const auto result = std::from_chars(name.data() + 5, end, index);
    if (result.ec == std::errc() && result.ptr == end && index >= 0) return {DeviceType::cuda, index};
  }
  throw Error(Errc::invalid_argument, concat("--device must be auto, cpu or cuda:N, not '", name, "'"));
}

}  // namespace

Context choose_device(const std::string& name, int threads) {
  Context context{.threads = threads};
  if (name == "auto") return context;
  context.device = parse_device(name);
  ot::backend_for(context.device);  // refuses what is not there
  return context;
}

void announce_device(const std::string& program, const std::string& name, const Context& context) {
  if (name != "auto") return;
  say(program, concat("device auto: running on cpu, ", resolve_threads(context.threads), " threads",
                      ot::cuda_available() ? " (networks have no CUDA room yet)" : " (this build has no CUDA)"));
}

}  // namespace monge::apps
