#pragma once  // private: never installed
#include "monge/ot/cuda/fragment.h"
#include "monge/ot/cuda/ops.h"
#include "monge/ot/cuda/partial.h"
#include "monge/ot/cuda/problem.h"

namespace monge::ot::cuda {

// Products on tensor cores, of points split into two halves each (half.h):
//   <x, y> = units (high_x high_y + high_x low_y + low_x high_y),  low_x low_y being below what is kept.
// Chunks of 32 coordinates are copied ahead, `stages` of them, across tiles. `resident`: the rows' points (at most
// 2 chunks) stay in shared memory, and one run of sums will do. Otherwise they are copied again with each tile, and
// every 64 coordinates the sums of the tensor cores, which cut off what they cannot hold, are added to others that are
// rounded.
template <bool resident_>
class HalvesSource {
 public:
  using T = float;
  using S = Shape<float>;
  static constexpr bool resident = resident_;
  static constexpr int chunk = 32, stages = 3;
  static constexpr int stride = chunk + 8;  // halves: rows of a matrix fall into different banks
  static constexpr int resident_stride = 2 * chunk + 8;
  static constexpr int blocks = resident ? 2 : 1;

  struct Stage {
    std::uint16_t y_high[S::tile_cols * stride];
    std::uint16_t y_low[S::tile_cols * stride];
    std::uint16_t x_high[resident ? 8 : S::tile_rows * stride];
    std::uint16_t x_low[resident ? 8 : S::tile_rows * stride];
  };
  struct Memory {
    Stage stage[stages];
    std::uint16_t x_high[resident ? S::tile_rows * resident_stride : 8];
    std::uint16_t x_low[resident ? S::tile_rows * resident_stride : 8];
    float bias[S::tile_cols], unit[S::tile_cols], row_unit[S::tile_rows];
    std::int32_t labels[S::tile_cols];
  };
  static constexpr int shared_bytes = (sizeof(Memory) + 127) / 128 * 128;

  // Tiles will be read in order, `tiles` of them from column first_col on.
  MONGE_DEVICE HalvesSource(const Problem<float>& p, Index first_row, Index first_col, Index tiles,
                            unsigned char* memory)
      : p_(p),
        m_(*reinterpret_cast<Memory*>(memory)),
        first_row_(first_row),
        first_col_(first_col),
        chunks_(p.padded_dims / chunk),
        steps_(static_cast<int>(tiles) * chunks_) {
    for (int i = thread(); i < S::tile_rows; i += block_threads) {
      m_.row_unit[i] = first_row + i < p.rows ? p.x_unit[first_row + i] : 0.0f;
    }
    if constexpr (resident) {
      for (int c = 0; c < chunks_; ++c) {
        load(p.x_high, first_row, c, m_.x_high + c * chunk, resident_stride);
        load(p.x_low, first_row, c, m_.x_low + c * chunk, resident_stride);
      }
    }
    for (int s = 0; s < stages - 1; ++s) start(s);  // the resident rows are part of the first group
  }

  MONGE_DEVICE void read(Index first_col, float (&s)[S::rows][S::cols]) {
    const Place<float> place{thread()};
    barrier();  // the last tile's columns have been read
    load_columns(first_col);
    float sums[S::across][S::along][4];
    clear(sums);
    if constexpr (!resident) {
#pragma unroll
      for (int r = 0; r < S::rows; ++r) {
#pragma unroll
        for (int c = 0; c < S::cols; ++c) s[r][c] = 0;
      }
    }
    for (int c = 0; c < chunks_; ++c, ++step_) {
      wait_groups<stages - 2>();
      barrier();  // everybody's copies of this step are there, and everybody is done with the step before it
      start(step_ + stages - 1);
      const Stage& stage = m_.stage[step_ % stages];
      if constexpr (resident) {
        multiply(place, m_.x_high + c * chunk, m_.x_low + c * chunk, resident_stride, stage, sums);
      } else {
        multiply(place, stage.x_high, stage.x_low, stride, stage, sums);
        if (c % 2 == 1 || c + 1 == chunks_) {
          add(sums, s);
          clear(sums);
        }
      }
    }
    if constexpr (resident) move(sums, s);
    finish(place, first_col, s);
  }

 private:
  static MONGE_DEVICE void clear(float (&sums)[S::across][S::along][4]) {
#pragma unroll
    for (int i = 0; i < S::across; ++i) {
#pragma unroll
      for (int j = 0; j < S::along; ++j) {
#pragma unroll
        for (int q = 0; q < 4; ++q) sums[i][j][q] = 0;
      }
    }
  }
  static MONGE_DEVICE void move(const float (&sums)[S::across][S::along][4], float (&s)[S::rows][S::cols]) {
#pragma unroll
    for (int r = 0; r < S::rows; ++r) {
#pragma unroll
      for (int c = 0; c < S::cols; ++c) s[r][c] = sums[r / 2][c / 2][r % 2 * 2 + c % 2];
    }
  }
  static MONGE_DEVICE void add(const float (&sums)[S::across][S::along][4], float (&s)[S::rows][S::cols]) {
#pragma unroll
    for (int r = 0; r < S::rows; ++r) {
#pragma unroll
      for (int c = 0; c < S::cols; ++c) s[r][c] += sums[r / 2][c / 2][r % 2 * 2 + c % 2];
    }
  }

