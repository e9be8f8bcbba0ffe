#include "monge/data/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

namespace fs = std::filesystem;

// Locks of the open file description (Linux): they die with the last process that has it, and do not meet HDF5's own.
bool lock(int descriptor, short type, int command) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return fcntl(descriptor, command, &lock) == 0;
}

fs::path folder_of(const fs::path& file) { return file.has_parent_path() ? file.parent_path() : fs::path("."); }

std::string temporary_prefix(const fs::path& target) { return concat('.', target.filename().string(), '.'); }
constexpr const char* temporary_suffix = ".tmp";

// Exactly prefix PID-NUMBER suffix, so that nothing of the user's is ever taken for ours.
bool is_temporary_of(const std::string& name, const std::string& prefix) {
  if (!name.starts_with(prefix) || !name.ends_with(temporary_suffix)) return false;
  const std::size_t length = prefix.size() + std::strlen(temporary_suffix);
  if (name.size() <= length) return false;
  const std::string middle = name.substr(prefix.size(), name.size() - length);
  const std::size_t dash = middle.find('-');
  return dash != std::string::npos && dash > 0 && dash + 1 < middle.size() &&
         middle.find('-', dash + 1) == middle.npos && middle.find_first_not_of("0123456789-") == middle.npos;
}

void sweep(const fs::path& target) {
  const std::string prefix = temporary_prefix(target);
  std::error_code ignored;
  for (fs::directory_iterator entry(folder_of(target), ignored), end; entry != end; entry.increment(ignored)) {
    if (ignored || !is_temporary_of(entry->path().filename().string(), prefix)) continue;
    const int descriptor = open(entry->path().c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) continue;
    if (lock(descriptor, F_WRLCK, F_OFD_SETLK)) unlink(entry->path().c_str());  // nobody alive holds it
    close(descriptor);
  }
}

}  // namespace

AtomicFile::AtomicFile(std::string caller, const fs::path& target) : caller_(std::move(caller)), target_(target) {
  if (target == "-") fail("only text goes to standard output; a file of this name is ./-");
  std::error_code error;
  if (fs::is_symlink(target, error)) target_ = written_file(target);  // keep the link, replace the file
  if (fs::is_symlink(target_, error)) fail("it is a link that leads nowhere");
  const fs::file_status status = fs::status(target_, error);
  if (fs::is_directory(status)) fail("it is a folder");
  if (fs::exists(status) && !fs::is_regular_file(status)) fail("it is not a regular file");
  if (!target_.has_filename()) fail("it is not the name of a file");
  const fs::path folder = folder_of(target_);
  if (!fs::exists(folder, error)) fail(concat("the folder ", folder.string(), " does not exist"));
  sweep(target_);

  for (int number = 0; descriptor_ < 0; ++number) {
    temporary_ = folder / (temporary_prefix(target_) + std::to_string(getpid()) + "-" + std::to_string(number) +
                           temporary_suffix);
    descriptor_ = open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
      if (errno == EEXIST) continue;
      fail(std::strerror(errno));
    }
    lock(descriptor_, F_RDLCK, F_OFD_SETLKW);
    struct stat own = {};
    if (fstat(descriptor_, &own) == 0 && own.st_nlink > 0) break;
    close(descriptor_);  // swept between its creation and its lock
    descriptor_ = -1;
  }
  struct stat old = {};
  if (stat(target_.c_str(), &old) == 0) (void)fchmod(descriptor_, old.st_mode & 0777);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  unlink(temporary_.c_str());
  close(descriptor_);
}

void AtomicFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(std::strerror(n < 0 ? errno : ENOSPC));
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void AtomicFile::commit() {
  if (fsync(descriptor_) != 0) fail(std::strerror(errno));
  if (rename(temporary_.c_str(), target_.c_str()) != 0) fail(std::strerror(errno));
  close(descriptor_);
  descriptor_ = -1;
  const int folder = open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;  // a folder that may be written but not read cannot be synced
  const bool synced = fsync(folder) == 0 || errno == EINVAL;
  const int reason = errno;
  close(folder);
  if (!synced) fail(std::strerror(reason));
}

void AtomicFile::fail(const std::string& reason) const {
  throw Error(Errc::io, concat(caller_, ": cannot write ", target_.string(), ": ", reason));
}

fs::path written_file(const fs::path& target) {
  std::error_code error;
  fs::path file = target;
  for (int links = 0; links < 40 && fs::is_symlink(file, error); ++links) {  // also those that lead to nothing yet
    file = folder_of(file) / fs::read_symlink(file, error);
  }
  file = fs::absolute(file, error);
  const fs::path canonical = fs::weakly_canonical(file, error);
  return error ? file : canonical;
}

void require_writable(const std::string& caller, const fs::path& target) { AtomicFile(caller, target); }

void write_text(const std::string& caller, const fs::path& target, const std::string& text) {
  AtomicFile file(caller, target);
  file.write(text);
  file.commit();
}

}  // namespace monge::data
