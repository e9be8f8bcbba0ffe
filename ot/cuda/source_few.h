#pragma once  // private: never installed
#include "monge/ot/cuda/source.h"

namespace monge::ot::cuda {

inline constexpr Index few_dims = 7;

// Tiles of inner products of points of up to seven coordinates by multiply-adds, in floats. What is known of a column,
// its bias first and then its coordinates, is 16 bytes for three of them, which a thread reads at once; that of the
// next tile's columns is fetched meanwhile.
class FewSource {
 public:
  using Tile = WideTile;
  using T = float;
  using Place = Tile::Place;
  static constexpr int quad = 4, quads_of_point = (few_dims + 1) / quad;

  struct alignas(16) Quad {
    float v[quad];
  };
  struct Point {
    Quad quads[quads_of_point];
    Quad apart;  // points read at once are in different banks
  };
  struct Memory {
    Point x[Tile::tile_rows], y[2][Tile::tile_cols];  // columns of this tile and the last
    std::int32_t labels[2][Tile::tile_cols];
  };
  static constexpr int shared_bytes = (sizeof(Memory) + 127) / 128 * 128;
  static constexpr int blocks = 2, lead = 0, cluster = 1, most_shared = shared_of_80;

  MONGE_DEVICE FewSource(const Problem<float>& p, Index first_row, Index first_col, Index, unsigned char* memory)
      : p_(p),
        m_(*reinterpret_cast<Memory*>(memory)),
        dims_(static_cast<int>(p.dims)),
        first_row_(first_row),
        column_(first_col + own_point()),
        from_(p.y + column_ * p.y_stride) {
    const Index i = first_row + own_point();
    m_.x[own_point()].quads[own_quad()] = quad_of(p.x + i * p.x_stride, i < p.rows);
    fetch();
  }

  MONGE_DEVICE void read(Index, float (&s)[Tile::rows][Tile::cols]) {
    const Place place{thread()};
    parity_ ^= 1;
    m_.y[parity_][own_point()].quads[own_quad()] = next_;
    if (own_quad() == 0) m_.labels[parity_][own_point()] = label_;
    barrier();
    fetch();
    switch (dims_) {
      case 1:
        make<1>(place, s);
        break;
      case 2:
        make<2>(place, s);
        break;
      case 3:
        make<3>(place, s);
        break;
      default:
        make<few_dims>(place, s);
    }
    if (p_.row_labels) penalise<Tile>(p_, first_row_, m_.labels[parity_], s);
  }

 private:
  // Threads bring a point together, a quad each, of a warp the same.
  static_assert(block_threads == quads_of_point * Tile::tile_rows && Tile::tile_rows == Tile::tile_cols);
  static MONGE_DEVICE int own_point() { return thread() % Tile::tile_rows; }
  static MONGE_DEVICE int own_quad() { return thread() / Tile::tile_rows; }

  // This thread's quad of a point, zero where it has no coordinates; the place of the bias is left free.
  MONGE_DEVICE Quad quad_of(const float* point, bool inside) const {
    Quad out;
#pragma unroll
    for (int e = 0; e < quad; ++e) {
      const int k = own_quad() * quad + e - 1;
      out.v[e] = inside && k >= 0 && k < dims_ ? point[k] : 0.0f;
    }
    return out;
  }
  MONGE_DEVICE void fetch() {
    const bool inside = column_ < p_.cols;
    next_ = quad_of(from_, inside);
    if (own_quad() == 0) {
      next_.v[0] = !inside ? minus_infinity<float>() : p_.col_bias ? p_.col_bias[column_] : 0.0f;
      label_ = inside && p_.col_labels ? p_.col_labels[column_] : 0;
    }
    column_ += Tile::tile_cols;
    from_ += Tile::tile_cols * p_.y_stride;
  }

  // In the order of score_of.
  template <int dims>
  MONGE_DEVICE void make(const Place& place, float (&s)[Tile::rows][Tile::cols]) const {
    constexpr int used = dims / quad + 1;
    Quad x[Tile::rows][used];
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
#pragma unroll
      for (int q = 0; q < used; ++q) x[r][q] = m_.x[place.row(r)].quads[q];
    }
#pragma unroll
    for (int c = 0; c < Tile::cols; ++c) {
      Quad y[used];
#pragma unroll
      for (int q = 0; q < used; ++q) y[q] = m_.y[parity_][place.col(c)].quads[q];
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) {
        float sum = 0;
#pragma unroll
        for (int k = 1; k <= dims; ++k) sum = fmaf(x[r][k / quad].v[k % quad], y[k / quad].v[k % quad], sum);
        s[r][c] = fmaf(p_.scale, sum, y[0].v[0]);
      }
    }
  }

  const Problem<float>& p_;
  Memory& m_;
  const int dims_;
  const Index first_row_;
  Index column_;       // this thread's of those to be fetched
  const float* from_;  // its first coordinate
  int parity_ = 1;
  Quad next_;
  std::int32_t label_ = 0;
};

}  // namespace monge::ot::cuda
