#pragma once  // private: never installed
#include "monge/ot/cuda/engine.h"
#include "monge/ot/cuda/hadamard.h"
#include "monge/ot/cuda/half.h"
#include "monge/ot/cuda/top_list.h"

namespace monge::ot::cuda {

// How the scores of 64 rows, a group, come to one thread for each column: a group takes half of a tile's threads, which
// keep lists_of_row lists of a row between them. exchange: all threads.
template <class Tile>
struct ColumnExchange;

// A warp has all 64 rows of 32 columns. A bit of the lane for a bit of c, three times: from rows lane / 4 + 8 r and
// columns c of a thread's places to all rows of the column that was place c = lane / 4.
template <>
struct ColumnExchange<WarpTile<float>> {
  using Tile = WarpTile<float>;
  using Place = Tile::Place;
  static constexpr int shared_bytes = 0;
  static_assert(Tile::rows == 8 && Tile::cols == 8);

  static MONGE_DEVICE int group(const Place& place) { return place.warp_row(); }
  static MONGE_DEVICE int list(const Place& place) { return place.warp_column(); }
  static MONGE_DEVICE int column(const Place& place) { return place.col(place.lane() / 4); }

  static MONGE_DEVICE void exchange(const float (&s)[8][8], unsigned char*, const Place& place, float (&a)[64]) {
#pragma unroll
    for (int e = 0; e < 64; ++e) a[e] = s[e / 8][e % 8];
#pragma unroll
    for (int bit = 1; bit < 8; bit *= 2) {
      const bool upper = (place.lane() & 4 * bit) != 0;
#pragma unroll
      for (int e = 0; e < 64; ++e) {
        if (e & bit) continue;
        const float kept = upper ? a[e + bit] : a[e], got = shuffle_xor(upper ? a[e] : a[e + bit], 4 * bit);
        a[e] = upper ? got : kept;
        a[e + bit] = upper ? kept : got;
      }
    }
  }
};

// A warpgroup has all 64 rows of 128 columns, a thread each; they go through shared memory, a warp's columns at a time.
template <>
struct ColumnExchange<WideTile> {
  using Tile = WideTile;
  using Place = Tile::Place;
  static constexpr int at_once = 32, stride = at_once + 8;  // rows lie 8 banks apart
  static constexpr int shared_bytes = Tile::tile_rows * stride * sizeof(float);

  static MONGE_DEVICE int group(const Place& place) { return place.group(); }
  static MONGE_DEVICE int list(const Place& place) { return place.warp() % 4; }
  static MONGE_DEVICE int column(const Place& place) { return place.thread % Tile::tile_cols; }

  static MONGE_DEVICE void exchange(const float (&s)[2][32], unsigned char* memory, const Place& place,
                                    float (&a)[64]) {
    float* const scores = reinterpret_cast<float*>(memory);
    const int mine = column(place);
#pragma unroll
    for (int w = 0; w < Tile::tile_cols / at_once; ++w) {
      if (w > 0) barrier();
#pragma unroll
      for (int r = 0; r < 2; ++r) {
#pragma unroll
        for (int c = 8 * w; c < 8 * (w + 1); ++c) scores[place.row(r) * stride + place.col(c) % at_once] = s[r][c];
      }
      barrier();
      if (mine / at_once != w) continue;
#pragma unroll
      for (int i = 0; i < 64; ++i) a[i] = scores[(group(place) * Tile::group_rows + i) * stride + mine % at_once];
    }
  }
};

inline constexpr int most_sets = 64;    // of a pass
inline constexpr int lists_of_row = 4;  // of a part of the columns, one for each warp that sees the row

struct RecombineArgs {
  Index all_sets, first_set;  // of each group; the first of this pass
  int sets;                   // of this pass
  Rng signs;
  std::uint64_t first_block;       // of the first group's first set
  const float* bias;               // of columns
  const std::int32_t* row_labels;  // of recombined rows; null: none
  const std::int32_t* col_labels;
  float penalty, window;
  int keep;
  std::int32_t* limits;  // parts x recombined rows, as order_of has them
  Scored<float>* lists;  // (parts x lists_of_row) x recombined rows x list_places
};

// The best columns of recombined rows (ot/recombine.h), whose scores are mixed on chip from those of the rows as they
// are: six additions each, however many dimensions these took. Scores are exchanged once so that each thread has one
// column of all rows of a group, which then are mixed in registers, set after set. Lists lie in device memory, and are
// touched only by what is above the row's limit: the best so far less the window, or the last place of a list. Limits
// are what was known before the tile.
template <class Tile_>
struct RecombineReduction {
  using Tile = Tile_;
  using T = float;
  using Place = typename Tile::Place;
  using Exchange = ColumnExchange<Tile>;
  using Args = RecombineArgs;
  static constexpr int rows_of_group = 64, groups = Tile::tile_rows / rows_of_group;
  static_assert(groups * lists_of_row == block_warps);
  struct Memory {
    float limits[groups * most_sets * rows_of_group];
    std::uint32_t signs[groups * most_sets][2];
    unsigned char exchange[Exchange::shared_bytes > 0 ? Exchange::shared_bytes : 16];
  };
  static constexpr int shared_bytes = sizeof(Memory), blocks = 1;

  MONGE_DEVICE RecombineReduction(const Problem<float>& p, const Args& args, RowBlock block, unsigned char* memory)
      : p_(p), args_(args), block_(block), m_(*reinterpret_cast<Memory*>(memory)) {
    for (int set = thread(); set < groups * args.sets; set += block_threads) {
      const Rng::Block words = args.signs.bits(args.first_block + static_cast<std::uint64_t>(set_number(set)));
      m_.signs[set][0] = words.w[0];
      m_.signs[set][1] = words.w[1];
    }
    for (int e = thread(); e < groups * args.sets * rows_of_group; e += block_threads) {
      if (is_there(e)) *limit_of(e) = order_of(minus_infinity<float>());
    }
    const Place place{thread()};
    const int first = Exchange::group(place) * args.sets * rows_of_group;
    for (int e = first; e < first + args.sets * rows_of_group && is_there(e); ++e) *place_in_list(e, place) = {};
  }

