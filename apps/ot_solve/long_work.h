#pragma once
#include <algorithm>
#include <chrono>
#include <string>

#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/progress.h"

namespace monge::apps {

// A progress bar that only work of more than a second gets to see, and the clock and the interrupt that end it.
class LongWork {
 public:
  explicit LongWork(const std::string& label, double max_seconds = 0) : bar_(label, "", 1), max_seconds_(max_seconds) {}

  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  bool out_of_time() const { return max_seconds_ > 0 && seconds() >= max_seconds_; }

  // share: done, in [0, 1]; never goes back. False when the user wants an end.
  bool update(double share, const std::string& note = {}) {
    share_ = std::max(share_, share);
    if (max_seconds_ > 0) share_ = std::max(share_, std::min(1.0, seconds() / max_seconds_));
    shown_ = shown_ || seconds() > 1;
    if (shown_) bar_.update(share_, note);
    return !interrupted();
  }
  // The work came to its end by itself.
  void finish() {
    if (!shown_) return;
    bar_.update(1);
    bar_.finish();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Progress bar_;
  double max_seconds_;
  Clock::time_point start_ = Clock::now();
  double share_ = 0;
  bool shown_ = false;
};

}  // namespace monge::apps
