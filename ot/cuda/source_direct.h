#pragma once  // private: never installed
#include "monge/ot/cuda/fragment.h"
#include "monge/ot/cuda/ops.h"
#include "monge/ot/cuda/partial.h"
#include "monge/ot/cuda/problem.h"

namespace monge::ot::cuda {

// Tiles without tensor cores: products of points of few dimensions (or of doubles), distances, stored matrices. Each
// thread makes its own scores, coordinates coming through shared memory a few at a time.
template <class T_>
class DirectSource {
 public:
  using T = T_;
  using Tile = WarpTile<T>;
  using Place = typename Tile::Place;
  static constexpr int chunk = 8;  // coordinates at a time

  struct Memory {
    T x[chunk][Tile::tile_rows + 4];  // a step of 4 banks from coordinate to coordinate
    T y[chunk][Tile::tile_cols + 4];
    T bias[Tile::tile_cols];
    std::int32_t labels[Tile::tile_cols];
  };
  static constexpr int shared_bytes = (sizeof(Memory) + 127) / 128 * 128;
  static constexpr int blocks = sizeof(T) == 4 ? 2 : 1, most_shared = shared_of_80;

  MONGE_DEVICE DirectSource(const Problem<T>& p, Index first_row, Index, Index, unsigned char* memory)
      : p_(p), m_(*reinterpret_cast<Memory*>(memory)), first_row_(first_row) {}

  // The scores of this thread's places of the tile at column first_col; -infinity behind the last column.
  MONGE_DEVICE void read(Index first_col, T (&s)[Tile::rows][Tile::cols]) {
    const Place place{thread()};
    for (int r = 0; r < Tile::rows; ++r) {
      for (int c = 0; c < Tile::cols; ++c) s[r][c] = 0;
    }
    barrier();  // the last tile's columns have been read
    load_columns(first_col);
    if (p_.maker == Maker::stored) {
      barrier();
      read_stored(place, first_col, s);
    } else {
      for (Index k = 0; k < p_.dims || k == 0; k += chunk) {
        const int count = p_.dims - k < chunk ? static_cast<int>(p_.dims - k) : chunk;
        if (k > 0) barrier();
        load_points(p_.x, p_.x_stride, first_row_, p_.rows, k, count, Tile::tile_rows, &m_.x[0][0],
                    Tile::tile_rows + 4);
        load_points(p_.y, p_.y_stride, first_col, p_.cols, k, count, Tile::tile_cols, &m_.y[0][0], Tile::tile_cols + 4);
        barrier();
        if (p_.maker == Maker::dot) {
          add<Maker::dot>(place, count, s);
        } else if (p_.maker == Maker::euclidean) {
          add<Maker::euclidean>(place, count, s);
        } else {
          add<Maker::l1>(place, count, s);
        }
      }
    }
    finish(place, first_col, s);
  }

 private:
  MONGE_DEVICE void load_columns(Index first_col) {
    for (int j = thread(); j < Tile::tile_cols; j += block_threads) {
      const bool inside = first_col + j < p_.cols;
      m_.bias[j] = inside && p_.col_bias ? p_.col_bias[first_col + j] : T(0);
      m_.labels[j] = inside && p_.col_labels ? p_.col_labels[first_col + j] : 0;
    }
  }

  // to[k][i] = coordinate first_k + k of point first + i, zero behind the last point.
  static MONGE_DEVICE void load_points(const T* points, Index stride, Index first, Index size, Index first_k, int count,
                                       int tile, T* to, int to_stride) {
    for (int e = thread(); e < tile * chunk; e += block_threads) {
      const int i = e / chunk, k = e % chunk;
      const bool inside = k < count && first + i < size;
      to[k * to_stride + i] = inside ? points[(first + i) * stride + first_k + k] : T(0);
    }
  }

  template <Maker maker>
  MONGE_DEVICE void add(const Place& place, int count, T (&s)[Tile::rows][Tile::cols]) const {
#pragma unroll 1
    for (int k = 0; k < count; ++k) {
      T x[Tile::rows], y[Tile::cols];
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) x[r] = m_.x[k][place.row(r)];
#pragma unroll
      for (int c = 0; c < Tile::cols; ++c) y[c] = m_.y[k][place.col(c)];
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) {
#pragma unroll
        for (int c = 0; c < Tile::cols; ++c) {
          if constexpr (maker == Maker::dot) {
            s[r][c] = fma(x[r], y[c], s[r][c]);
          } else if constexpr (maker == Maker::euclidean) {
            const T difference = y[c] - x[r];
            s[r][c] = fma(difference, difference, s[r][c]);
          } else {
            s[r][c] += fabs(y[c] - x[r]);
          }
        }
      }
    }
  }

  MONGE_DEVICE void read_stored(const Place& place, Index first_col, T (&s)[Tile::rows][Tile::cols]) const {
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
      const Index i = first_row_ + place.row(r);
#pragma unroll
      for (int c = 0; c < Tile::cols; ++c) {
        const Index j = first_col + place.col(c);
        if (i < p_.rows && j < p_.cols) s[r][c] = p_.stored[i * p_.stored_row + j * p_.stored_col];
      }
    }
  }

  MONGE_DEVICE void finish(const Place& place, Index first_col, T (&s)[Tile::rows][Tile::cols]) const {
    const T most = std::numeric_limits<T>::max();
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
      const Index i = first_row_ + place.row(r);
      const std::int32_t label = p_.row_labels && i < p_.rows ? p_.row_labels[i] : 0;
#pragma unroll
      for (int c = 0; c < Tile::cols; ++c) {
        const int column = place.col(c);
        T k = s[r][c];
        if (p_.maker == Maker::euclidean) k = sqrt(k < most ? k : most);
        if (p_.maker == Maker::l1) k = k < most ? k : most;
        T score = fma(p_.scale, k, m_.bias[column]);
        if (p_.row_labels && m_.labels[column] != label) score -= p_.label_penalty;
        s[r][c] = first_col + column < p_.cols ? score : minus_infinity<T>();
      }
    }
  }

  const Problem<T>& p_;
  Memory& m_;
  Index first_row_;
};

}  // namespace monge::ot::cuda
