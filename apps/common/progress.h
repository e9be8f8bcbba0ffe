#pragma once
#include <chrono>
#include <string>

namespace monge::apps {

// "0:07", "12:34", "1:02:03"; never negative.
std::string format_duration(double seconds);

// One line: label, share done, what is done of what at which rate, time left, and a note.
// `unit` empty: `done` and `total` are a bare share. `bar` columns of a bar; 0 leaves it out. `first`: where the
// `seconds` began, so that work taken over from earlier does not count into the rate.
std::string progress_line(const std::string& label, const std::string& unit, double done, double total, double seconds,
                          const std::string& note, int bar, double first = 0);

// How a long piece of work is getting on, told on stderr: a bar drawn over itself on a terminal, a plain line every few
// seconds elsewhere.
class Progress {
 public:
  // `done`: where the work starts, when it continues earlier work.
  Progress(std::string label, std::string unit, double total, double done = 0);
  ~Progress();  // closes the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(double done, const std::string& note = {});
  void finish();  // draws the last state, unless it stands there already, and closes the line

 private:
  void draw(bool last);

  std::string label_, unit_, note_;
  double total_, first_, done_;
  bool terminal_, open_ = true;
  bool begun_ = false, drawn_ = false;  // anything was drawn; the last state was
  std::chrono::steady_clock::time_point start_, next_;
};

}  // namespace monge::apps
