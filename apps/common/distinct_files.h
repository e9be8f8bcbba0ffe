#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace monge::apps {

// A file as it was given: by which argument ("--out"), and where. No path, or "-" (a standard stream), is no file.
struct FileArgument {
  std::string argument;
  std::filesystem::path path;
};

// Refuses an output that is also an input or another output, under whatever name: links and other spellings count as
// the file they lead to. To be called before any work. Throws Error(invalid_argument).
void require_distinct_files(const std::vector<FileArgument>& inputs, const std::vector<FileArgument>& outputs);

// The file of "file.h5:/x" is file.h5.
std::string file_of(const std::string& where);

}  // namespace monge::apps
