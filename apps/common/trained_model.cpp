#include "monge/apps/common/trained_model.h"

#include <cmath>
#include <span>
#include <utility>

#include "monge/apps/common/generate.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

using Parameters = std::vector<flow::nn::Parameter>;

std::vector<data::NamedTensor> tensors(const Parameters& parameters, std::span<const float> flat) {
  std::vector<data::NamedTensor> result;
  for (const auto& p : parameters) {
    const float* first = flat.data() + p.offset;
    result.push_back({p.name, {p.rows, p.cols}, {first, first + p.size()}});
  }
  return result;
}

template <class... Parts>
[[noreturn]] void refuse(const Parts&... message) {
  throw Error(Errc::bad_file, concat(message...));
}

template <class Map>
auto entry(const Map& map, const std::string& key, const std::string& name) {
  const auto found = map.find(key);
  if (found == map.end()) refuse(name, ": the checkpoint has no ", key);
  return found->second;
}

std::vector<float> flat(const Parameters& parameters, const data::Checkpoint& checkpoint, const std::string& group,
                        const std::string& name) {
  const auto found = checkpoint.groups.find(group);
  if (found == checkpoint.groups.end() || found->second.size() != parameters.size()) {
    refuse(name, ": the tensors of ", group, " are not those of the model");
  }
  std::vector<float> values;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& [tensor, shape, part] = found->second[i];
    if (tensor != parameters[i].name || shape != std::vector<Index>{parameters[i].rows, parameters[i].cols}) {
      refuse(name, ": ", group, "/", tensor, " does not fit the model's ", parameters[i].name);
    }
    for (const float v : part) {
      if (!std::isfinite(v)) refuse(name, ": ", group, "/", tensor, " holds NaN or infinity");
    }
    values.insert(values.end(), part.begin(), part.end());
  }
  return values;
}

}  // namespace

data::Checkpoint make_checkpoint(const flow::Trainer& trainer, const flow::Coupling& coupling,
                                 const std::string& config, const data::Dataset& dataset, double seconds) {
  data::Checkpoint checkpoint;
  checkpoint.config = config;
  checkpoint.step = trainer.steps_done();
  checkpoint.seed = trainer.options().seed;
  const Parameters& parameters = trainer.parameters();
  checkpoint.groups["weights"] = tensors(parameters, trainer.weights());
  checkpoint.groups["ema"] = tensors(parameters, trainer.ema());
  checkpoint.groups["adam_m"] = tensors(parameters, trainer.adam_m());
  checkpoint.groups["adam_v"] = tensors(parameters, trainer.adam_v());
  checkpoint.counters = {{"dimensions", static_cast<std::uint64_t>(dataset.dims())},
                         {"image_height", static_cast<std::uint64_t>(dataset.image.height)},
                         {"image_width", static_cast<std::uint64_t>(dataset.image.width)},
                         {"image_channels", static_cast<std::uint64_t>(dataset.image.channels)}};
  checkpoint.scalars = {{"seconds", seconds}, {"low", dataset.low}, {"high", dataset.high}};
  if (auto state = coupling.state(); !state.empty()) checkpoint.lists["coupling"] = std::move(state);
  return checkpoint;
}

void restore(flow::Trainer& trainer, flow::Coupling& coupling, const data::Checkpoint& checkpoint,
             const std::string& name) {
  const Parameters& parameters = trainer.parameters();
  trainer.restore(checkpoint.step, flat(parameters, checkpoint, "weights", name),
                  flat(parameters, checkpoint, "ema", name), flat(parameters, checkpoint, "adam_m", name),
                  flat(parameters, checkpoint, "adam_v", name));
  const auto state = checkpoint.lists.find("coupling");
  try {
    coupling.restore(checkpoint.step,
                     state == checkpoint.lists.end() ? VectorView<const std::int32_t>() : state->second);
  } catch (const Error& e) {
    refuse(name, ": ", e.what());
  }
}

void set_image(flow::ModelOptions& options, const data::ImageShape& image) {
  options.image.height = image.height;
  options.image.width = image.width;
  options.image.channels = image.channels;
}

TrainedModel load_model(const std::filesystem::path& path, bool averaged) {
  const std::string name = path.string();
  const data::Checkpoint checkpoint = data::load_checkpoint(path);
  const auto size = [&](const char* counter) {
    const std::uint64_t value = entry(checkpoint.counters, counter, name);
    if (value > 1u << 30) refuse(name, ": ", counter, " is ", value);
    return static_cast<Index>(value);
  };
  TrainedModel model;
  bind(model.config).read_text(checkpoint.config, name + " (config)");
  model.options = train_options(model.config, {}).model;
  model.options.dimensions = size("dimensions");
  model.image = {size("image_height"), size("image_width"), size("image_channels")};
  set_image(model.options, model.image);
  model.weights = flat(flow::parameter_table(model.options), checkpoint, averaged ? "ema" : "weights", name);
  model.step = checkpoint.step;
  model.low = entry(checkpoint.scalars, "low", name);
  model.high = entry(checkpoint.scalars, "high", name);
  if (model.image.size() != 0 && model.image.size() != model.options.dimensions) {
    refuse(name, ": images of ", model.image.size(), " values, a model of ", model.options.dimensions);
  }
  return model;
}

}  // namespace monge::apps
