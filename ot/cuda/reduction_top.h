#pragma once  // private: never installed
#include "monge/ot/cuda/engine.h"
#include "monge/ot/cuda/slabs.h"
#include "monge/ot/cuda/top_list.h"

namespace monge::ot::cuda {

template <class T>
struct TopArgs {
  int k;
  const Scored<T>* after;  // of rows, what earlier passes ended with; null: nothing
  Scored<T>* lists;        // parts x rows x list_places
};

// The k <= list_places best of each row behind `after`. Scores go to shared memory, 32 columns at a time, where a warp
// looks at its rows; a warp that has all of its rows' scores does so only if one of them may be among the best. Lists
// lie in device memory and are only touched for what beats their k-th best, which is rare.
template <class Tile_>
struct TopReduction {
  using Tile = Tile_;
  using T = typename Tile::T;
  using Place = typename Tile::Place;
  static constexpr int lists = Tile::tile_rows / block_warps, slice = 32, stride = slice + 1;
  static constexpr bool has_whole_rows = Tile::warp_columns == 1;
  static_assert(slice == warp_threads);
  using Args = TopArgs<T>;
  static constexpr int limits_bytes = Tile::tile_rows * sizeof(Scored<T>);
  static constexpr int shared_bytes = limits_bytes + Tile::tile_rows * stride * sizeof(T), blocks = 2;

  MONGE_DEVICE TopReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : p_(p),
        args_(args),
        block_(block),
        limits_(reinterpret_cast<Scored<T>*>(memory)),
        scores_(reinterpret_cast<T*>(memory + limits_bytes)) {
    const Place place{thread()};
    for (int row = place.warp() * lists; row < (place.warp() + 1) * lists; ++row) {
      if (place.lane() == 0) limits_[row] = {};
      if (block_.first_row + row < p_.rows) *place_in_list(row, place.lane()) = {};
    }
    warp_barrier();
  }

  MONGE_DEVICE void add(const T (&s)[Tile::rows][Tile::cols], Index first_col) {
    const Place place{thread()};
    const int lane = place.lane();
    if (has_whole_rows && !may_be_listed(s, place)) return;
#pragma unroll
    for (int part = 0; part < Tile::tile_cols / slice; ++part) {
      settle();
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) {
#pragma unroll
        for (int c = part * Tile::slice_cols; c < (part + 1) * Tile::slice_cols; ++c) {
          scores_[place.row(r) * stride + place.slot(c)] = s[r][c];
        }
      }
      settle();
      look_at_rows(place.warp() * lists, first_col + Tile::slice_col(part, lane), lane);
    }
  }

  MONGE_DEVICE void finish() {}

 private:
  static MONGE_DEVICE void settle() {  // who shares a row
    if constexpr (has_whole_rows) {
      warp_barrier();
    } else {
      barrier();
    }
  }

  // Whether any lane has a score that is not below its row's limit. All lanes are told.
  MONGE_DEVICE bool may_be_listed(const T (&s)[Tile::rows][Tile::cols], const Place& place) const {
    bool any = false;
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
      const T limit = limits_[place.row(r)].value;
#pragma unroll
      for (int c = 0; c < Tile::cols; ++c) any |= s[r][c] >= limit;
    }
    return ballot(any) != 0;
  }

  MONGE_DEVICE Scored<T>* place_in_list(int row, int lane) const {
    return args_.lists + (block_.part * p_.rows + block_.first_row + row) * list_places + lane;
  }

  // The scores of a warp's rows in one column for each lane.
  MONGE_DEVICE void look_at_rows(int first, Index col, int lane) {
#pragma unroll 1
    for (int row = first; row < first + lists; ++row) {
      const Index i = block_.first_row + row;
      if (i >= p_.rows) return;
      Scored<T> limit = limits_[row], shown;
      if (col < p_.cols) shown = {scores_[row * stride + lane], static_cast<std::int32_t>(col)};
      if (args_.after && !args_.after[i].before(shown)) shown = {};
      if (ballot(shown.before(limit)) == 0) continue;
      TopList<T> list{*place_in_list(row, lane)};
      list.insert_all(shown, args_.k, limit, lane);
      *place_in_list(row, lane) = list.mine;
      warp_barrier();  // all lanes have read the limit
      if (lane == 0) limits_[row] = limit;
    }
  }

  const Problem<T>& p_;
  const Args& args_;
  RowBlock block_;
  Scored<T>* limits_;
  T* scores_;
};

// The k best of all parts of a row, a warp for each, with u_i added; also what a next pass has to go on from, if `last`
// is not null. Of points in slabs `best` are the k best so far (rows x list_places).
template <class T>
MONGE_KERNEL(4)
merge_lists_kernel(Index rows, const Scored<T>* lists, Index parts, int k, const T* row_bias, T* values,
                   Index values_stride, std::int32_t* columns, Index columns_stride, Scored<T>* last, Scored<T>* best,
                   bool first) {
  const Index i = block_x() * block_warps + thread() / warp_threads;
  const int lane = thread() % warp_threads;
  if (i >= rows) return;
  TopList<T> list;
  Scored<T> limit;
  for (Index part = best && !first ? -1 : 0; part < parts; ++part) {
    Scored<T> shown;
    if (lane < k && part < 0) shown = best[i * list_places + lane];
    if (lane < k && part >= 0) shown = lists[(part * rows + i) * list_places + lane];
    list.insert_all(shown, k, limit, lane);
  }
  if (lane < k) {
    values[i * values_stride + lane] = row_bias ? list.mine.value + row_bias[i] : list.mine.value;
    columns[i * columns_stride + lane] = list.mine.column;
  }
  if (best) best[i * list_places + lane] = list.mine;
  if (last && lane == k - 1) last[i] = list.mine;
}
template <class T>
void merge_lists(Call& call, Index rows, const Scored<T>* lists, Index parts, int k, const T* row_bias,
                 MatrixView<T> values, MatrixView<std::int32_t> columns, Scored<T>* last, Scored<T>* best, Turn turn) {
  call.run(merge_lists_kernel<T>, blocks_for(rows, block_warps), 1, 0, rows, lists, parts, k, row_bias, values.data,
           values.stride, columns.data, columns.stride, last, best, turn.first);
}

}  // namespace monge::ot::cuda
