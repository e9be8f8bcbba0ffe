#include "monge/ot/core/parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace monge {
namespace {

constexpr int spins = 2000;  // looks at a variable before sleeping on it: tens of microseconds

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// Waits until `variable` is no longer `value`, awake for a while, then asleep.
template <class T>
void wait_while(const std::atomic<T>& variable, T value) {
  for (int spin = 0; spin < spins; ++spin) {
    if (variable.load(std::memory_order_acquire) != value) return;
    relax();
  }
  variable.wait(value);
}

// One thread runs loops, the others of its OpenMP region help it. A loop ends when every task taken has ended: helpers
// that come late find it closed.
class Team {
 public:
  explicit Team(int size) : size_(size) {}
  int size() const { return size_; }

  // The leader's side: body(i, worker) for all i, by the leader (worker 0) and the helpers below `threads`.
  void run(int threads, Index count, LoopBody body) {
    body_ = &body;
    count_ = count;
    threads_ = threads;
    failure_ = nullptr;
    next_ = 0;
    if (threads > 1) {
      open_ = true;
      announce();
    }
    take_tasks(0);
    open_ = false;
    for (int inside = inside_; inside > 0; inside = inside_) wait_while(inside_, inside);
    if (failure_) std::rethrow_exception(failure_);
  }

  void dismiss() {
    dismissed_ = true;
    announce();
  }

  // A helper's side: returns when the team is dismissed.
  void serve(int worker) {
    for (unsigned seen = 0;;) {
      wait_while(calls_, seen);
      seen = calls_;
      if (dismissed_) return;
      // First in, then look: either the leader sees this helper inside, or the helper sees the loop closed.
      ++inside_;
      if (open_ && worker < threads_) take_tasks(worker);
      --inside_;
      inside_.notify_one();
    }
  }

 private:
  void announce() {
    ++calls_;
    calls_.notify_all();
  }

  void take_tasks(int worker) {
    for (Index i = next_++; i < count_; i = next_++) {
      try {
        (*body_)(i, worker);
      } catch (...) {
#pragma omp critical(monge_parallel_for)
        if (!failure_) failure_ = std::current_exception();
        next_ = count_;
      }
    }
  }

  int size_;  // threads asked for, this one included
  const LoopBody* body_ = nullptr;
  Index count_ = 0;
  int threads_ = 0;
  std::exception_ptr failure_;
  std::atomic<Index> next_ = 0;
  std::atomic<bool> open_ = false, dismissed_ = false;
  std::atomic<int> inside_ = 0;
  std::atomic<unsigned> calls_ = 0;
};

thread_local Team* my_team = nullptr;  // set while this thread leads one, and runs no task

// Tasks lead no team: loops inside loops run on one thread.
class Leading {
 public:
  explicit Leading(Team* team) : before_(my_team) { my_team = team; }
  ~Leading() { my_team = before_; }
  Leading(const Leading&) = delete;
  Leading& operator=(const Leading&) = delete;

 private:
  Team* before_;
};

}  // namespace

int resolve_threads(int requested) {
  if (requested > 0) return requested;
  return my_team ? my_team->size() : std::max(1, omp_get_max_threads());
}

int threads_worth(int requested, Index products) {
  constexpr Index enough = 1 << 15;
  return static_cast<int>(std::min<Index>(resolve_threads(requested), 1 + products / enough));
}

void with_team(int threads, Work work) {
  if (my_team) return work();
  Team team(resolve_threads(threads));
  std::exception_ptr failure;
#pragma omp parallel num_threads(team.size())
  {
    // Scoped to this region: OpenBLAS asks OpenMP how many threads it may use, and rounds differently with several.
    omp_set_num_threads(1);
    const int worker = omp_get_thread_num();
    if (worker == 0) {
      try {
        const Leading leading(&team);
        work();
      } catch (...) {
        failure = std::current_exception();
      }
      team.dismiss();
    } else {
      team.serve(worker);
    }
  }
  if (failure) std::rethrow_exception(failure);
}

void parallel_for(int threads, Index count, LoopBody body) {
  const int wanted = static_cast<int>(std::clamp<Index>(count, 1, resolve_threads(threads)));
  if (Team* team = my_team) {
    const Leading nobody(nullptr);
    team->run(wanted, count, body);
  } else {
    with_team(wanted, [&] { parallel_for(wanted, count, body); });
  }
}

}  // namespace monge
