#pragma once  // private: never installed
#include "monge/ot/cuda/source_halves.h"

namespace monge::ot::cuda {

// Tiles of split points by wgmma.m64n128k16, a warpgroup at a time, in the background: compute capability 9.0.
// `resident`: while a tile is reduced, the products of the next are made. Otherwise there are two sets of sums: while
// the tensor cores, which cut off what their sums cannot hold, fill one, the other is added to sums that are rounded.
// Beyond, blocks come in pairs that share their columns.
template <bool resident>
using CopiesForWarpgroups = std::conditional_t<resident, BulkCopies<6, 2, 1>, BulkCopies<5, 3, 2>>;

template <bool resident_, bool single>
class WarpgroupSource : public HalvesSource<WideTile, resident_, CopiesForWarpgroups<resident_>> {
  using Base = HalvesSource<WideTile, resident_, CopiesForWarpgroups<resident_>>;
  static_assert(resident_chunks == 2);

 public:
  using typename Base::Tile;
  static constexpr int blocks = 1, lead = resident_ ? 1 : 0, most_shared = shared_of_90;

  MONGE_DEVICE WarpgroupSource(const Problem<float>& p, Index first_row, Index first_col, Index tiles,
                               unsigned char* memory)
      : Base(p, first_row, first_col, tiles, memory) {
#pragma unroll
    for (float& sum : next_) sum = 0;
  }
  MONGE_DEVICE ~WarpgroupSource() {
    if constexpr (Base::resident) wait_products<0>(next_);  // those behind the last tile
  }
  WarpgroupSource(const WarpgroupSource&) = delete;
  WarpgroupSource& operator=(const WarpgroupSource&) = delete;

  MONGE_DEVICE void read(Index first_col, float (&s)[Tile::rows][Tile::cols]) {
    this->begin_tile();
    if constexpr (Base::resident) {
      read_and_start_next(s);
    } else {
      read_in_turns(s);
      this->finish(s);
    }
    this->fetch_columns(first_col + Tile::tile_cols);
  }

 private:
  static MONGE_DEVICE float& place_in(float (&s)[Tile::rows][Tile::cols], int i) {
    return s[i % 4 / 2][i / 4 * 2 + i % 2];
  }
  static MONGE_DEVICE void add(const float (&sums)[64], float (&s)[Tile::rows][Tile::cols]) {
#pragma unroll
    for (int i = 0; i < 64; ++i) place_in(s, i) += sums[i];
  }

  // The next tile's steps are waited for while the products of this one may still be on their way: what these read is
  // not copied over before the next tile but one. Three products take longer than the rest of a tile, so sums are
  // copied, and the next ones started at once; a single one does not, and is started when its registers are free.
  // Behind the last tile products of anything are started: with a branch, or a second place that starts products, the
  // compiler copies sums, for which it waits.
  MONGE_DEVICE void read_and_start_next(float (&s)[Tile::rows][Tile::cols]) {
    const Stages next = wait_for_tile();
    wait_products<0>(next_);
#pragma unroll
    for (int i = 0; i < 64; ++i) place_in(s, i) = single ? next_[i] : copied(next_[i]);
    if constexpr (single) this->finish(s);
    multiply_tile(next);
    if constexpr (!single) this->finish(s);
  }
  struct Stages {
    int first, second;
  };
  MONGE_DEVICE Stages wait_for_tile() {
    const int first = wait_for_chunk();
    return {first, this->chunks_ > 1 ? wait_for_chunk() : first};
  }
  MONGE_DEVICE int wait_for_chunk() {
    const int stage = this->next_step();
    this->copy_ahead();
    return stage;
  }
  MONGE_DEVICE void multiply_tile(const Stages& stages) {
    multiply<true>(this->m_.x[0], this->m_.y[stages.first], next_);
    if (this->chunks_ > 1) multiply<false>(this->m_.x[1], this->m_.y[stages.second], next_);
  }

  MONGE_DEVICE void read_in_turns(float (&s)[Tile::rows][Tile::cols]) {
    float even[64], odd[64];
#pragma unroll
    for (int i = 0; i < 64; ++i) place_in(s, i) = 0;
    multiply_next(even);
    int c = 1;
    for (; c + 1 < this->chunks_; c += 2) {
      multiply_next(odd);
      wait_products<1>(even);
      add(even, s);
      multiply_next(even);
      wait_products<1>(odd);
      add(odd, s);
    }
    if (c < this->chunks_) {
      multiply_next(odd);
      wait_products<0>(even);
      wait_products<0>(odd);
      add(even, s);
      add(odd, s);
    } else {
      wait_products<0>(even);
      add(even, s);
    }
  }
  MONGE_DEVICE void multiply_next(float (&sums)[64]) {
    const int stage = this->next_step();
    multiply<true>(this->m_.x[stage], this->m_.y[stage], sums);
    this->copy_ahead();  // the products are under way while another block is waited for
  }

  // Starts the products of a chunk; what is small goes first. `fresh`: there are no sums yet.
  template <bool fresh>
  MONGE_DEVICE void multiply(const Chunk& x_chunk, const Chunk& y_chunk, float (&sums)[64]) {
    const int rows = typename Tile::Place{thread()}.group() * Tile::group_rows * chunk_halves;
    const Operand x = operand_at(x_chunk.halves + rows), y = operand_at(y_chunk.halves);
    constexpr int high = 0, low = 2 * chunk_dims, step = 32;  // bytes; a step is 16 coordinates
    if constexpr (single) {
      begin_products();
      start<fresh>(sums, moved(x, high), moved(y, high));
      multiply_add(sums, moved(x, high + step), moved(y, high + step));
      end_products();
    } else {
      begin_products();
      start<fresh>(sums, moved(x, low), moved(y, high));
      multiply_add(sums, moved(x, low + step), moved(y, high + step));
      multiply_add(sums, moved(x, high), moved(y, low));
      multiply_add(sums, moved(x, high + step), moved(y, low + step));
      multiply_add(sums, moved(x, high), moved(y, high));
      multiply_add(sums, moved(x, high + step), moved(y, high + step));
      end_products();
    }
  }
  template <bool fresh>
  static MONGE_DEVICE void start(float (&sums)[64], Operand x, Operand y) {
    if constexpr (fresh) {
      monge::ot::cuda::multiply(sums, x, y);
    } else {
      multiply_add(sums, x, y);
    }
  }

  float next_[Base::resident ? 64 : 1];
};

}  // namespace monge::ot::cuda
