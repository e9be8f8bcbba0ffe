#include "monge/data/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "monge/data/hdf5_handle.h"

namespace monge::data {

InputFile::InputFile(std::string caller, const std::filesystem::path& path) : caller_(std::move(caller)), path_(path) {
  struct stat status = {};  // looked at first: opening a device may already act on it
  if (stat(path_.c_str(), &status) != 0) fail(Errc::io, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail(Errc::bad_file, "not a regular file");
  descriptor_ = open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor_ < 0) fail(Errc::io, std::strerror(errno));
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::size_t InputFile::read(void* out, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = ::read(descriptor_, static_cast<char*>(out) + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(Errc::io, std::strerror(errno));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

void InputFile::rewind() {
  if (lseek(descriptor_, 0, SEEK_SET) != 0) fail(Errc::io, std::strerror(errno));
}

void InputFile::read_at(std::uint64_t offset, void* out, std::size_t size) const {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n =
        pread(descriptor_, static_cast<char*>(out) + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(Errc::io, std::strerror(errno));
    if (n == 0) fail(Errc::bad_file, concat("ends before the ", size, " bytes it should have at ", offset));
    done += static_cast<std::size_t>(n);
  }
}

void InputFile::fail(Errc code, const std::string& what) const {
  throw Error(code, one_line(concat(caller_, ": ", path_.string(), ": ", what)));
}

std::string refusal_of_memory(Index rows, Index cols, std::size_t element, double max_bytes) {
  const auto factor = [](Index n) { return static_cast<double>(std::max<Index>(n, 1)); };
  const double bytes = factor(rows) * factor(cols) * static_cast<double>(element);
  if (bytes <= max_bytes) return "";
  const auto text = [](double b) { return b < 1e18 ? std::to_string(static_cast<std::int64_t>(b)) : concat(b); };
  return concat(rows, " x ", cols, " values need ", text(bytes), " bytes of memory, over the limit of ",
                text(max_bytes));
}

}  // namespace monge::data
