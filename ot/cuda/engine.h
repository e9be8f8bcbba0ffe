#pragma once  // private: never installed
#include <type_traits>

#include "monge/ot/cuda/source_direct.h"
#include "monge/ot/cuda/source_few.h"
#include "monge/ot/cuda/source_warp.h"
#include "monge/ot/cuda/source_warpgroup.h"

namespace monge::ot::cuda {

// One pass: a block takes a tile's height of rows and a share of the columns, makes tiles of scores and hands them to a
// reduction, which at the end writes what it knows of each row. A reduction is a type with
//   Tile, Args                              the tiles it takes, and what it is told, by value
//   shared_bytes, blocks                    its share of shared memory; at most so many blocks on a multiprocessor
//   Reduction(problem, args, rows, memory)
//   add(s, first_col)                       this thread's scores of one more tile, in order of columns; all threads
//   call it finish()
struct RowBlock {
  Index first_row, part;
};

template <class Source, class Reduction>
MONGE_KERNEL((Source::blocks < Reduction::blocks ? Source::blocks : Reduction::blocks))
pass_kernel(Problem<typename Source::T> p, typename Reduction::Args args) {
  using Tile = typename Source::Tile;
  static_assert(std::is_same_v<Tile, typename Reduction::Tile>);
  const Index first_row = (p.first_block + (p.parts_first ? block_y() : block_x())) * Tile::tile_rows;
  const Index part = p.parts_first ? block_x() : block_y();
  const Index all_tiles = (p.cols + Tile::tile_cols - 1) / Tile::tile_cols,
              first_tile = p.first_tile + part * p.tiles_per_part;
  const Index left = all_tiles - first_tile, tiles = left < p.tiles_per_part ? left : p.tiles_per_part;
  Source source(p, first_row, first_tile * Tile::tile_cols, tiles, shared_memory());
  Reduction reduction(p, args, {first_row, part}, shared_memory() + Source::shared_bytes);
  for (Index tile = first_tile - Source::lead; tile < first_tile + tiles; ++tile) {
    typename Source::T s[Tile::rows][Tile::cols];
    source.read(tile * Tile::tile_cols, s);
    if (Source::lead == 0 || tile >= first_tile) reduction.add(s, tile * Tile::tile_cols);
  }
  reduction.finish();
}

// Puts together what the threads that share a row know of it, always in the same order: `rows` of each, one per row
// of the thread. visit(row of the tile, all that is known) is called for each row by one thread.
template <class Tile, class Known, class Add, class Visit>
MONGE_DEVICE void combine_rows(Known (&known)[Tile::rows], unsigned char* memory, const Add& add, const Visit& visit) {
  const typename Tile::Place place{thread()};
  Known* const shared = reinterpret_cast<Known*>(memory);  // tile_rows x warp_columns
  barrier();
#pragma unroll
  for (int r = 0; r < Tile::rows; ++r) {
    for (int mask = 1; mask < 4; mask *= 2) {
      const Known other = shuffle_whole(known[r], mask);
      add(known[r], other);  // lane 0 of 4 counts: (0 + 1) + (2 + 3)
    }
    if (place.lane() % 4 == 0) shared[place.row(r) * Tile::warp_columns + place.warp_column()] = known[r];
  }
  barrier();
  for (int row = thread(); row < Tile::tile_rows; row += block_threads) {
    Known all = shared[row * Tile::warp_columns];
    for (int w = 1; w < Tile::warp_columns; ++w) add(all, shared[row * Tile::warp_columns + w]);
    visit(row, all);
  }
}

template <class T>
MONGE_DEVICE LogSum<T> shuffle_whole(const LogSum<T>& known, int mask) {
  LogSum<T> other;
  other.best = shuffle_xor(known.best, mask);
  other.sum = shuffle_xor(known.sum, mask);
  return other;
}
template <class T>
MONGE_DEVICE Scored<T> shuffle_whole(const Scored<T>& known, int mask) {
  Scored<T> other;
  other.value = shuffle_xor(known.value, mask);
  other.column = shuffle_xor(known.column, mask);
  return other;
}
template <int count>
MONGE_DEVICE Sums<count> shuffle_whole(const Sums<count>& known, int mask) {
  Sums<count> other;
#pragma unroll
  for (int k = 0; k < count; ++k) other.v[k] = shuffle_xor(known.v[k], mask);
  return other;
}

}  // namespace monge::ot::cuda
