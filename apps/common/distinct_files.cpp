#include "monge/apps/common/distinct_files.h"

#include <algorithm>
#include <cctype>
#include <system_error>

#include "monge/data/atomic_file.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;

bool is_file(const FileArgument& file) { return !file.path.empty() && file.path != "-"; }

// Files that exist are compared as files, hard links included; else the places where they would be made.
bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code missing;
  return fs::equivalent(a, b, missing) || data::written_file(a) == data::written_file(b);
}

void require_distinct(const FileArgument& output, const FileArgument& other) {
  require(!is_file(output) || !is_file(other) || !same_file(output.path, other.path), output.argument, " ",
          output.path.string(), " is the same file as ", other.argument, " ", other.path.string());
}

}  // namespace

void require_distinct_files(const std::vector<FileArgument>& inputs, const std::vector<FileArgument>& outputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    for (const FileArgument& input : inputs) require_distinct(outputs[i], input);
    for (std::size_t j = 0; j < i; ++j) require_distinct(outputs[i], outputs[j]);
  }
}

std::string file_of(const std::string& where) {
  std::string name = where;
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::size_t h5 = name.find(".h5:"), hdf5 = name.find(".hdf5:");
  return where.substr(0, std::min(h5 == name.npos ? h5 : h5 + 3, hdf5 == name.npos ? hdf5 : hdf5 + 5));
}

}  // namespace monge::apps
