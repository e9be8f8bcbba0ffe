#pragma once  // private: never installed
#include "monge/ot/cuda/source.h"

namespace monge::ot::cuda {

// Tiles without tensor cores: products of points of eight dimensions or of doubles, distances, stored matrices. Each
// thread makes its own scores, coordinates coming through shared memory a chunk at a time; of the next tile's columns
// the first chunk is fetched meanwhile.
template <class Tile_>
class DirectSource {
 public:
  using Tile = Tile_;
  using T = typename Tile::T;
  using Place = typename Tile::Place;
  static constexpr int chunk = 8;  // coordinates

  template <int size>
  using Chunk = T[chunk][size + 4];  // a step of 4 banks from coordinate to coordinate
  struct Memory {
    Chunk<Tile::tile_rows> x;
    Chunk<Tile::tile_cols> y[2];  // of this tile and the last, and so on
    T bias[2][Tile::tile_cols];
    std::int32_t labels[2][Tile::tile_cols];
  };
  static constexpr int shared_bytes = (sizeof(Memory) + 127) / 128 * 128;
  static constexpr int blocks = sizeof(T) == 4 ? 2 : 1, lead = 0, cluster = 1, most_shared = shared_of_80;

  MONGE_DEVICE DirectSource(const Problem<T>& p, Index first_row, Index first_col, Index, unsigned char* memory)
      : p_(p),
        m_(*reinterpret_cast<Memory*>(memory)),
        first_row_(first_row),
        from_(p.y + (first_col + first_point()) * p.y_stride + coordinate()),
        left_(p.cols - first_col) {
    if (p.maker != Maker::stored && p.dims <= chunk) load(p.x, p.x_stride, first_row, p.rows, 0, m_.x);
    fetch();
  }

  // The scores of this thread's places of the tile at column first_col; -infinity behind the last column.
  MONGE_DEVICE void read(Index first_col, T (&s)[Tile::rows][Tile::cols]) {
    const Place place{thread()};
    parity_ ^= 1;
    put();
    const bool points = p_.maker != Maker::stored, all_at_once = p_.dims <= chunk;
    if (points && !all_at_once) {
      barrier();  // the last tile's rows have been read
      load(p_.x, p_.x_stride, first_row_, p_.rows, 0, m_.x);
    }
    barrier();
    fetch();
    if (!points) {
      read_stored(place, first_col, s);
    } else {
      add<true>(place, 0, s);
#pragma unroll 1
      for (Index k = chunk; k < p_.dims; k += chunk) {
        barrier();
        load(p_.x, p_.x_stride, first_row_, p_.rows, k, m_.x);
        load(p_.y, p_.y_stride, first_col, p_.cols, k, m_.y[parity_]);
        barrier();
        add<false>(place, k, s);
      }
    }
    finish(place, s);
  }

 private:
  // A thread brings coordinate thread % chunk of every so many points.
  static constexpr int apart = block_threads / chunk;
  static MONGE_DEVICE int first_point() { return thread() / chunk; }
  static MONGE_DEVICE int coordinate() { return thread() % chunk; }

  // to[k][i] = coordinate first_k + k of point first + i, zero behind the last point and coordinate.
  template <int size>
  MONGE_DEVICE void load(const T* points, Index stride, Index first, Index all, Index first_k, T (&to)[chunk][size]) {
    constexpr int each = (size - 4) / apart;
#pragma unroll
    for (int q = 0; q < each; ++q) {
      const int i = first_point() + q * apart;
      to[coordinate()][i] = value_of(points, stride, first + i, all, first_k);
    }
  }
  MONGE_DEVICE T value_of(const T* points, Index stride, Index point, Index all, Index first_k) const {
    const Index k = first_k + coordinate();
    return k < p_.dims && point < all ? points[point * stride + k] : T(0);
  }

  // What is known of the columns of the next tile, and their first coordinates: into registers, and from there to
  // shared memory.
  MONGE_DEVICE void fetch() {
    const int count = left_ < Tile::tile_cols ? static_cast<int>(left_) : Tile::tile_cols;
    const Index j = p_.cols - left_ + thread();
    const bool inside = thread() < count;
    bias_ = !inside ? minus_infinity<T>() : p_.col_bias ? p_.col_bias[j] : T(0);
    label_ = inside && p_.col_labels ? p_.col_labels[j] : 0;
    left_ -= Tile::tile_cols;
    if (p_.maker == Maker::stored) return;
    const int points = coordinate() < p_.dims ? count : 0;
#pragma unroll
    for (int q = 0; q < Tile::tile_cols / apart; ++q) {
      next_[q] = first_point() + q * apart < points ? from_[q * apart * p_.y_stride] : T(0);
    }
    from_ += Tile::tile_cols * p_.y_stride;
  }
  MONGE_DEVICE void put() {
    if (thread() < Tile::tile_cols) {
      m_.bias[parity_][thread()] = bias_;
      m_.labels[parity_][thread()] = label_;
    }
    if (p_.maker == Maker::stored) return;
#pragma unroll
    for (int q = 0; q < Tile::tile_cols / apart; ++q) {
      m_.y[parity_][coordinate()][first_point() + q * apart] = next_[q];
    }
  }

