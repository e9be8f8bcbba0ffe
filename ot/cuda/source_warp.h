#pragma once  // private: never installed
#include "monge/ot/cuda/source_halves.h"

namespace monge::ot::cuda {

// Tiles of split points by mma.m16n8k16, a warp at a time: compute capability 8.0 and later. Up to two chunks one run
// of sums will do; beyond, every two chunks the sums of the tensor cores, which cut off what they cannot hold, are
// added to others that are rounded.
template <bool resident_>
class WarpSource : public HalvesSource<WarpTile<float>, resident_, ThreadCopies<3, 2>> {
  using Base = HalvesSource<WarpTile<float>, resident_, ThreadCopies<3, 2>>;

 public:
  using typename Base::Tile;
  using Place = typename Tile::Place;
  static constexpr int blocks = 1, lead = 0, most_shared = shared_of_80;
  using Base::Base;

  MONGE_DEVICE void read(Index first_col, float (&s)[Tile::rows][Tile::cols]) {
    const Place place{thread()};
    float sums[Tile::across][Tile::along][4];
    this->begin_tile();
    clear(sums);
    if constexpr (!Base::resident) {
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) {
#pragma unroll
        for (int c = 0; c < Tile::cols; ++c) s[r][c] = 0;
      }
    }
    for (int c = 0; c < this->chunks_; ++c) {
      const int stage = this->next_step();
      this->copy_ahead();
      if (c == 0) this->fetch_columns(first_col + Tile::tile_cols);
      multiply(place, this->m_.x[Base::resident ? c : stage], this->m_.y[stage], sums);
      if (!Base::resident && (c % 2 == 1 || c + 1 == this->chunks_)) {
        add(sums, s);
        clear(sums);
      }
    }
    if constexpr (Base::resident) move(sums, s);
    this->finish(s);
  }

 private:
  static MONGE_DEVICE void clear(float (&sums)[Tile::across][Tile::along][4]) {
#pragma unroll
    for (int i = 0; i < Tile::across; ++i) {
#pragma unroll
      for (int j = 0; j < Tile::along; ++j) {
#pragma unroll
        for (int q = 0; q < 4; ++q) sums[i][j][q] = 0;
      }
    }
  }
  static MONGE_DEVICE void move(const float (&sums)[Tile::across][Tile::along][4], float (&s)[Tile::rows][Tile::cols]) {
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
#pragma unroll
      for (int c = 0; c < Tile::cols; ++c) s[r][c] = sums[r / 2][c / 2][r % 2 * 2 + c % 2];
    }
  }
  static MONGE_DEVICE void add(const float (&sums)[Tile::across][Tile::along][4], float (&s)[Tile::rows][Tile::cols]) {
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
#pragma unroll
      for (int c = 0; c < Tile::cols; ++c) s[r][c] += sums[r / 2][c / 2][r % 2 * 2 + c % 2];
    }
  }

  MONGE_DEVICE void multiply(const Place& place, const Chunk& x, const Chunk& y,
                             float (&sums)[Tile::across][Tile::along][4]) const {
    const MatrixRow left = left_row(place.lane()), right = right_row(place.lane());
    const bool single = this->p_.single_product;
    const auto load_left = [&](int i, int h, std::uint32_t(&a)[4]) {
      load_matrices(a, x.halves + place_of(place.first_row() + 16 * i + left.row, h + left.k));
    };
#pragma unroll
    for (int k = 0; k < chunk_dims; k += 16) {
      std::uint32_t high[Tile::along / 2][4], low[Tile::along / 2][4];
#pragma unroll
      for (int j = 0; j < Tile::along / 2; ++j) {
        const int row = place.first_col() + 16 * j + right.row;
        load_matrices(high[j], y.halves + place_of(row, k + right.k));
        if (!single) load_matrices(low[j], y.halves + place_of(row, chunk_dims + k + right.k));
      }
#pragma unroll
      for (int i = 0; i < Tile::across; ++i) {
        std::uint32_t a[4];
        if (!single) {  // what is small goes first
          load_left(i, chunk_dims + k, a);
#pragma unroll
          for (int j = 0; j < Tile::along; ++j)
            multiply_add(sums[i][j], a, high[j / 2][j % 2 * 2], high[j / 2][j % 2 * 2 + 1]);
        }
        load_left(i, k, a);
        if (!single) {
#pragma unroll
          for (int j = 0; j < Tile::along; ++j)
            multiply_add(sums[i][j], a, low[j / 2][j % 2 * 2], low[j / 2][j % 2 * 2 + 1]);
        }
#pragma unroll
        for (int j = 0; j < Tile::along; ++j)
          multiply_add(sums[i][j], a, high[j / 2][j % 2 * 2], high[j / 2][j % 2 * 2 + 1]);
      }
    }
  }
};

}  // namespace monge::ot::cuda
