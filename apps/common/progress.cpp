#include "monge/apps/common/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string_view>

namespace monge::apps {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto redraw = std::chrono::milliseconds(100);  // on a terminal
constexpr auto repeat = std::chrono::seconds(5);         // elsewhere

std::string formatted(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string rate(double per_second, const std::string& unit) {
  if (per_second >= 1) return formatted(per_second < 10 ? "%.1f " : "%.0f ", per_second) + unit + "s/s";
  return formatted("%.1f s/", 1 / per_second) + unit;
}

std::string drawn_bar(double share, int columns) {
  const int full = static_cast<int>(share * columns);
  std::string bar(static_cast<std::size_t>(columns), '-');
  std::fill_n(bar.begin(), full, '=');
  if (full < columns) bar[static_cast<std::size_t>(full)] = '>';
  return "[" + bar + "] ";
}

int terminal_columns() {
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string format_duration(double seconds) {
  const long s = std::lround(std::max(0.0, std::min(seconds, 1e9)));
  char text[32];
  if (s < 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld", s / 60, s % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
  }
  return text;
}

std::string progress_line(const std::string& label, const std::string& unit, double done, double total, double seconds,
                          const std::string& note, int bar, double first) {
  const double share = total > 0 ? std::clamp(done / total, 0.0, 1.0) : 1;
  std::string line =
      label + " " + (bar > 0 ? drawn_bar(share, bar) : "") + formatted("%3.0f%%", std::floor(100 * share));
  if (!unit.empty()) line += formatted("  %.0f", done) + formatted("/%.0f ", total) + unit + "s";
  if (done > first && seconds > 0 && share < 1) {
    if (!unit.empty()) line += "  " + rate((done - first) / seconds, unit);
    line += "  " + format_duration(seconds / (done - first) * (total - done)) + " left";
  } else if (share >= 1) {
    line += "  in " + format_duration(seconds);
  }
  return note.empty() ? line : line + "  " + note;
}

Progress::Progress(std::string label, std::string unit, double total, double done)
    : label_(std::move(label)), unit_(std::move(unit)), total_(total), first_(done), done_(done) {
  const char* kind = std::getenv("TERM");
  terminal_ = isatty(STDERR_FILENO) && kind != nullptr && std::string_view(kind) != "dumb";
  start_ = next_ = Clock::now();
  if (!terminal_) next_ += repeat;
}

Progress::~Progress() {
  if (open_ && terminal_ && begun_) std::cerr << "\n" << std::flush;
}

void Progress::update(double done, const std::string& note) {
  done_ = done;
  note_ = note;
  drawn_ = false;
  const auto now = Clock::now();
  if (now < next_) return;
  next_ = now + (terminal_ ? Clock::duration(redraw) : Clock::duration(repeat));
  draw(false);
}

void Progress::finish() {
  if (!open_) return;
  if (terminal_ || !drawn_) draw(true);
  open_ = false;
}

void Progress::draw(bool last) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const std::string line = progress_line(label_, unit_, done_, total_, seconds, note_, terminal_ ? 24 : 0, first_);
  if (terminal_) {
    std::cerr << "\r" << line.substr(0, static_cast<std::size_t>(terminal_columns() - 1)) << "\033[K";
  } else {
    std::cerr << line;
  }
  if (last || !terminal_) std::cerr << "\n";
  std::cerr << std::flush;
  begun_ = drawn_ = true;
}

}  // namespace monge::apps
