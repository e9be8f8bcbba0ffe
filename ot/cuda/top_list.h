#pragma once  // private: never installed
#include "monge/ot/cuda/ops.h"
#include "monge/ot/cuda/partial.h"

namespace monge::ot::cuda {

inline constexpr int list_places = warp_threads;  // the longest list a warp keeps

// The best of what it was shown, spread over a warp: lane l has the l-th best. All lanes call together.
template <class T>
struct TopList {
  Scored<T> mine;

  // Takes one more, the same on all lanes, if it is among the k best.
  MONGE_DEVICE void insert(const Scored<T>& one, int lane) {
    const int place = bits_set(ballot(mine.before(one)));  // lists are in order, so these are the first lanes
    const T above_value = shuffle_up(mine.value, 1);
    const std::int32_t above_column = shuffle_up(mine.column, 1);
    if (lane == place) mine = one;
    if (lane > place) mine = {above_value, above_column};
  }

  // Each lane shows one, or an empty place. `limit` is the k-th best so far.
  MONGE_DEVICE void insert_all(const Scored<T>& shown, int k, Scored<T>& limit, int lane) {
    std::uint32_t hits = ballot(shown.before(limit));
    while (hits != 0) {
      const int from = lowest_bit(hits);
      hits &= hits - 1;
      const Scored<T> one{shuffle(shown.value, from), shuffle(shown.column, from)};
      insert(one, lane);
      limit = {shuffle(mine.value, k - 1), shuffle(mine.column, k - 1)};
    }
  }
};

}  // namespace monge::ot::cuda
