#pragma once  // private: never installed
#include <cstdint>

#include "monge/ot/cuda/call.h"
#include "monge/ot/cuda/prepare.h"

namespace monge::ot::cuda {

// Which of the slabs a problem has.
struct Turn {
  bool first = true, last = true;
};

// Makes halves of one slab of a problem's points after the other. Those of the next are copied to the device meanwhile.
class Slabs {
 public:
  Slabs(Call& call, const Problem<float>& p);
  ~Slabs();
  Slabs(const Slabs&) = delete;
  Slabs& operator=(const Slabs&) = delete;

  bool next();  // false: there are no more
  const Problem<float>& problem() const { return slab_; }
  Turn turn() const { return {at_ == 0, at_ + 1 == count_}; }

 private:
  class OwnEvent {
   public:
    OwnEvent() = default;
    ~OwnEvent() { destroy_event(event_); }
    OwnEvent(const OwnEvent&) = delete;
    OwnEvent& operator=(const OwnEvent&) = delete;
    Event get() const { return event_; }

   private:
    const Event event_ = make_event();
  };
  struct Place {  // of what is copied from the host
    std::uint8_t* memory = nullptr;
    OwnEvent copied, read;
  };
  Index first(Index slab) const { return slab * points_.slab; }
  Index size(Index slab) const;
  void copy(Index slab);
  void split(Index slab, const std::uint8_t* from);

  Call& call_;
  const StreamedPoints& points_;
  const Problem<float> all_;
  Problem<float> slab_;
  Index count_, at_ = -1;
  Chunk* chunks_;
  float* unit_;
  Place places_[2];
};

// body(problem, turn) for each slab of columns (of rows, if those are streamed), or once, if the points are there. What
// it takes of the call's memory is given back after each, and after the last what slabs took.
template <class T, class Body>
void for_slabs(Call& call, const Problem<T>& p, const Body& body) {
  if constexpr (sizeof(T) == 4) {
    if (p.streamed) {
      const std::size_t mark = call.mark();
      for (Slabs slabs(call, p); slabs.next();) {
        const std::size_t own = call.mark();
        body(slabs.problem(), slabs.turn());
        call.give_back(own);
      }
      return call.give_back(mark);
    }
  }
  body(p, Turn{});
}

}  // namespace monge::ot::cuda
