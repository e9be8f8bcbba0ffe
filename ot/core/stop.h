#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "monge/ot/core/error.h"

namespace monge {

// When long work should end: at a deadline, or when a question is answered with no. It is looked at between tiles, by
// all threads that do the work, and costs them one load and one look at the clock.
class Stop {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr Clock::time_point never = Clock::time_point::max();
  // A deadline; never, if that is decades away.
  static Clock::time_point after(Clock::time_point start, double seconds);

  // go_on: asked ten times a second during the work, by the thread that made this and no other; may be empty.
  explicit Stop(std::function<bool()> go_on, Clock::time_point deadline = never);
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;

  // Once true, always true, until it is rearmed.
  bool requested() const;
  // Throws Error(stopped).
  void look() const {
    if (requested()) throw Error(Errc::stopped, "stopped before the end");
  }
  void request() const { requested_ = true; }
  // Allows more work, up to another deadline; not while threads look.
  void rearm(Clock::time_point deadline);

 private:
  std::function<bool()> go_on_;
  Clock::time_point deadline_;
  std::thread::id asker_ = std::this_thread::get_id();
  mutable Clock::time_point next_question_;  // the asker's alone
  mutable std::atomic<bool> requested_ = false;
};

// Whether work() came to its end: false if a Stop ended it.
template <class Work>
bool finishes(const Work& work) {
  try {
    work();
    return true;
  } catch (const Error& error) {
    if (error.code() != Errc::stopped) throw;
    return false;
  }
}

}  // namespace monge
