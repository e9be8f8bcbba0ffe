#pragma once  // private: never installed
#include <type_traits>

#include "monge/ot/cuda/source.h"
#include "monge/ot/cuda/split_points.h"

namespace monge::ot::cuda {

// Products on tensor cores, of points split into two halves each (half.h):
//   <x, y> = units (high_x high_y + high_x low_y + low_x high_y),  low_x low_y being below what is kept.
// This is what those who multiply have in common: points come to shared memory a chunk at a time, copied ahead across
// tiles. `resident`: the rows' points (at most two chunks) stay there, otherwise they are copied again with each tile.
// A copy may overwrite what was read `stages - ahead` steps ago.
inline constexpr int resident_chunks = 2;

template <class Tile_, bool resident_, int stages_, int ahead_>
class HalvesSource {
 public:
  using Tile = Tile_;
  using T = float;
  static constexpr bool resident = resident_;
  static constexpr int stages = stages_, ahead = ahead_;
  static_assert(Tile::tile_rows == Tile::tile_cols);

  struct Chunk {  // of a tile's rows or columns
    std::uint16_t halves[Tile::tile_rows * chunk_halves];
  };
  struct Memory {
    Chunk y[stages];
    Chunk x[resident ? resident_chunks : stages];
    float bias[2][Tile::tile_cols], unit[2][Tile::tile_cols], row_unit[Tile::tile_rows];  // of this tile and the last
    std::int32_t labels[2][Tile::tile_cols];
  };
  static constexpr int shared_bytes = (sizeof(Memory) + 127) / 128 * 128;

  // Where half h of a row is: rows of 128 bytes, whose eight pieces are exchanged so that those of equal place in eight
  // successive rows lie in different banks. It is what wgmma calls a swizzle of 128 bytes.
  static MONGE_DEVICE int place_of(int row, int h) { return row * chunk_halves + ((h / 8) ^ (row % 8)) * 8 + h % 8; }

  // Tiles will be read in order, `tiles` of them from column first_col on.
  MONGE_DEVICE HalvesSource(const Problem<float>& p, Index first_row, Index first_col, Index tiles,
                            unsigned char* memory)
      : p_(p),
        m_(*reinterpret_cast<Memory*>(memory)),
        first_row_(first_row),
        chunks_(p.padded_dims / chunk_dims),
        steps_left_(static_cast<int>(tiles) * chunks_),
        next_y_(p.y_halves + first_col * 2 * p.padded_dims) {
    for (int i = thread(); i < Tile::tile_rows; i += block_threads) {
      m_.row_unit[i] = first_row + i < p.rows ? p.x_unit[first_row + i] : 0.0f;
    }
    if constexpr (resident) {
      for (int c = 0; c < chunks_; ++c) load(x_chunk(c), m_.x[c]);
    }
    for (int s = 0; s < ahead; ++s) start();  // the resident rows are part of the first group
    fetch_columns(first_col);
  }

 protected:
  // First of all in a tile: what is known of its columns, and is used after the first step.
  MONGE_DEVICE void begin_tile() {
    parity_ ^= 1;
    const int j = thread();
    if (j < Tile::tile_cols) {
      m_.bias[parity_][j] = bias_;
      m_.unit[parity_][j] = unit_;
      m_.labels[parity_][j] = label_;
    }
  }

  // Waits for the next chunk of points, and starts copies of one further on. All threads.
  MONGE_DEVICE int next_step() {
    wait_groups<ahead - 1>();
    if constexpr (std::is_same_v<Tile, WideTile>) show_copies();  // to products of warpgroups
    barrier();  // everybody's copies are there, and what was read stages - ahead steps ago is done with
    start();
    const int stage = stage_;
    stage_ = stage + 1 == stages ? 0 : stage + 1;
    return stage;
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
    const float* const bias = m_.bias[parity_];
    const float* const unit = m_.unit[parity_];
    float row_unit[Tile::rows];
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) row_unit[r] = m_.row_unit[place.row(r)];
#pragma unroll
    for (int c = 0; c < Tile::cols; ++c) {
      const int column = place.col(c);
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) s[r][c] = fmaf(s[r][c], row_unit[r] * unit[column], bias[column]);
    }
    if (p_.row_labels) penalise<Tile>(p_, first_row_, m_.labels[parity_], s);
  }

  const Problem<float>& p_;
  Memory& m_;
  const Index first_row_;
  const int chunks_;

 private:
  MONGE_DEVICE const std::uint16_t* x_chunk(int c) const {
    return p_.x_halves + first_row_ * 2 * p_.padded_dims + c * chunk_halves;
  }

  // Starts copies of a chunk of a tile of points, from where its first row has it; tiles are whole. Of single products
  // the low parts are not wanted.
  MONGE_DEVICE void load(const std::uint16_t* from, Chunk& to) const {
    constexpr int pieces = 8, rows = block_threads / pieces;  // a thread copies the same piece of every so many rows
    static_assert(rows % 8 == 0 && Tile::tile_rows % rows == 0);
    const int row = thread() / pieces, h = thread() % pieces * 8;
    if (p_.single_product && h >= chunk_dims) return;
    std::uint16_t* const there = to.halves + place_of(row, h);
    from += row * 2 * p_.padded_dims + h;
#pragma unroll
    for (int i = 0; i < Tile::tile_rows / rows; ++i) {
      start_copy(there + i * rows * chunk_halves, from + i * rows * Index{2} * p_.padded_dims);
    }
  }

  // The copies of a step, or an empty group behind the last.
  MONGE_DEVICE void start() {
    if (steps_left_ > 0) {
      load(next_y_, m_.y[next_stage_]);
      if constexpr (!resident) load(x_chunk(next_chunk_), m_.x[next_stage_]);
      next_y_ += chunk_halves;
      if (++next_chunk_ == chunks_) {
        next_chunk_ = 0;
        next_y_ += (Tile::tile_cols - 1) * Index{2} * p_.padded_dims;
      }
      if (++next_stage_ == stages) next_stage_ = 0;
      --steps_left_;
    }
    end_group();
  }

  int steps_left_, next_chunk_ = 0, next_stage_ = 0;  // of copies
  const std::uint16_t* next_y_;
  int stage_ = 0, parity_ = 1;
  float bias_, unit_;
  std::int32_t label_;
};

}  // namespace monge::ot::cuda
