#include "monge/apps/common/metrics_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

[[noreturn]] void fail(const fs::path& path, const std::string& what) {
  throw Error(Errc::io, concat("cannot write ", path.string(), ": ", what));
}

std::string to_line(const StepRecord& r) {
  return Json{{"step", r.step},        {"loss", r.loss},       {"grad_norm", r.gradient_norm},
              {"lr", r.learning_rate}, {"step_ms", r.step_ms}, {"seconds", r.seconds}}
             .dump() +
         "\n";
}

struct Line {
  StepRecord record;
  std::size_t end;  // offset in the file of what follows
};

std::vector<Line> read_lines(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(Errc::io, concat("cannot read ", path.string(), ": ", std::strerror(errno)));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<Line> lines;
  for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    try {
      const auto json =
          nlohmann::json::parse(text.begin() + static_cast<long>(begin), text.begin() + static_cast<long>(end));
      lines.push_back({{.step = json.at("step"),
                        .loss = json.at("loss"),
                        .gradient_norm = json.at("grad_norm"),
                        .learning_rate = json.at("lr"),
                        .step_ms = json.at("step_ms"),
                        .seconds = json.at("seconds")},
                       end + 1});
    } catch (const nlohmann::json::exception&) {
      throw Error(Errc::bad_file, concat(path.string(), ":", lines.size() + 1, ": not a line of metrics"));
    }
  }
  return lines;
}

}  // namespace

MetricsLog::MetricsLog(const fs::path& path, std::uint64_t step) : path_(path) {
  descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail(path_, std::strerror(errno));
  try {
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) fail(path_, "another process is training in this folder");
    std::size_t keep = 0;
    for (const Line& line : read_lines(path_)) {
      if (line.record.step <= step) keep = line.end;
    }
    if (ftruncate(descriptor_, static_cast<off_t>(keep)) != 0) fail(path_, std::strerror(errno));
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

MetricsLog::~MetricsLog() { close(descriptor_); }

void MetricsLog::append(const StepRecord& record) {
  const std::string line = to_line(record);
  for (std::size_t written = 0; written < line.size();) {
    const ssize_t n = write(descriptor_, line.data() + written, line.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(path_, std::strerror(n < 0 ? errno : ENOSPC));
    written += static_cast<std::size_t>(n);
  }
}

std::vector<StepRecord> read_metrics(const fs::path& path) {
  std::vector<StepRecord> records;
  for (const Line& line : read_lines(path)) records.push_back(line.record);
  return records;
}

}  // namespace monge::apps
