#include "monge/apps/common/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "monge/apps/common/train_config.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, const std::string& what) {
  throw Error(Errc::io, concat(path.string(), ": ", what));
}

// A process killed before its config was written leaves no more than that.
bool is_unfinished_config(const std::string& name) {
  return name.starts_with(".config.toml.") && name.ends_with(".tmp");
}

bool is_config_of_run(const fs::path& path) {
  try {
    TrainConfig config;
    bind(config).read_file(path);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

RunFolder::RunFolder(const fs::path& path, bool starts) : path_(path), kept_(!starts) {
  require(!path.empty(), "the folder of the run has no name");
  std::error_code ignored;
  if (!starts) {
    if (!fs::is_directory(path, ignored)) fail(path, "no such folder");
    require(fs::exists(config(), ignored) || fs::exists(checkpoint(), ignored), path.string(), ": holds no run");
  }
  try {
    if (starts) make();
    lock();
    if (starts) require_room();
  } catch (...) {
    remove_made();
    throw;
  }
}

RunFolder::~RunFolder() {
  std::error_code ignored;
  for (const fs::path& file : {config(), checkpoint(), metrics(), potentials(), samples()})
    if (!kept_) fs::remove(file, ignored);  // nobody else's: the folder was empty
  remove_made();
}

void RunFolder::make() {
  std::error_code failed;
  for (fs::path missing = fs::absolute(path_).lexically_normal(); !fs::exists(missing, failed) && !failed;) {
    if (missing.has_filename()) made_.push_back(missing);
    missing = missing.parent_path();
  }
  fs::create_directories(path_, failed);
  if (failed) fail(path_, "cannot make the folder: " + failed.message());
  if (access(path_.c_str(), W_OK) != 0) fail(path_, concat("cannot write there: ", std::strerror(errno)));
}

void RunFolder::lock() {
  descriptor_ = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) fail(path_, std::strerror(errno));
  // Network file systems lock no folders; there the lock of metrics.jsonl, taken before the first step, has to do.
  if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    fail(path_, "another process is training in this folder");
  }
}

void RunFolder::require_room() const {
  require(!fs::exists(checkpoint()) && !is_config_of_run(config()), path_.string(),
          ": holds a run already; go on with --resume ", path_.string(), ", or choose another --out");
  for (const auto& entry : fs::directory_iterator(path_)) {
    const std::string name = entry.path().filename().string();
    require(is_unfinished_config(name), path_.string(), ": holds other files (", name, "); --out takes a folder that ",
            "is new or empty, such as ", (path_ / "run").string());
  }
}

void RunFolder::remove_made() {
  for (const fs::path& folder : made_) rmdir(folder.c_str());  // does nothing to a folder that holds something
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace monge::apps
