#pragma once
#include <memory>
#include <vector>

#include "monge/ot/core/device.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/cpu/tile_source.h"

namespace monge::ot::cpu {

struct Part : Box {
  Index row_part = 0, col_part = 0;
};

// Cuts the n x m scores into parts that can be worked on at the same time. It looks at the shape alone, never at the
// number of threads, so whatever is added up per part and then over parts in order has the same bits on any of them.
class Cut {
 public:
  // For reductions along rows: one block of rows per part, and, where blocks are few, shares of the columns of at least
  // `share_cols`: what a share has to learn anew (its best scores so far) must not cost more than the rest.
  static Cut along_rows(Index rows, Index cols, Index share_cols = 4 * tile_cols) {
    const Index blocks = std::max<Index>(1, count(rows, tile_rows));
    const Index width = share(cols, tile_cols, count(wanted, blocks));
    return {rows, cols, tile_rows, std::max(width, round_up(share_cols, tile_cols))};
  }
  // For reductions along columns: wide shares of the columns, and, where these are few, shares of the rows.
  static Cut along_columns(Index rows, Index cols) {
    const Index width = std::max(share(cols, tile_cols, wanted), 16 * tile_cols);
    return {rows, cols, share(rows, tile_rows, count(wanted, std::max<Index>(1, count(cols, width)))), width};
  }

  Index row_parts() const { return count(rows_, part_rows_); }
  Index col_parts() const { return count(cols_, part_cols_); }
  Index parts() const { return row_parts() * col_parts(); }
  Part part(Index index) const {
    const Index r = index / col_parts(), c = index % col_parts(), row = r * part_rows_, col = c * part_cols_;
    return {{row, std::min(part_rows_, rows_ - row), col, std::min(part_cols_, cols_ - col)}, r, c};
  }

 private:
  static constexpr Index wanted = 32;  // parts to share among threads

  Cut(Index rows, Index cols, Index part_rows, Index part_cols)
      : rows_(rows), cols_(cols), part_rows_(part_rows), part_cols_(part_cols) {}

  static Index count(Index size, Index step) { return (size + step - 1) / step; }
  // The length, a multiple of `step`, of at most `shares` shares of `size`.
  static Index share(Index size, Index step, Index shares) {
    return std::max<Index>(1, count(count(size, step), shares)) * step;
  }

  Index rows_, cols_, part_rows_, part_cols_;
};

// Calls visit(tile) for the tiles of a box, row by row of tiles of `step` rows.
template <class T, class Visit>
void for_tiles(TileSource<T>& source, const Box& box, Index step, const Visit& visit) {
  for (Index r = 0; r < box.rows; r += step) {
    for (Index c = 0; c < box.cols; c += tile_cols) {
      visit(source.read(
          {box.first_row + r, std::min(step, box.rows - r), box.first_col + c, std::min(tile_cols, box.cols - c)}));
    }
  }
}

// In tiles of the source's favourite height.
template <class T, class Visit>
void for_tiles(TileSource<T>& source, const Box& box, const Visit& visit) {
  for_tiles(source, box, source.rows_per_tile(), visit);
}

// Calls body(part, source, worker) for every part, on several threads, each with a source of tiles of its own.
template <class T, class Body>
void sweep(const Scores<T>& s, const Cut& cut, const Context& context, const Body& body) {
  const Index work = s.rows() * s.cols() * std::max<Index>(1, s.is_stored() ? 1 : s.x.cols / 8);
  const Index workers = std::min<Index>(threads_worth(context.threads, work), cut.parts());
  const Digits made = column_digits(s, context);
  std::vector<std::unique_ptr<TileSource<T>>> sources;
  for (Index w = 0; w < workers; ++w) sources.push_back(std::make_unique<TileSource<T>>(s, made, context.stop));
  parallel_for(static_cast<int>(workers), cut.parts(), [&](Index index, int worker) {
    body(cut.part(index), *sources[static_cast<std::size_t>(worker)], worker);
  });
}

// Calls body(row) for every row, on several threads.
template <class Body>
void for_rows(Index rows, const Context& context, const Body& body) {
  parallel_for(context.threads, (rows + tile_rows - 1) / tile_rows, [&](Index block, int) {
    for (Index i = block * tile_rows; i < std::min(rows, (block + 1) * tile_rows); ++i) body(i);
  });
}

}  // namespace monge::ot::cpu
