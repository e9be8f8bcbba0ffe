#include "monge/ot/cpu/passes.h"
#include "monge/ot/cpu/sweep.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/cpu/hardmin.cpp"
#include "hwy/foreach_target.h"
#include "monge/ot/cpu/score_row-inl.h"

#ifndef MONGE_OT_CPU_HARDMIN_SHARED
#define MONGE_OT_CPU_HARDMIN_SHARED
namespace monge::ot::cpu {

// The best scores of a row so far, descending, and their columns. Columns come in rising order, so a score goes behind
// its equals and the lower column wins ties.
template <class T>
struct TopList {
  T* values;
  std::int32_t* columns;
  Index size, capacity;

  bool full() const { return size == capacity; }
  T last() const { return values[size - 1]; }
  void insert(T score, std::int32_t column) {
    if (full() && !(score > last())) return;
    Index at = full() ? size - 1 : size++;
    for (; at > 0 && values[at - 1] < score; --at) {
      values[at] = values[at - 1];
      columns[at] = columns[at - 1];
    }
    values[at] = score;
    columns[at] = column;
  }
};

}  // namespace monge::ot::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace monge::ot::cpu::HWY_NAMESPACE {

// The first column of [begin, end) whose score is `value`.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE Index find(const ScoreRow<D>& row, T value, Index begin, Index end) {
  const D d;
  const auto wanted = hn::Set(d, value);
  for (Index j = begin; j < end; j += static_cast<Index>(hn::Lanes(d))) {
    const auto found = hn::FindFirstTrue(d, hn::Eq(row.at(j), wanted));
    if (found >= 0) return j + static_cast<Index>(found);
  }
  return begin;
}

// The best score alone: most granules cost their maximum and one comparison.
template <class T>
void scan_best(const Tile<T>& tile, const MatrixView<T>& values, const MatrixView<std::int32_t>& columns) {
  using D = hn::ScalableTag<T>;
  for (Index i = 0; i < tile.rows; ++i) {
    const ScoreRow<D> row(tile, i);
    T best = values(i, 0);
    std::int32_t column = columns(i, 0);
    for_granules_above(row, tile.padded, best, [&](hn::Vec<D> top, Index begin, Index end) HWY_ATTR {
      best = hn::GetLane(hn::MaxOfLanes(D(), top));
      column = static_cast<std::int32_t>(tile.first_col + find(row, best, begin, end));
    });
    values(i, 0) = best;
    columns(i, 0) = column;
  }
}

template <class T>
void scan_list(const Tile<T>& tile, Index filled, const MatrixView<T>& values,
               const MatrixView<std::int32_t>& columns) {
  using D = hn::ScalableTag<T>;
  const D d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  HWY_ALIGN T lane[HWY_MAX_BYTES / sizeof(T)];
  for (Index i = 0; i < tile.rows; ++i) {
    const ScoreRow<D> row(tile, i);
    TopList<T> list{values.row(i), columns.row(i), std::min(filled, values.cols), values.cols};
    Index j = 0;
    for (; j < tile.cols && !list.full(); j += lanes) {  // anything goes, but not the padding
      hn::Store(row.at(j), d, lane);
      for (Index l = 0; l < std::min(lanes, tile.cols - j); ++l) {
        list.insert(lane[l], static_cast<std::int32_t>(tile.first_col + j + l));
      }
    }
    if (j >= tile.cols) continue;
    T limit = list.last();
    const Index from = j;
    for_granules_above(row, tile.padded, limit, [&](hn::Vec<D>, Index begin, Index end) HWY_ATTR {
      for (Index c = std::max(begin, from); c < end; c += lanes) {
        const auto s = row.at(c);
        if (hn::AllFalse(d, hn::Gt(s, hn::Set(d, limit)))) continue;
        hn::Store(s, d, lane);
        for (Index l = 0; l < lanes; ++l) list.insert(lane[l], static_cast<std::int32_t>(tile.first_col + c + l));
        limit = list.last();
      }
    });
  }
}

// Puts the scores of a tile into the lists of its rows, which have seen `filled` columns so far.
template <class T>
void scan(const Tile<T>& tile, Index filled, const MatrixView<T>& values, const MatrixView<std::int32_t>& columns) {
  if (values.cols == 1 && filled > 0) {
    scan_best(tile, values, columns);
  } else {
    scan_list(tile, filled, values, columns);
  }
}

void scan_float(const Tile<float>& tile, Index filled, const MatrixView<float>& values,
                const MatrixView<std::int32_t>& columns) {
  scan(tile, filled, values, columns);
}
void scan_double(const Tile<double>& tile, Index filled, const MatrixView<double>& values,
                 const MatrixView<std::int32_t>& columns) {
  scan(tile, filled, values, columns);
}

}  // namespace monge::ot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot::cpu {
namespace {

HWY_EXPORT(scan_float);
HWY_EXPORT(scan_double);

void scan(const Tile<float>& tile, Index filled, const MatrixView<float>& values,
          const MatrixView<std::int32_t>& columns) {
  HWY_DYNAMIC_DISPATCH(scan_float)(tile, filled, values, columns);
}
void scan(const Tile<double>& tile, Index filled, const MatrixView<double>& values,
          const MatrixView<std::int32_t>& columns) {
  HWY_DYNAMIC_DISPATCH(scan_double)(tile, filled, values, columns);
}

}  // namespace

template <class T>
void hardmin(const Scores<T>& s, MatrixView<T> values, MatrixView<std::int32_t> columns, const Context& context) {
  const Index n = s.rows(), k = values.cols;
  require(k <= s.cols(), "hardmin: ", k, " largest of ", s.cols(), " scores");
  if (k == 0) return;
  const Cut cut = Cut::along_rows(n, s.cols(), 1024 * k);
  const bool direct = cut.col_parts() == 1;  // otherwise each share of the columns fills lists of its own
  Matrix<T> part_values(direct ? 0 : n * cut.col_parts(), k);
  Matrix<std::int32_t> part_columns(direct ? 0 : n * cut.col_parts(), k);
  const MatrixView<T> all_values = direct ? values : part_values.view();
  const MatrixView<std::int32_t> all_columns = direct ? columns : part_columns.view();
  sweep(s, cut, context, [&](const Part& part, TileSource<T>& source, int) {
    for_tiles(source, part, [&](const Tile<T>& tile) {
      const Index first = part.col_part * n + tile.first_row;
      scan(tile, tile.first_col - part.first_col, all_values.rows_from(first, tile.rows),
           all_columns.rows_from(first, tile.rows));
    });
  });
  for_rows(n, context, [&](Index i) {
    if (!direct) {
      TopList<T> list{values.row(i), columns.row(i), 0, k};
      for (Index p = 0; p < cut.col_parts(); ++p) {
        const Index count = std::min(k, cut.part(p).cols);
        for (Index c = 0; c < count; ++c) list.insert(all_values(p * n + i, c), all_columns(p * n + i, c));
      }
    }
    for (Index c = 0; c < k && !s.u.empty(); ++c) values(i, c) += s.u[i];
  });
}

template void hardmin(const Scores<float>&, MatrixView<float>, MatrixView<std::int32_t>, const Context&);
template void hardmin(const Scores<double>&, MatrixView<double>, MatrixView<std::int32_t>, const Context&);

}  // namespace monge::ot::cpu
#endif
