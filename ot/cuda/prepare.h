#pragma once  // private: never installed
#include "monge/ot/cuda/call.h"
#include "monge/ot/cuda/engine.h"
#include "monge/ot/cuda/reductions.h"

namespace monge::ot::cuda {

inline constexpr Index direct_dims = 8;  // products of more dimensions are made by tensor cores, if of floats

template <int size>
constexpr Index tiles_of(Index points) {
  return (points + size - 1) / size;
}

template <class T>
Rate<T> rate_of(T epsilon, Index cols);

// What kernels read of scores, brought to the device; for tensor cores the points are split first.
template <class T>
Problem<T> read_scores(Call& call, const Scores<T>& s, Products products);

// How many parts the columns are shared out in, a function of the shape alone: enough blocks for a large chip,
// `most_waves` times as many at most, each with at least `least` tiles, in multiples of it.
template <class T>
Index share_columns(Problem<T>& p, Index least = 2, Index most_waves = 8);
// So many rows' points, of so many chunks, stay in the L2 cache beside as many columns'.
Index rows_in_cache(Index chunks);

// For row i: shift_i, a T, nearest to f_i + u_i, and factor_i = weight_i / unit exp(what is left of it / epsilon), so
// that masses do not suffer from f being a T. Rows that send nothing have -infinity and 0. Any input but f may be null
// (0, or weight 1); unit is on the device, null: 1.
template <class T, class F, class W>
void shift_rows(Call& call, Index rows, const F* f, const T* u, const W* weights, const double* unit, double epsilon,
                T* shift, T* factor);

// On the device: the power of two at the largest of some weights, for exponentials times weights to stay above the
// smallest normal number.
template <class W>
const double* weight_unit(Call& call, const W* weights, Index count);

// Runs a pass over the source that suits the problem; told by RecombineArgs or its like, whichever the tile.
template <template <class Tile> class Reduction, class T, class Args>
void run_pass(Call& call, const Problem<T>& p, Index parts, const Args& args) {
  const Index blocks = tiles_of<WarpTile<T>::tile_rows>(p.rows) - p.first_block;
  const auto over = [&]<class Source>(Source*) {
    using Pass = Reduction<typename Source::Tile>;
    constexpr int shared_bytes = Source::shared_bytes + Pass::shared_bytes;
    static_assert(shared_bytes <= Source::most_shared);
    constexpr int together = Source::cluster;
    const Index rows = (blocks + together - 1) / together * together;
    const Grid grid = p.parts_first ? Grid{parts, rows, 1, together} : Grid{rows, parts, together, 1};
    call.run(pass_kernel<Source, Pass>, grid, shared_bytes, p, args);
  };
  if constexpr (sizeof(T) == 8) {
    over(static_cast<DirectSource<WarpTile<T>>*>(nullptr));
  } else {
    if (p.maker == Maker::halves) {
      const bool resident = p.chunks <= resident_chunks;
      if (!p.by_warpgroups)
        return resident ? over(static_cast<WarpSource<true>*>(nullptr))
                        : over(static_cast<WarpSource<false>*>(nullptr));
      if (p.single_product)
        return resident ? over(static_cast<WarpgroupSource<true, true>*>(nullptr))
                        : over(static_cast<WarpgroupSource<false, true>*>(nullptr));
      return resident ? over(static_cast<WarpgroupSource<true, false>*>(nullptr))
                      : over(static_cast<WarpgroupSource<false, false>*>(nullptr));
    }
    if (p.maker == Maker::dot && p.dims <= few_dims) return over(static_cast<FewSource*>(nullptr));
    over(static_cast<DirectSource<WideTile>*>(nullptr));
  }
}

// body(i) for each i, one thread each.
template <class Body>
MONGE_KERNEL(4)
for_each_kernel(Index count, Body body) {
  const Index i = block_x() * block_threads + thread();
  if (i < count) body(i);
}
template <class Body>
void for_each(Call& call, Index count, const Body& body) {
  call.run(for_each_kernel<Body>, blocks_for(count), 1, 0, count, body);
}

}  // namespace monge::ot::cuda
