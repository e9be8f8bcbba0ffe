#include "monge/data/idx.h"

#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

struct Close {
  void operator()(gzFile file) const { gzclose_r(file); }
};

// Bytes of a file, inflated when it is gzipped.
class Source {
 public:
  explicit Source(const std::filesystem::path& path) : path_(path) {
    struct stat status = {};
    if (stat(path.c_str(), &status) != 0) fail(Errc::io, std::strerror(errno));
    if (!S_ISREG(status.st_mode)) fail(Errc::bad_file, "not a regular file");
    file_.reset(gzopen(path.c_str(), "rb"));
    if (!file_) fail(Errc::io, errno != 0 ? std::strerror(errno) : "out of memory");
    gzbuffer(file_.get(), 1 << 17);
  }

  // Up to `size` bytes; fewer only at the end of an undamaged file.
  std::size_t read(void* out, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
      const auto part = static_cast<unsigned>(std::min<std::size_t>(size - done, 1u << 30));
      const int n = gzread(file_.get(), static_cast<char*>(out) + done, part);
      if (n < 0) fail_by_zlib();
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    if (done < size) check_end();
    return done;
  }

  // Truncated or damaged streams are only seen once their end has been read.
  void check_end() {
    int error = Z_OK;
    gzerror(file_.get(), &error);
    if (error != Z_OK && error != Z_STREAM_END) fail_by_zlib();
  }

  [[noreturn]] void fail(Errc code, const std::string& what) const {
    throw Error(code, "read_idx: " + path_.string() + ": " + what);
  }

 private:
  [[noreturn]] void fail_by_zlib() const {
    int error = Z_OK;
    const char* message = gzerror(file_.get(), &error);
    if (error == Z_ERRNO) fail(Errc::io, std::strerror(errno));
    if (error == Z_BUF_ERROR) fail(Errc::bad_file, "truncated gzip stream");
    fail(Errc::bad_file, std::string("damaged gzip stream: ") + message);
  }

  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

}  // namespace

// Header: two zero bytes, the element type (8: unsigned byte), the rank, then each dimension as 32 bits, high byte
// first.
IdxArray read_idx(const std::filesystem::path& path, std::uint64_t memory) {
  Source source(path);
  const auto bad = [&](const auto&... what) { source.fail(Errc::bad_file, concat(what...)); };
  unsigned char magic[4] = {};
  if (source.read(magic, 4) < 4) bad("shorter than the header of an IDX file");
  if (magic[0] != 0 || magic[1] != 0) bad("not an IDX file: it does not start with two zero bytes");
  if (magic[2] != 8) bad("IDX element type ", int{magic[2]}, ", only 8 (unsigned bytes) is read");
  if (magic[3] < 1 || magic[3] > 4) bad("IDX rank ", int{magic[3]}, ", only 1 to 4 are read");

  IdxArray array;
  std::uint64_t size = 1;
  for (int i = 0; i < magic[3]; ++i) {
    unsigned char d[4] = {};
    if (source.read(d, 4) < 4) bad("shorter than the header of an IDX file");
    const std::uint64_t n = std::uint64_t{d[0]} << 24 | std::uint64_t{d[1]} << 16 | std::uint64_t{d[2]} << 8 | d[3];
    array.shape.push_back(static_cast<Index>(n));
    if (n > 0 && size > memory / n) bad("declares more than the limit of ", memory, " bytes");
    size *= n;
  }

  // Grow with what is really there: a short file that declares much takes no memory.
  while (array.values.size() < size) {
    const std::size_t have = array.values.size();
    const std::size_t part =
        static_cast<std::size_t>(std::min<std::uint64_t>(size - have, std::max<std::size_t>(have, 1 << 24)));
    array.values.resize(have + part);
    const std::size_t n = source.read(array.values.data() + have, part);
    if (n < part) bad("has ", have + n, " bytes of values, its header declares ", size);
  }
  unsigned char extra;
  if (source.read(&extra, 1) > 0) bad("has more values than the ", size, " its header declares");
  source.check_end();
  return array;
}

}  // namespace monge::data
