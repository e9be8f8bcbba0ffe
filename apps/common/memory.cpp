#include "monge/apps/common/memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <string>

#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

// The number after `key` in a file of the kernel's "Key:   123 kB" lines, in bytes.
double kernel_figure(const char* path, const std::string& key, double otherwise) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    double kilobytes = 0;
    if (word == key && file >> kilobytes) return 1024 * kilobytes;
  }
  return otherwise;
}

// A file that holds one number; "max" is none.
double single_figure(const char* path, double otherwise) {
  double value = 0;
  return std::ifstream(path) >> value ? value : otherwise;
}

double limit_of_container() {
  const double most = single_figure("/sys/fs/cgroup/memory.max", unlimited);
  const double taken = single_figure("/sys/fs/cgroup/memory.current", 0);
  const double cached = kernel_figure("/sys/fs/cgroup/memory.stat", "inactive_file", 0) / 1024;  // in bytes there
  return std::max(0.0, most - std::max(0.0, taken - cached));
}

double limit_of_process() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return unlimited;
  const double reserved = kernel_figure("/proc/self/status", "VmSize:", 0);
  return std::max(0.0, static_cast<double>(limit.rlim_cur) - reserved);
}

}  // namespace

double peak_memory() { return kernel_figure("/proc/self/status", "VmHWM:", 0); }
void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }
double resident_memory() { return kernel_figure("/proc/self/status", "VmRSS:", 0); }

MemoryBudget::MemoryBudget(double megabytes) : given_(megabytes > 0), bytes_(1e6 * megabytes) {
  if (given_) {
    const double taken = resident_memory();
    if (taken > bytes_)
      throw Error(Errc::out_of_memory,
                  concat("the budget (--memory-mb) of ", monge::apps::megabytes(bytes_), " is less than the ",
                         monge::apps::megabytes(taken), " that the program itself takes"));
    return;
  }
  const double free = kernel_figure("/proc/meminfo", "MemAvailable:", unlimited);
  bytes_ = resident_memory() + 0.9 * std::min({free, limit_of_container(), limit_of_process()});
}

double MemoryBudget::left() const { return std::max(0.0, bytes_ - resident_memory()); }

void MemoryBudget::require(double bytes, const std::string& what) const {
  const double left = this->left();
  if (bytes <= left) return;
  const std::string needed = megabytes(bytes), rest = megabytes(left);
  throw Error(Errc::out_of_memory,
              concat(what, " would take about ", needed, needed == rest ? ", a little more than the " : "; ", rest,
                     needed == rest ? " that are left of " : " are left of ",
                     given_ ? "the budget (--memory-mb)" : "the memory of this machine (--memory-mb overrides)"));
}

std::string megabytes(double bytes) {
  char text[32];
  if (bytes < 1e9) {
    std::snprintf(text, sizeof text, bytes < 1e6 ? "%.1f MB" : "%.0f MB", bytes / 1e6);
  } else {
    std::snprintf(text, sizeof text, bytes < 1e12 ? "%.1f GB" : "%.0f GB", bytes / 1e9);
  }
  return text;
}

}  // namespace monge::apps
