#include "monge/data/checkpoint.h"

#include <set>

#include "monge/data/hdf5_writer.h"
#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

constexpr const char* format = "monge-checkpoint";
constexpr std::uint64_t version = 1;

void require_name(const std::string& what, const std::string& name) {
  require(!name.empty() && name != "." && name.find('/') == std::string::npos && name.find('\0') == std::string::npos,
          "save_checkpoint: '", name, "' is no name for a ", what);
}

void check(const Checkpoint& checkpoint) {
  require(checkpoint.config.find('\0') == std::string::npos, "save_checkpoint: config holds a zero byte");
  for (const auto& [group, tensors] : checkpoint.groups) {
    require_name("group", group);
    std::set<std::string> names;
    for (const NamedTensor& tensor : tensors) {
      require_name("tensor of " + group, tensor.name);
      require(names.insert(tensor.name).second, "save_checkpoint: ", group, "/", tensor.name, " is there twice");
      Index size = 1;
      for (const Index n : tensor.shape) size *= n;
      require(size == static_cast<Index>(tensor.values.size()), "save_checkpoint: ", group, "/", tensor.name, " has ",
              tensor.values.size(), " values for a shape of ", size);
    }
  }
  for (const auto& [name, value] : checkpoint.counters) require_name("counter", name);
  for (const auto& [name, value] : checkpoint.scalars) require_name("scalar", name);
}

}  // namespace

Checkpoint load_checkpoint(const std::filesystem::path& path, const ReadLimits& limits) {
  const Hdf5Reader file("load_checkpoint", path, limits);
  file.check_format(format, version, true);
  Checkpoint checkpoint;
  checkpoint.config = file.read_text("config");
  checkpoint.step = file.attribute<std::uint64_t>("", "step");
  checkpoint.seed = file.attribute<std::uint64_t>("", "seed");
  for (const std::string& group : file.members("tensors")) {
    auto& tensors = checkpoint.groups[group];
    for (const std::string& name : file.members("tensors/" + group)) {
      const std::string full = "tensors/" + group + "/" + name;
      tensors.push_back({name, file.info(full).shape, file.read<float>(full)});
    }
  }
  for (const std::string& name : file.attributes("counters"))
    checkpoint.counters[name] = file.attribute<std::uint64_t>("counters", name);
  for (const std::string& name : file.attributes("scalars"))
    checkpoint.scalars[name] = file.attribute<double>("scalars", name);
  return checkpoint;
}

void save_checkpoint(const Checkpoint& checkpoint, const std::filesystem::path& path) {
  check(checkpoint);
  Hdf5Writer file("save_checkpoint", path);
  file.attribute("", "format", format);
  file.attribute("", "version", version);
  file.attribute("", "step", checkpoint.step);
  file.attribute("", "seed", checkpoint.seed);
  file.text("config", checkpoint.config);
  file.group("tensors");
  for (const auto& [group, tensors] : checkpoint.groups) {
    file.group("tensors/" + group);
    for (const NamedTensor& tensor : tensors)
      file.array("tensors/" + group + "/" + tensor.name, tensor.shape, tensor.values.data());
  }
  file.group("counters");
  for (const auto& [name, value] : checkpoint.counters) file.attribute("counters", name, value);
  file.group("scalars");
  for (const auto& [name, value] : checkpoint.scalars) file.attribute("scalars", name, value);
  file.commit();
}

}  // namespace monge::data
