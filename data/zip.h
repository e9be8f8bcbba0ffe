#pragma once  // private: never installed
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "monge/data/hdf5_reader.h"
#include "monge/data/input_file.h"

namespace monge::data {

// A ZIP archive as NumPy writes it (.npz): members stored or deflated, ZIP64 where sizes need it; no encryption, no
// parts on other disks. Refused, before memory is taken: members that declare more bytes than `limits.memory`, more
// than `limits.expansion` times what is stored, or that do not lie within the file.
class ZipFile {
 public:
  struct Member {
    std::string name;
    std::uint64_t stored = 0, size = 0;  // bytes in the archive, and inflated
    std::uint64_t header = 0;            // where its local header is
    std::uint32_t checksum = 0;          // CRC-32 of the inflated bytes
    int method = 0;                      // 0 stored, 8 deflated
  };

  ZipFile(std::string caller, const std::filesystem::path& path, const ReadLimits& limits = {});

  const std::vector<Member>& members() const { return members_; }
  const Member* find(const std::string& name) const;
  const InputFile& file() const { return file_; }

 private:
  void read_directory(std::uint64_t first, std::uint64_t size, std::uint64_t count);
  void check(const Member& member) const;

  InputFile file_;
  ReadLimits limits_;
  std::vector<Member> members_;
};

// The bytes of a member from its beginning to its end, inflated.
class ZipStream {
 public:
  ZipStream(const ZipFile& zip, const ZipFile::Member& member);
  ~ZipStream() { inflateEnd(&stream_); }
  ZipStream(const ZipStream&) = delete;
  ZipStream& operator=(const ZipStream&) = delete;

  // Up to `size` bytes; fewer only at the end. The last byte is given out only with a checksum that agrees.
  std::size_t read(void* out, std::size_t size);
  [[noreturn]] void fail(const std::string& what) const;

 private:
  void refill();

  const ZipFile& zip_;
  ZipFile::Member member_;
  std::uint64_t at_ = 0, stored_left_ = 0,
                left_ = 0;  // place in the file; bytes still to come from it, and to give out
  std::uint32_t checksum_ = 0;
  std::vector<unsigned char> buffer_;
  z_stream stream_ = {};
};

}  // namespace monge::data
