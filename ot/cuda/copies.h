#pragma once  // private: never installed
#include "monge/ot/cuda/ops.h"
#include "monge/ot/cuda/split_points.h"

namespace monge::ot::cuda {

// Who copies chunks to shared memory, in steps: each fills a stage, of which there are `stages`, one after the other,
// `ahead` steps before it is read. A type with
//   Memory, shared_by              its share of shared memory; so many blocks have the same columns, and each copies a
//                                  share of them for all
//   Copies(memory)                 all threads
//   release()                      all threads have read what was there `stages - ahead` steps ago
//   copies()                       whether this thread starts copies, of a step:
//     reclaim(stage)                 before, once all stages have been filled: blocks that share columns have read them
//     start(stage, to, from)         a copy; start_shared: one that all blocks that share columns start
//     end(stage)                     after the last
//   await(stage)                   all threads, until the step's copies are there

// All threads copy; those of a step are a group.
template <int stages_, int ahead_>
class ThreadCopies {
 public:
  static constexpr int stages = stages_, ahead = ahead_, shared_by = 1;
  struct Memory {};

  MONGE_DEVICE explicit ThreadCopies(Memory&) {}
  MONGE_DEVICE void release() const {
    wait_groups<ahead - 1>();
    barrier();  // everybody's copies of the step to be read are there, too
  }
  static MONGE_DEVICE bool copies() { return true; }
  MONGE_DEVICE void reclaim(int) const {}
  MONGE_DEVICE void start(int, Chunk& to, const Chunk& from) const {
    constexpr int at_once = 8 * block_threads;  // halves
#pragma unroll
    for (int h = 0; h < chunk_points * chunk_halves; h += at_once)
      start_copy(to.halves + h + 8 * thread(), from.halves + h + 8 * thread());
  }
  MONGE_DEVICE void start_shared(int stage, Chunk& to, const Chunk& from) const { start(stage, to, from); }
  MONGE_DEVICE void end(int) const { end_group(); }
  MONGE_DEVICE void await(int) const {}
};

// The copy engine does, told by one thread: compute capability 9.0. What products of warpgroups read needs no fence.
template <int stages_, int ahead_, int shared_by_>
class BulkCopies {
 public:
  static constexpr int stages = stages_, ahead = ahead_, shared_by = shared_by_;
  static_assert(stages <= 32);
  struct Memory {
    Arrival full[stages], read[stages];
  };

  MONGE_DEVICE explicit BulkCopies(Memory& m) : m_(m) {
    if (thread() == 0) {
      for (int s = 0; s < stages; ++s) {
        make_arrival(m_.full[s], 1);
        make_arrival(m_.read[s], shared_by);
      }
      show_arrivals();
    }
    if constexpr (shared_by > 1) {
      cluster_barrier();
    } else {
      barrier();
    }
  }
  MONGE_DEVICE ~BulkCopies() {
    if constexpr (shared_by > 1) cluster_barrier();  // no memory goes that others know of
  }
  BulkCopies(const BulkCopies&) = delete;
  BulkCopies& operator=(const BulkCopies&) = delete;

  MONGE_DEVICE void release() const { barrier(); }
  static MONGE_DEVICE bool copies() { return thread() == 0; }
  MONGE_DEVICE void reclaim(int stage) {
    if constexpr (shared_by > 1) {
      for (int rank = 0; rank < shared_by; ++rank) arrive_at(m_.read[stage], rank);
      wait(m_.read[stage], read_ >> stage & 1);
      read_ ^= 1u << stage;
    }
  }
  MONGE_DEVICE void start(int stage, Chunk& to, const Chunk& from) const {
    expect(m_.full[stage], sizeof(Chunk));
    start_bulk_copy(to.halves, from.halves, sizeof(Chunk), m_.full[stage]);
  }
  // Each block copies its share to all.
  MONGE_DEVICE void start_shared(int stage, Chunk& to, const Chunk& from) const {
    if constexpr (shared_by == 1) return start(stage, to, from);
    constexpr int share = chunk_points * chunk_halves / shared_by;
    const int first = cluster_rank() * share;
    expect(m_.full[stage], sizeof(Chunk));
    start_cluster_copy<shared_by>(to.halves + first, from.halves + first, share * sizeof(std::uint16_t),
                                  m_.full[stage]);
  }
  MONGE_DEVICE void end(int stage) const { arrive(m_.full[stage]); }
  MONGE_DEVICE void await(int stage) {
    wait(m_.full[stage], filled_ >> stage & 1);
    filled_ ^= 1u << stage;
    warp_barrier();
  }

 private:
  Memory& m_;
  std::uint32_t filled_ = 0, read_ = 0;  // by stage: which of two phases comes next
};

}  // namespace monge::ot::cuda
