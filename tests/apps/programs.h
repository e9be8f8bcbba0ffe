#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "monge/data/dataset.h"
#include "monge/ot/core/random.h"

namespace monge::apps {

// What a program said and how it ended: its exit status, or 128 + the signal that killed it.
struct Outcome {
  int status = 0;
  std::string out, err;
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A folder of its own for each test.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "monge-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  std::string operator()(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Starts a program of the build, output into files of the folder. `arguments` goes through the shell, and may redirect.
inline pid_t start(const Folder& folder, const std::string& program, const std::string& arguments) {
  const pid_t child = fork();
  if (child == 0) {
    const std::string command = "cd " + folder.path().string() + " && exec " + std::string(MONGE_BIN) + "/" + program +
                                " >stdout.txt 2>stderr.txt " + arguments;
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  return child;
}

// Waits until the program catches interrupts. The shell that becomes the program catches SIGINT for a moment, too, but
// never SIGTERM.
inline void await_handlers(pid_t child) {
  constexpr std::uint64_t both = 1u << (SIGINT - 1) | 1u << (SIGTERM - 1);
  for (int i = 0; i < 5000; ++i, usleep(1000)) {
    const std::string status = read_file("/proc/" + std::to_string(child) + "/status");
    const std::size_t caught = status.find("SigCgt:");
    if (caught != std::string::npos && (std::stoull(status.substr(caught + 7), nullptr, 16) & both) == both) return;
  }
}

inline Outcome finish(const Folder& folder, pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(folder / "stdout.txt"),
          read_file(folder / "stderr.txt")};
}

inline Outcome run(const Folder& folder, const std::string& program, const std::string& arguments) {
  return finish(folder, start(folder, program, arguments));
}

// A small data set of 4 x 4 images in two bright patterns, with a test split.
inline data::Dataset small_images(Index n = 300) {
  data::Dataset dataset;
  dataset.image = {4, 4, 1};
  std::uint64_t stream = 1;
  for (data::Split* split : {&dataset.train, &dataset.test}) {
    split->x = Matrix<float>(n, 16);
    fill_normal(Rng{stream++}, 0, {split->x.data(), n * 16});
    for (Index i = 0; i < n; ++i) {
      for (Index k = 0; k < 16; ++k) split->x(i, k) = 0.1f * split->x(i, k) + ((k / 4 + i) % 2 ? 0.7f : -0.7f);
    }
  }
  return dataset;
}

// Classes 0 and 1 in turn.
inline void set_labels(data::Split& split) {
  for (Index i = 0; i < split.rows(); ++i) split.labels.push_back(static_cast<std::int32_t>(i % 2));
}

}  // namespace monge::apps
