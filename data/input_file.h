#pragma once  // private: never installed
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "monge/ot/core/array.h"
#include "monge/ot/core/error.h"

namespace monge::data {

// A regular file, read from its beginning to its end. Errors are one line that names the caller and the file.
class InputFile {
 public:
  InputFile(std::string caller, const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const { return size_; }    // bytes, when it was opened
  std::size_t read(void* out, std::size_t size);  // fewer bytes only at the end
  void rewind();
  // Exactly `size` bytes from `offset` on, wherever reading has got to; fails when they are not there.
  void read_at(std::uint64_t offset, void* out, std::size_t size) const;
  [[noreturn]] void fail(Errc code, const std::string& what) const;

 private:
  std::string caller_;
  std::filesystem::path path_;
  std::uint64_t size_ = 0;
  int descriptor_ = -1;
};

// Why a rows x cols array of elements of so many bytes takes more than `max_bytes`; empty when it does not. A dimension
// of zero hides no absurd ones.
std::string refusal_of_memory(Index rows, Index cols, std::size_t element, double max_bytes);

}  // namespace monge::data
