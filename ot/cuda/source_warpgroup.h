#pragma once  // private: never installed
#include "monge/ot/cuda/source_halves.h"

namespace monge::ot::cuda {

// Tiles of split points by wgmma.m64n128k16, a warpgroup at a time, in the background: compute capability 9.0. Beyond
// two chunks there are two sets of sums: while the tensor cores, which cut off what their sums cannot hold, fill one,
// the other is added to sums that are rounded.
template <bool resident_>
class WarpgroupSource : public HalvesSource<WideTile, resident_, 4, 2> {
  using Base = HalvesSource<WideTile, resident_, 4, 2>;

 public:
  using typename Base::Tile;
  static constexpr int blocks = resident_ ? 2 : 1, most_shared = shared_of_90;
  using Base::Base;

  MONGE_DEVICE void read(Index first_col, float (&s)[Tile::rows][Tile::cols]) {
    this->begin_tile();
    float even[64];
    if constexpr (Base::resident) {
      multiply<true>(0, even);
      if (this->chunks_ > 1) multiply<false>(1, even);
      this->fetch_columns(first_col + Tile::tile_cols);
      wait_products<0>(even);
#pragma unroll
      for (int i = 0; i < 64; ++i) place_in(s, i) = even[i];
    } else {
      float odd[64];
#pragma unroll
      for (int i = 0; i < 64; ++i) place_in(s, i) = 0;
      multiply<true>(0, even);
      this->fetch_columns(first_col + Tile::tile_cols);
      int c = 1;
      for (; c + 1 < this->chunks_; c += 2) {
        multiply<true>(c, odd);
        wait_products<1>(even);
        add(even, s);
        multiply<true>(c + 1, even);
        wait_products<1>(odd);
        add(odd, s);
      }
      if (c < this->chunks_) {
        multiply<true>(c, odd);
        wait_products<0>(even);
        wait_products<0>(odd);
        add(even, s);
        add(odd, s);
      } else {
        wait_products<0>(even);
        add(even, s);
      }
    }
    this->finish(s);
  }

 private:
  static MONGE_DEVICE float& place_in(float (&s)[Tile::rows][Tile::cols], int i) {
    return s[i % 4 / 2][i / 4 * 2 + i % 2];
  }
  static MONGE_DEVICE void add(const float (&sums)[64], float (&s)[Tile::rows][Tile::cols]) {
#pragma unroll
    for (int i = 0; i < 64; ++i) place_in(s, i) += sums[i];
  }

  // Starts the products of the next chunk, c of the tile; what is small goes first. `fresh`: there are no sums yet.
  template <bool fresh>
  MONGE_DEVICE void multiply(int c, float (&sums)[64]) {
    const int stage = this->next_step();
    const int rows = typename Tile::Place{thread()}.group() * Tile::group_rows * chunk_halves;
    const Operand x = operand_at(this->m_.x[Base::resident ? c : stage].halves + rows);
    const Operand y = operand_at(this->m_.y[stage].halves);
    constexpr int high = 0, low = 2 * chunk_dims, step = 32;  // bytes; a step is 16 coordinates
    if (this->p_.single_product) {
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
};

}  // namespace monge::ot::cuda
