#include "monge/data/idx.h"

#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

// Bytes of a file, inflated when it is gzipped. Not by gzread, which forgives bytes after the end of the stream.
class Source {
 public:
  explicit Source(const std::filesystem::path& path) : path_(path), buffer_(1 << 17) {
    struct stat status = {};
    if (stat(path.c_str(), &status) != 0) fail(Errc::io, std::strerror(errno));
    if (!S_ISREG(status.st_mode)) fail(Errc::bad_file, "not a regular file");
    file_size_ = static_cast<std::uint64_t>(status.st_size);
    file_.reset(std::fopen(path.c_str(), "rb"));
    if (!file_) fail(Errc::io, std::strerror(errno));
    refill();
    gzipped_ = stream_.avail_in >= 2 && buffer_[0] == 0x1f && buffer_[1] == 0x8b;
    if (gzipped_ && inflateInit2(&stream_, 15 + 16) != Z_OK) fail(Errc::out_of_memory, "no memory to inflate it");
  }
  ~Source() { inflateEnd(&stream_); }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  std::uint64_t file_size() const { return file_size_; }

  // Up to `size` bytes; fewer only at the end of an undamaged file.
  std::size_t read(std::uint8_t* out, std::size_t size) {
    std::size_t done = 0;
    while (done < size && !ended_) {
      if (stream_.avail_in == 0) refill();
      const std::size_t n = gzipped_ ? inflate_some(out + done, size - done) : copy_some(out + done, size - done);
      done += n;
    }
    return done;
  }

  [[noreturn]] void fail(Errc code, const std::string& what) const {
    throw Error(code, concat("read_idx: ", path_.string(), ": ", what));
  }

 private:
  void refill() {
    stream_.next_in = buffer_.data();
    stream_.avail_in = static_cast<unsigned>(std::fread(buffer_.data(), 1, buffer_.size(), file_.get()));
    if (std::ferror(file_.get())) fail(Errc::io, std::strerror(errno));
  }

  std::size_t copy_some(std::uint8_t* out, std::size_t size) {
    const std::size_t n = std::min<std::size_t>(size, stream_.avail_in);
    std::copy_n(stream_.next_in, n, out);
    stream_.next_in += n;
    stream_.avail_in -= static_cast<unsigned>(n);
    ended_ = n == 0;
    return n;
  }

  std::size_t inflate_some(std::uint8_t* out, std::size_t size) {
    if (stream_.avail_in == 0) fail(Errc::bad_file, "truncated gzip stream");
    const auto room = static_cast<unsigned>(std::min<std::size_t>(size, 1u << 30));
    stream_.next_out = out;
    stream_.avail_out = room;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) fail(Errc::out_of_memory, "no memory to inflate it");
    if (result != Z_OK && result != Z_STREAM_END)
      fail(Errc::bad_file, concat("damaged gzip stream", stream_.msg ? concat(": ", stream_.msg) : ""));
    if (result == Z_STREAM_END) {
      ended_ = true;
      if (stream_.avail_in == 0) refill();
      if (stream_.avail_in > 0) fail(Errc::bad_file, "bytes after the end of the gzip stream");
    }
    return room - stream_.avail_out;
  }

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::filesystem::path path_;
  std::uint64_t file_size_ = 0;
  std::vector<unsigned char> buffer_;
  std::unique_ptr<std::FILE, Close> file_;
  z_stream stream_ = {};
  bool gzipped_ = false;
  bool ended_ = false;
};

}  // namespace

// Header: two zero bytes, the element type (8: unsigned byte), the rank, then each dimension as 32 bits, high byte
// first.
IdxArray read_idx(const std::filesystem::path& path, const ReadLimits& limits) {
  Source source(path);
  const auto bad = [&](const auto&... what) { source.fail(Errc::bad_file, concat(what...)); };
  unsigned char magic[4] = {};
  if (source.read(magic, 4) < 4) bad("shorter than the header of an IDX file");
  if (magic[0] != 0 || magic[1] != 0) bad("not an IDX file: it does not start with two zero bytes");
  if (magic[2] != 8) bad("IDX element type ", int{magic[2]}, ", only 8 (unsigned bytes) is read");
  if (magic[3] < 1 || magic[3] > 4) bad("IDX rank ", int{magic[3]}, ", only 1 to 4 are read");

  IdxArray array;
  std::uint64_t product = 1, size = 1;
  for (int i = 0; i < magic[3]; ++i) {
    unsigned char d[4] = {};
    if (source.read(d, 4) < 4) bad("shorter than the header of an IDX file");
    const std::uint64_t n = std::uint64_t{d[0]} << 24 | std::uint64_t{d[1]} << 16 | std::uint64_t{d[2]} << 8 | d[3];
    array.shape.push_back(static_cast<Index>(n));
    if (n > 0 && product > limits.memory / n) bad("declares more than the limit of ", limits.memory, " bytes");
    product *= std::max<std::uint64_t>(n, 1);  // a dimension of zero hides no absurd ones
    if (n == 0) size = 0;
  }
  if (size > 0) size = product;
  if (size / limits.expansion > source.file_size())
    bad("declares ", size, " bytes in a file of ", source.file_size(), ": more than ", limits.expansion, " times");

  // Grow with what is really there: a short file that declares much takes no memory.
  while (array.values.size() < size) {
    const std::size_t have = array.values.size();
    const std::size_t part =
        static_cast<std::size_t>(std::min<std::uint64_t>(size - have, std::max<std::size_t>(have, 1 << 24)));
    array.values.resize(have + part);
    const std::size_t n = source.read(array.values.data() + have, part);
    if (n < part) bad("has ", have + n, " bytes of values, its header declares ", size);
  }
  std::uint8_t extra = 0;
  if (source.read(&extra, 1) > 0) bad("has more values than the ", size, " its header declares");
  return array;
}

}  // namespace monge::data