  MONGE_DEVICE void add(const float (&s)[Tile::rows][Tile::cols], Index first_col) {
    const Place place{thread()};
    forget(block_.first_row);  // registers are for sums
    forget(block_.part);
    barrier();  // all have raised the limits of the last tile
    for (int e = thread(); e < groups * args_.sets * rows_of_group; e += block_threads) {
      if (is_there(e)) m_.limits[e] = from_order(*limit_of(e));
    }
    float a[rows_of_group];
    Exchange::exchange(s, m_.exchange, place, a);
    barrier();
    const int first_set = Exchange::group(place) * args_.sets;
    if (!is_there(first_set * rows_of_group)) return;
    const Index column = first_col + Exchange::column(place);
    const bool inside = column < p_.cols;
    const float bias = inside ? args_.bias[column] : minus_infinity<float>();
    const std::int32_t label = inside && args_.row_labels ? args_.col_labels[column] : 0;
#pragma unroll
    for (int i = 0; i < rows_of_group; ++i) a[i] = inside ? a[i] : 0.0f;
#pragma unroll 1
    for (int set = first_set; set < first_set + args_.sets; ++set) mix(a, set, bias, label, column, place);
  }

  MONGE_DEVICE void finish() {}

 private:
  // Sets are counted through the groups of the block, rows through its sets.
  MONGE_DEVICE Index set_number(int set) const {
    return (block_.first_row / rows_of_group + set / args_.sets) * args_.all_sets + args_.first_set + set % args_.sets;
  }
  MONGE_DEVICE Index row_number(int e) const {
    return set_number(e / rows_of_group) * rows_of_group + e % rows_of_group;
  }
  MONGE_DEVICE Index all_rows() const { return p_.rows * args_.all_sets; }
  MONGE_DEVICE bool is_there(int e) const {
    return block_.first_row + e / rows_of_group / args_.sets * rows_of_group < p_.rows;
  }
  MONGE_DEVICE std::int32_t* limit_of(int e) const { return args_.limits + block_.part * all_rows() + row_number(e); }
  MONGE_DEVICE Scored<float>* place_in_list(int e, const Place& place) const {
    const Index list = (block_.part * lists_of_row + Exchange::list(place)) * all_rows() + row_number(e);
    return args_.lists + list * list_places + place.lane();
  }

  // One set's scores in a thread's column, and what becomes of those above their limits.
  MONGE_DEVICE void mix(const float (&a)[rows_of_group], int set, float bias, std::int32_t label, Index column,
                        const Place& place) const {
    const float* const limits = m_.limits + set * rows_of_group;
    const std::uint32_t signs[2] = {m_.signs[set][0], m_.signs[set][1]};
    float t[rows_of_group];
#pragma unroll
    for (int i = 0; i < rows_of_group; ++i) {
      t[i] = float_of(bits_of(a[i]) ^ (signs[i / 32] << (31 - i % 32) & 0x80000000u));
    }
    hadamard64(t);
    bool any = false;
    if (args_.row_labels) {
      const std::int32_t* const labels = args_.row_labels + row_number(set * rows_of_group);
      const float penalised = bias - args_.penalty;
#pragma unroll
      for (int i = 0; i < rows_of_group; ++i) t[i] += labels[i] == label ? bias : penalised;
    } else {
#pragma unroll
      for (int i = 0; i < rows_of_group; ++i) t[i] += bias;
    }
#pragma unroll
    for (int i = 0; i < rows_of_group; ++i) any |= t[i] > limits[i];
    if (ballot(any) == 0) return;
    std::uint32_t hits[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < rows_of_group; ++i) {
      if (ballot(t[i] > limits[i]) != 0) hits[i / 32] |= 1u << (i % 32);
    }
#pragma unroll 1
    for (int half = 0; half < 2; ++half) {
      while (hits[half] != 0) {
        const int i = 32 * half + lowest_bit(hits[half]);
        hits[half] &= hits[half] - 1;
        float score = t[0];
#pragma unroll
        for (int k = 1; k < rows_of_group; ++k) score = k == i ? t[k] : score;
        take(set * rows_of_group + i, score, column, place);
      }
    }
  }

  // The scores of one row in a warp's columns: those that count go into its list, and its limit rises.
  MONGE_DEVICE void take(int e, float score, Index column, const Place& place) const {
    const int lane = place.lane();
    float top = score;
    for (int mask = 1; mask < warp_threads; mask *= 2) top = fmaxf(top, shuffle_xor(top, mask));
    Scored<float> shown;
    if (score > m_.limits[e] && score >= top - args_.window) shown = {score, static_cast<std::int32_t>(column)};
    Scored<float>* const mine = place_in_list(e, place);
    TopList<float> list{*mine};
    Scored<float> last{shuffle(list.mine.value, args_.keep - 1), shuffle(list.mine.column, args_.keep - 1)};
    list.insert_all(shown, args_.keep, last, lane);
    *mine = list.mine;
    const float limit = list.mine.value - args_.window;  // lane 0 has the best
    if (lane == 0) raise_atomically(limit_of(e), order_of(limit > last.value ? limit : last.value));
  }

  const Problem<float>& p_;
  const Args& args_;
  RowBlock block_;
  Memory& m_;
};

}  // namespace monge::ot::cuda
