#include "monge/ot/core/stop.h"

namespace monge {
namespace {

constexpr std::chrono::milliseconds between_questions{100};

}  // namespace

Stop::Clock::time_point Stop::after(Clock::time_point start, double seconds) {
  constexpr double ever = 1e9;
  if (!(seconds < ever)) return never;
  return start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

Stop::Stop(std::function<bool()> go_on, Clock::time_point deadline)
    : go_on_(std::move(go_on)), deadline_(deadline), next_question_(Clock::now() + between_questions) {}

bool Stop::requested() const {
  if (requested_.load(std::memory_order_relaxed)) return true;
  const Clock::time_point now = Clock::now();
  if (now >= deadline_) {
    request();
  } else if (go_on_ && std::this_thread::get_id() == asker_ && now >= next_question_) {
    if (!go_on_()) request();
    next_question_ = Clock::now() + between_questions;
  }
  return requested_.load(std::memory_order_relaxed);
}

void Stop::rearm(Clock::time_point deadline) {
  deadline_ = deadline;
  requested_ = false;
}

}  // namespace monge
