#include "monge/data/checkpoint.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "monge/data/hdf5_handle.h"
#include "monge/data/hdf5_writer.h"
#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

constexpr const char* format = "monge-checkpoint";
constexpr std::uint64_t version = 1;

bool is_name(const std::string& name) {
  const auto is_separator = [](unsigned char c) { return c == '/' || c < ' '; };
  return !name.empty() && name != "." && std::none_of(name.begin(), name.end(), is_separator);
}

void require_name(const std::string& what, const std::string& name) {
  require(is_name(name), "save_checkpoint: '", one_line(name), "' is no name for a ", what);
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
  for (const auto& [name, values] : checkpoint.lists) require_name("list", name);
}

}  // namespace

Checkpoint load_checkpoint(const std::filesystem::path& path, const ReadLimits& limits) {
  const Hdf5Reader file("load_checkpoint", path, limits);
  file.check_format(format, version, true);
  Checkpoint checkpoint;
  checkpoint.config = file.read_text("config");
  checkpoint.step = file.attribute<std::uint64_t>("", "step");
  checkpoint.seed = file.attribute<std::uint64_t>("", "seed");
  std::istringstream lines(file.read_text("contents"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t slash = line.find('/'), last = line.rfind('/');
    const std::string kind = line.substr(0, slash), name = line.substr(last + 1);
    if (slash == std::string::npos || (kind != "tensors" && !is_name(name)))
      file.fail("contents", "lists '" + line + "'");
    if (kind == "counters") {
      checkpoint.counters[name] = file.attribute<std::uint64_t>(kind, name);
    } else if (kind == "scalars") {
      checkpoint.scalars[name] = file.attribute<double>(kind, name);
    } else if (kind == "lists" && slash == last) {
      checkpoint.lists[name] = file.read_vector<std::int32_t>(line);
    } else if (kind == "tensors" && last > slash && is_name(line.substr(slash + 1, last - slash - 1))) {
      auto& tensors = checkpoint.groups[line.substr(slash + 1, last - slash - 1)];
      if (!name.empty()) tensors.push_back({name, file.info(line).shape, file.read<float>(line)});
    } else {
      file.fail("contents", "lists '" + line + "'");
    }
  }
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
  std::string contents;  // a line for each item, in order; "tensors/GROUP/" makes the group
  file.group("tensors");
  for (const auto& [group, tensors] : checkpoint.groups) {
    file.group("tensors/" + group);
    contents += "tensors/" + group + "/\n";
    for (const NamedTensor& tensor : tensors) {
      const std::string name = concat("tensors/", group, "/", tensor.name);
      file.array(name, tensor.shape, tensor.values.data());
      contents += name + "\n";
    }
  }
  file.group("counters");
  for (const auto& [name, value] : checkpoint.counters) {
    file.attribute("counters", name, value);
    contents += "counters/" + name + "\n";
  }
  file.group("scalars");
  for (const auto& [name, value] : checkpoint.scalars) {
    file.attribute("scalars", name, value);
    contents += "scalars/" + name + "\n";
  }
  for (const auto& [name, values] : checkpoint.lists) {
    file.array("lists/" + name, {static_cast<Index>(values.size())}, values.data());
    contents += "lists/" + name + "\n";
  }
  file.text("contents", contents);
  file.commit();
}

}  // namespace monge::data
