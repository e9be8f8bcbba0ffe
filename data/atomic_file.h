#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace monge::data {

// Writes a file whole or not at all. Fill the temporary file, fresh in the target's folder, by name or descriptor, then
// commit(): fsync, rename over the target, fsync of the folder. Without commit() the temporary file is removed and the
// target left as it was. Temporary files that killed processes left behind for the same target are removed first; a
// file still being written is told from them by a lock that dies with its process.
// Errors: Error(io), prefixed by `caller`, with the operating system's reason; "-" is refused, which programs take for
// a standard stream.
class AtomicFile {
 public:
  AtomicFile(std::string caller, const std::filesystem::path& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::filesystem::path& target() const { return target_; }
  const std::filesystem::path& temporary() const { return temporary_; }
  int descriptor() const { return descriptor_; }  // of the temporary file, open for reading and writing
  void write(std::string_view bytes);             // at the temporary file's end
  void commit();

  [[noreturn]] void fail(const std::string& reason) const;

 private:
  std::string caller_;
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

// The file that writing to `target` makes or replaces: absolute, with every link followed, whether it exists or not.
std::filesystem::path written_file(const std::filesystem::path& target);

// Refuses a target that cannot be written, before hours of work are spent on its content. Leaves nothing behind.
void require_writable(const std::string& caller, const std::filesystem::path& target);

// Replaces `target` by `text`, whole or not at all.
void write_text(const std::string& caller, const std::filesystem::path& target, const std::string& text);

}  // namespace monge::data
