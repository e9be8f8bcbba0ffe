#pragma once  // private: never installed
#include "monge/ot/cuda/fragment.h"
#include "monge/ot/cuda/ops.h"
#include "monge/ot/cuda/partial.h"
#include "monge/ot/cuda/problem.h"

namespace monge::ot::cuda {

// A source makes the tiles of a block, one after the other, for the columns it was told of. It is a type with
//   Tile, T                         what it makes, WarpTile<T> or WideTile
//   shared_bytes, most_shared       its share of shared memory; what a block may have where it runs
//   blocks, cluster                 at most so many on a multiprocessor; so many successive blocks of rows go together
//   lead                            so many tiles are read before the first, and nothing is in them
//   Source(problem, first_row, first_col, tiles, memory)
//   read(first_col, s)              this thread's scores, -infinity behind the last column; all threads

// Takes the penalty off scores of unequal labels.
template <class Tile, class T>
MONGE_DEVICE void penalise(const Problem<T>& p, Index first_row, const std::int32_t* col_labels,
                           T (&s)[Tile::rows][Tile::cols]) {
  const typename Tile::Place place{thread()};
#pragma unroll
  for (int r = 0; r < Tile::rows; ++r) {
    const Index i = first_row + place.row(r);
    const std::int32_t label = i < p.rows ? p.row_labels[i] : 0;
#pragma unroll
    for (int c = 0; c < Tile::cols; ++c) {
      if (col_labels[place.col(c)] != label) s[r][c] -= p.label_penalty;
    }
  }
}

}  // namespace monge::ot::cuda
