#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace monge::apps {

// What a training step leaves in metrics.jsonl.
struct StepRecord {
  std::uint64_t step = 0;  // steps made, this one included
  double loss = 0;
  double gradient_norm = 0;
  double learning_rate = 0;
  double step_ms = 0;  // wall time of a step, matching included: the mean since the line before
  double seconds = 0;  // wall time of all steps so far
};

// One JSON object a line, one line a step, on disk as soon as it is made. A file belongs to one process at a time.
// Throws Error: io, bad_file.
class MetricsLog {
 public:
  // Opens the log of a run that continues after `step` steps (0: that starts): lines of later steps, and a line that
  // was cut short, are dropped.
  MetricsLog(const std::filesystem::path& path, std::uint64_t step);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  void append(const StepRecord& record);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

// All complete lines. Throws Error: io, bad_file naming the line.
std::vector<StepRecord> read_metrics(const std::filesystem::path& path);

}  // namespace monge::apps