  MONGE_DEVICE void load_columns(Index first_col) {
    for (int j = thread(); j < S::tile_cols; j += block_threads) {
      const bool inside = first_col + j < p_.cols;
      m_.bias[j] = inside && p_.col_bias ? p_.col_bias[first_col + j] : 0.0f;
      m_.unit[j] = inside ? p_.y_unit[first_col + j] * p_.scale : 0.0f;
      m_.labels[j] = inside && p_.col_labels ? p_.col_labels[first_col + j] : 0;
    }
  }

  // Starts copies of chunk c of 128 rows; both kinds of rows come in whole tiles.
  MONGE_DEVICE void load(const std::uint16_t* halves, Index first, int c, std::uint16_t* to, int to_stride) const {
    static_assert(S::tile_rows == S::tile_cols && S::tile_rows * 4 % block_threads == 0);
    for (int e = thread(); e < S::tile_rows * 4; e += block_threads) {
      const int row = e / 4, piece = e % 4 * 8;
      start_copy(to + row * to_stride + piece, halves + (first + row) * p_.padded_dims + c * chunk + piece);
    }
  }

  // The copies of a step, or an empty group behind the last.
  MONGE_DEVICE void start(int step) {
    if (step < steps_) {
      const int tile = step / chunks_, c = step - tile * chunks_;
      const Index first_col = first_col_ + static_cast<Index>(tile) * S::tile_cols;
      Stage& stage = m_.stage[step % stages];
      load(p_.y_high, first_col, c, stage.y_high, stride);
      load(p_.y_low, first_col, c, stage.y_low, stride);
      if constexpr (!resident) {
        load(p_.x_high, first_row_, c, stage.x_high, stride);
        load(p_.x_low, first_row_, c, stage.x_low, stride);
      }
    }
    end_group();
  }

  MONGE_DEVICE void multiply(const Place<float>& place, const std::uint16_t* x_high, const std::uint16_t* x_low,
                             int x_stride, const Stage& stage, float (&sums)[S::across][S::along][4]) const {
    const MatrixRow left = left_row(place.lane()), right = right_row(place.lane());
    const int x_at = (place.first_row() + left.row) * x_stride + left.k;
    const int y_at = (place.first_col() + right.row) * stride + right.k;
#pragma unroll
    for (int k = 0; k < chunk; k += 16) {
      std::uint32_t high[S::along / 2][4], low[S::along / 2][4];
#pragma unroll
      for (int j = 0; j < S::along / 2; ++j) {
        load_matrices(high[j], stage.y_high + y_at + j * 16 * stride + k);
        if (!p_.single_product) load_matrices(low[j], stage.y_low + y_at + j * 16 * stride + k);
      }
#pragma unroll
      for (int i = 0; i < S::across; ++i) {
        std::uint32_t a[4];
        if (!p_.single_product) {  // what is small goes first
          load_matrices(a, x_low + x_at + i * 16 * x_stride + k);
#pragma unroll
          for (int j = 0; j < S::along; ++j)
            multiply_add(sums[i][j], a, high[j / 2][j % 2 * 2], high[j / 2][j % 2 * 2 + 1]);
        }
        load_matrices(a, x_high + x_at + i * 16 * x_stride + k);
        if (!p_.single_product) {
#pragma unroll
          for (int j = 0; j < S::along; ++j)
            multiply_add(sums[i][j], a, low[j / 2][j % 2 * 2], low[j / 2][j % 2 * 2 + 1]);
        }
#pragma unroll
        for (int j = 0; j < S::along; ++j)
          multiply_add(sums[i][j], a, high[j / 2][j % 2 * 2], high[j / 2][j % 2 * 2 + 1]);
      }
    }
  }

  MONGE_DEVICE void finish(const Place<float>& place, Index first_col, float (&s)[S::rows][S::cols]) const {
#pragma unroll
    for (int r = 0; r < S::rows; ++r) {
      const Index i = first_row_ + place.row(r);
      const float unit = m_.row_unit[place.row(r)];
      const std::int32_t label = p_.row_labels && i < p_.rows ? p_.row_labels[i] : 0;
#pragma unroll
      for (int c = 0; c < S::cols; ++c) {
        const int column = place.col(c);
        float score = fmaf(s[r][c], unit * m_.unit[column], m_.bias[column]);
        if (p_.row_labels && m_.labels[column] != label) score -= p_.label_penalty;
        s[r][c] = first_col + column < p_.cols ? score : minus_infinity<float>();
      }
    }
  }

  const Problem<float>& p_;
  Memory& m_;
  Index first_row_, first_col_;
  int chunks_, steps_, step_ = 0;
};

}  // namespace monge::ot::cuda
