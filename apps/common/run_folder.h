#pragma once
#include <filesystem>
#include <vector>

namespace monge::apps {

// The folder of a run: what lies where in it, and the right to write there, which one process has at a time.
class RunFolder {
 public:
  // For a run that starts: makes the folder. One that exists must be empty, so that nobody's files are replaced.
  static RunFolder start(const std::filesystem::path& path) { return RunFolder(path, true); }
  // For a run that goes on: the folder must hold one.
  static RunFolder resume(const std::filesystem::path& path) { return RunFolder(path, false); }
  // Throws Error: invalid_argument (what the folder holds), io (it cannot be made; another process is training there).

  // What is written stays. A run that starts and never comes to say so leaves nothing behind: neither files of its own
  // nor folders it made.
  void keep() { kept_ = true; }
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path config() const { return path_ / "config.toml"; }
  std::filesystem::path checkpoint() const { return path_ / "checkpoint.h5"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path potentials() const { return path_ / "potentials.h5"; }  // fitted by the run itself
  std::filesystem::path samples() const { return path_ / "samples.png"; }

 private:
  RunFolder(const std::filesystem::path& path, bool starts);
  void make();
  void lock();
  void require_room() const;
  void remove_made();

  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_;  // innermost first
  int descriptor_ = -1;
  bool kept_;
};

}  // namespace monge::apps
