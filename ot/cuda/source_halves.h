#pragma once  // private: never installed
#include <type_traits>

#include "monge/ot/cuda/copies.h"
#include "monge/ot/cuda/source.h"

namespace monge::ot::cuda {

// Products on tensor cores, of points split into two halves each (half.h):
//   <x, y> = units (high_x high_y + high_x low_y + low_x high_y),  low_x low_y being below what is kept.
// This is what those who multiply have in common: points come to shared memory a chunk at a time, copied ahead across
// tiles (copies.h). `resident`: the rows' points (at most two chunks) stay there, otherwise they are copied again with
// each tile. A copy may overwrite what was read `stages - ahead` steps ago.
inline constexpr int resident_chunks = 2;

template <class Tile_, bool resident_, class Copies>
class HalvesSource {
 public:
  using Tile = Tile_;
  using T = float;
  static constexpr bool resident = resident_;
  static constexpr int stages = Copies::stages, ahead = Copies::ahead, cluster = Copies::shared_by;
  static_assert(Tile::tile_rows == chunk_points && Tile::tile_cols == chunk_points);

  struct alignas(16) ColumnPair {  // 16 bytes are read at once
    float unit[2], bias[2];
  };
  struct Memory {
    Chunk y[stages];
    Chunk x[resident ? resident_chunks : stages];
    ColumnPair columns[2][Tile::tile_cols / 2];  // of this tile and the last
    float row_unit[Tile::tile_rows];
    std::int32_t labels[2][Tile::tile_cols];
    typename Copies::Memory copies;
  };
  static constexpr int shared_bytes = (sizeof(Memory) + 127) / 128 * 128;

  // Tiles will be read in order, `tiles` of them from column first_col on.
  MONGE_DEVICE HalvesSource(const Problem<float>& p, Index first_row, Index first_col, Index tiles,
                            unsigned char* memory)
      : p_(p),
        m_(*reinterpret_cast<Memory*>(memory)),
        first_row_(first_row),
        chunks_(p.chunks),
        copies_(m_.copies),
        x_(p.x_chunks + first_row / chunk_points * p.chunks),
        next_y_(p.y_chunks + first_col / chunk_points * p.chunks),
        steps_left_(static_cast<int>(tiles) * chunks_) {
    for (int i = thread(); i < Tile::tile_rows; i += block_threads) {
      m_.row_unit[i] = first_row + i < p.rows ? p.x_unit[first_row + i] : 0.0f;
    }
    if (copies_.copies()) {
      for (int c = 0; resident && c < chunks_; ++c) copies_.start(0, m_.x[c], x_[c]);  // part of the first step
      for (int s = 0; s < ahead; ++s) start();
    }
    fetch_columns(first_col);
  }

 protected:
  // First of all in a tile: what is known of its columns, and is used after the first step.
  MONGE_DEVICE void begin_tile() {
    parity_ ^= 1;
    const int j = thread();
    if (j < Tile::tile_cols) {
      ColumnPair& pair = m_.columns[parity_][j / 2];
      pair.unit[j % 2] = unit_;
      pair.bias[j % 2] = bias_;
      m_.labels[parity_][j] = label_;
    }
  }

  // Waits for the next chunk of points. All threads; copy_ahead comes after each.
  MONGE_DEVICE int next_step() {
    copies_.release();
    const int stage = stage_;
    stage_ = stage + 1 == stages ? 0 : stage + 1;
    copies_.await(stage);
    return stage;
  }
  // Starts copies of a chunk further on. All threads; those who copy may wait for other blocks here.
  MONGE_DEVICE void copy_ahead() {
    if (copies_.copies()) {
      copies_.reclaim(next_stage_);
      start();
    }
    warp_barrier();
  }

  // Columns of the tile at first_col, one a thread, fetched while the products are made.
  MONGE_DEVICE void fetch_columns(Index first_col) {
    static_assert(Tile::tile_cols <= block_threads);
    const Index j = first_col + thread();
    const bool inside = thread() < Tile::tile_cols && j < p_.cols;
    bias_ = !inside ? minus_infinity<float>() : p_.col_bias ? p_.col_bias[j] : 0.0f;
    unit_ = inside ? p_.y_unit[j] * p_.scale : 0.0f;
    label_ = inside && p_.col_labels ? p_.col_labels[j] : 0;
  }

  // From sums of products to scores; -infinity behind the last column, by its bias.
  MONGE_DEVICE void finish(float (&s)[Tile::rows][Tile::cols]) const {
    const typename Tile::Place place{thread()};
    float row_unit[Tile::rows];
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) row_unit[r] = m_.row_unit[place.row(r)];
#pragma unroll
    for (int c = 0; c < Tile::cols; c += 2) {
      const ColumnPair pair = m_.columns[parity_][place.pair(c)];
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) {
#pragma unroll
        for (int e = 0; e < 2; ++e) s[r][c + e] = fmaf(s[r][c + e], row_unit[r] * pair.unit[e], pair.bias[e]);
      }
    }
    if (p_.row_labels) penalise<Tile>(p_, first_row_, m_.labels[parity_], s);
  }

  const Problem<float>& p_;
  Memory& m_;
  const Index first_row_;
  const int chunks_;

 private:
  // By those who copy: the copies of a step, or none behind the last. Chunks of columns follow each other from tile to
  // tile.
  MONGE_DEVICE void start() {
    if (steps_left_ > 0) {
      copies_.start_shared(next_stage_, m_.y[next_stage_], *next_y_++);
      if constexpr (!resident) copies_.start(next_stage_, m_.x[next_stage_], x_[next_chunk_]);
      if (++next_chunk_ == chunks_) next_chunk_ = 0;
      --steps_left_;
    }
    copies_.end(next_stage_);
    if (++next_stage_ == stages) next_stage_ = 0;
  }

  Copies copies_;
  const Chunk* const x_;
  const Chunk* next_y_;
  int steps_left_, next_chunk_ = 0, next_stage_ = 0;  // of copies
  int stage_ = 0, parity_ = 1;
  float bias_, unit_;
  std::int32_t label_;
};

}  // namespace monge::ot::cuda
