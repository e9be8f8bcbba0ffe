#pragma once
#include "monge/ot/core/array.h"

namespace monge {

// The number of threads `requested` stands for: itself, or OpenMP's own choice when 0.
int resolve_threads(int requested);

// The same for a loop of so many products or so: waking a thread takes as long as some ten thousand of them.
int threads_worth(int requested, Index products);

// A borrowed callable body(index, worker). Unlike std::function it never allocates; it must not outlive what it
// borrows.
class LoopBody {
 public:
  template <class F>
  LoopBody(const F& f)
      : object_(&f),
        call_([](const void* object, Index index, int worker) { (*static_cast<const F*>(object))(index, worker); }) {}
  void operator()(Index index, int worker) const { call_(object_, index, worker); }

 private:
  const void* object_;
  void (*call_)(const void*, Index, int);
};

// Runs body(index, worker) for index in [0, count), worker in [0, threads). Which worker gets which index is not
// fixed, so bodies must not let results depend on `worker`. BLAS calls made inside run on one thread each.
// The first exception thrown by a body is rethrown here; indices that nobody has taken by then are left out.
void parallel_for(int threads, Index count, LoopBody body);

// Runs work() on this thread while up to `threads` - 1 others stand by to serve the parallel_for calls it makes, which
// then start and join no threads of their own: for long rows of short loops. A helper the machine has no time for
// delays nobody, it just gets no tasks.
class Work {
 public:
  template <class F>
  Work(const F& f) : object_(&f), call_([](const void* object) { (*static_cast<const F*>(object))(); }) {}
  void operator()() const { call_(object_); }

 private:
  const void* object_;
  void (*call_)(const void*);
};
void with_team(int threads, Work work);

}  // namespace monge
