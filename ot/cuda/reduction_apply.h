#pragma once  // private: never installed
#include "monge/ot/cuda/engine.h"
#include "monge/ot/cuda/reductions.h"

namespace monge::ot::cuda {

inline constexpr int few_values = 4, many_values = 32;

template <class T>
struct FewValuesArgs {
  T rate;
  const T* shift;   // of rows
  const T* values;  // cols x count, count <= few_values
  Index stride;
  int count;
  Sums<few_values>* out;  // parts x rows
};

// sum_j exp((s_ij + shift_i) / epsilon) values_jk for a few k, each thread adding over its own columns.
template <class Tile_>
class FewValuesReduction : public RowReduction<Tile_, Sums<few_values>> {
  using Base = RowReduction<Tile_, Sums<few_values>>;

 public:
  using typename Base::T;
  using typename Base::Tile;
  static constexpr int width = few_values, blocks = 1;
  using Args = FewValuesArgs<T>;

  MONGE_DEVICE FewValuesReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : Base(p, block, memory), args_(args) {}

  MONGE_DEVICE void add(const T (&s)[Tile::rows][Tile::cols], Index first_col) {
    const Index j = first_col + this->place_.col(0), left = this->p_.cols - j;
    const bool whole = first_col + Tile::tile_cols <= this->p_.cols;
    const T* const first = args_.values + j * args_.stride;
    T shift[Tile::rows], sums[Tile::rows][width] = {};
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) shift[r] = this->of_row(args_.shift, r, minus_infinity<T>());
#pragma unroll
    for (int c = 0; c < Tile::cols; ++c) {
      const int apart = this->place_.col(c) - this->place_.col(0);
      const T* const of_column = first + apart * args_.stride;
      T values[width];
#pragma unroll
      for (int k = 0; k < width; ++k) values[k] = k < args_.count && (whole || apart < left) ? of_column[k] : T(0);
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) {
        const T q = share_of(s[r][c], shift[r], args_.rate);
#pragma unroll
        for (int k = 0; k < width; ++k) sums[r][k] = fma(q, values[k], sums[r][k]);
      }
    }
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
#pragma unroll
      for (int k = 0; k < width; ++k) this->known_[r].v[k] += static_cast<double>(sums[r][k]);
    }
  }

  MONGE_DEVICE void finish() {
    this->write_rows(args_.out, [](Sums<width>& all, const Sums<width>& one) { all.add(one); });
  }

 private:
  const Args& args_;
};

template <class T>
struct ManyValuesArgs {
  T rate;
  const T* shift;
  const T* values;  // cols x count, count <= many_values
  Index stride;
  int count;
  double* out;  // parts x rows x many_values
};

// The same for many k: the exponentials of a tile go to shared memory, a slice of its rows at a time, and are
// multiplied with `width` values of each column as a matrix product, 16 x 16 threads of `rows` x 2 results each.
template <class Tile_>
struct ManyValuesReduction {
  using Tile = Tile_;
  using T = typename Tile::T;
  static constexpr int width = many_values, slices = 4, slice = Tile::tile_rows / slices, rows = slice / 16,
                       stride = Tile::tile_cols + 8;  // rows lie 8 banks apart
  using Args = ManyValuesArgs<T>;
  static constexpr int shared_bytes = (slice * stride + Tile::tile_cols * width) * sizeof(T), blocks = 1;

  MONGE_DEVICE ManyValuesReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : p_(p),
        args_(args),
        block_(block),
        terms_(reinterpret_cast<T*>(memory)),
        values_(reinterpret_cast<T*>(memory) + slice * stride) {}

  MONGE_DEVICE void add(const T (&s)[Tile::rows][Tile::cols], Index first_col) {
    const typename Tile::Place place{thread()};
    barrier();  // the last tile's are done with
    for (int e = thread(); e < Tile::tile_cols * width; e += block_threads) {
      const Index j = first_col + e / width;
      const int k = e % width;
      values_[e] = j < p_.cols && k < args_.count ? args_.values[j * args_.stride + k] : T(0);
    }
#pragma unroll
    for (int q = 0; q < slices; ++q) {
      if (q > 0) barrier();
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) {
        const int row = place.row(r) - q * slice;  // of the slice, if it is one; for all lanes of a warp or none
        if (row < 0 || row >= slice) continue;
        const Index i = block_.first_row + place.row(r);
        const T shift = i < p_.rows ? args_.shift[i] : minus_infinity<T>();
#pragma unroll
        for (int c = 0; c < Tile::cols; ++c) {
          terms_[row * stride + place.col(c)] = share_of(s[r][c], shift, args_.rate);
        }
      }
      barrier();
      multiply(known_[q]);
    }
  }

  MONGE_DEVICE void finish() {
    const int across = thread() % 16, down = thread() / 16;
#pragma unroll
    for (int q = 0; q < slices; ++q) {
#pragma unroll
      for (int r = 0; r < rows; ++r) {
        const Index i = block_.first_row + q * slice + down + 16 * r;
        if (i >= p_.rows) continue;
        double* out = args_.out + (block_.part * p_.rows + i) * width;
        out[across] = known_[q][r][0];
        out[across + 16] = known_[q][r][1];
      }
    }
  }

 private:
  MONGE_DEVICE void multiply(double (&known)[rows][2]) const {
    const int across = thread() % 16, down = thread() / 16;
    T sums[rows][2] = {};
    for (int j = 0; j < Tile::tile_cols; ++j) {
      const T a = values_[j * width + across], b = values_[j * width + across + 16];
#pragma unroll
      for (int r = 0; r < rows; ++r) {
        const T term = terms_[(down + 16 * r) * stride + j];
        sums[r][0] = fma(term, a, sums[r][0]);
        sums[r][1] = fma(term, b, sums[r][1]);
      }
    }
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      for (int e = 0; e < 2; ++e) known[r][e] += static_cast<double>(sums[r][e]);
    }
  }

  const Problem<T>& p_;
  const Args& args_;
  RowBlock block_;
  T* terms_;
  T* values_;
  double known_[slices][rows][2] = {};
};

}  // namespace monge::ot::cuda