  // Adds what the coordinates in shared memory, from first_k on, make. `fresh`: to nothing.
  template <bool fresh>
  MONGE_DEVICE void add(const Place& place, Index first_k, T (&s)[Tile::rows][Tile::cols]) const {
    const int count = p_.dims - first_k < chunk ? static_cast<int>(p_.dims - first_k) : chunk;
    if (p_.maker == Maker::dot) {
      add_terms<fresh>(place, count, s, [](T x, T y, T sum) { return fma(x, y, sum); });
    } else if (p_.maker == Maker::euclidean) {
      add_terms<fresh>(place, count, s, [](T x, T y, T sum) { return fma(y - x, y - x, sum); });
    } else {
      add_terms<fresh>(place, count, s, [](T x, T y, T sum) { return sum + fabs(y - x); });
    }
  }
  template <bool fresh, class Term>
  MONGE_DEVICE void add_terms(const Place& place, int count, T (&s)[Tile::rows][Tile::cols], const Term& term) const {
    if constexpr (fresh) add_coordinate<true>(place, 0, s, term);  // zeros if there are no coordinates at all
#pragma unroll 1
    for (int k = fresh; k < count; ++k) add_coordinate<false>(place, k, s, term);
  }
  template <bool fresh, class Term>
  MONGE_DEVICE void add_coordinate(const Place& place, int k, T (&s)[Tile::rows][Tile::cols], const Term& term) const {
    T x[Tile::rows];
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) x[r] = m_.x[k][place.row(r)];
#pragma unroll
    for (int c = 0; c < Tile::cols; ++c) {
      const T y = m_.y[parity_][k][place.col(c)];
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) s[r][c] = term(x[r], y, fresh ? T(0) : s[r][c]);
    }
  }

  // Steps that are known, and tiles that are whole, cost no arithmetic. Rows behind the last are the last.
  MONGE_DEVICE void read_stored(const Place& place, Index first_col, T (&s)[Tile::rows][Tile::cols]) const {
    const Index j = first_col + place.col(0);
    const int left = p_.cols - j < Tile::tile_cols ? static_cast<int>(p_.cols - j) : Tile::tile_cols;
    const bool whole = first_col + Tile::tile_cols <= p_.cols;
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
      const Index i = first_row_ + place.row(r), last = p_.rows - 1;
      const T* const row = p_.stored + (i < last ? i : last) * p_.stored_row + j * p_.stored_col;
      const auto read = [&](Index step, bool all) {
#pragma unroll
        for (int c = 0; c < Tile::cols; ++c) {
          const int k = place.col(c) - place.col(0);
          s[r][c] = all || k < left ? row[k * step] : T(0);
        }
      };
      if (whole && p_.stored_col == 1) {
        read(1, true);
      } else if (whole) {
        read(p_.stored_col, true);
      } else {
        read(p_.stored_col, false);
      }
    }
  }

  MONGE_DEVICE void finish(const Place& place, T (&s)[Tile::rows][Tile::cols]) const {
    const T most = std::numeric_limits<T>::max();  // distances stay finite, so that a scale of 0 makes 0 of them
    if (p_.maker == Maker::euclidean) {
      for_each(s, [&](T sum) { return sqrt(sum < most ? sum : most); });
    } else if (p_.maker == Maker::l1) {
      for_each(s, [&](T sum) { return sum < most ? sum : most; });
    }
#pragma unroll
    for (int c = 0; c < Tile::cols; ++c) {
      const T bias = m_.bias[parity_][place.col(c)];
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) s[r][c] = fma(p_.scale, s[r][c], bias);
    }
    if (p_.row_labels) penalise<Tile>(p_, first_row_, m_.labels[parity_], s);
  }
  template <class Change>
  static MONGE_DEVICE void for_each(T (&s)[Tile::rows][Tile::cols], const Change& change) {
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
#pragma unroll
      for (int c = 0; c < Tile::cols; ++c) s[r][c] = change(s[r][c]);
    }
  }

  const Problem<T>& p_;
  Memory& m_;
  const Index first_row_;
  const T* from_;  // this thread's first coordinate of the columns to be fetched
  Index left_;     // columns from there on
  int parity_ = 1;
  T next_[Tile::tile_cols / apart], bias_;
  std::int32_t label_;
};

}  // namespace monge::ot::cuda
