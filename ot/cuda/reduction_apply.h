#pragma once  // private: never installed
#include "monge/ot/cuda/engine.h"
#include "monge/ot/cuda/reductions.h"

namespace monge::ot::cuda {

// sum_j exp((s_ij + shift_i) / epsilon) values_jk for a few k, each thread adding over its own columns.
template <class T_>
class FewValuesReduction : public RowReduction<T_, Sums<4>> {
  using Base = RowReduction<T_, Sums<4>>;
  using typename Base::S;

 public:
  using typename Base::T;
  static constexpr int width = 4, blocks = 1;
  struct Args {
    T rate;
    const T* shift;   // of rows
    const T* values;  // cols x count, count <= width
    Index stride;
    int count;
    Sums<width>* out;  // parts x rows
  };

  MONGE_DEVICE FewValuesReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : Base(p, block, memory), args_(args) {}

  MONGE_DEVICE void add(const T (&s)[S::rows][S::cols], Index first_col) {
    T values[S::cols][width];
#pragma unroll
    for (int c = 0; c < S::cols; ++c) {
      const Index j = first_col + this->place_.col(c);
#pragma unroll
      for (int k = 0; k < width; ++k) {
        values[c][k] = j < this->p_.cols && k < args_.count ? args_.values[j * args_.stride + k] : T(0);
      }
    }
#pragma unroll
    for (int r = 0; r < S::rows; ++r) {
      const T shift = this->of_row(args_.shift, r, minus_infinity<T>());
      T sums[width] = {};
#pragma unroll
      for (int c = 0; c < S::cols; ++c) {
        const T q = share_of(s[r][c], shift, args_.rate);
#pragma unroll
        for (int k = 0; k < width; ++k) sums[k] = fma(q, values[c][k], sums[k]);
      }
#pragma unroll
      for (int k = 0; k < width; ++k) this->known_[r].v[k] += static_cast<double>(sums[k]);
    }
  }

  MONGE_DEVICE void finish() {
    this->write_rows(args_.out, [](Sums<width>& all, const Sums<width>& one) { all.add(one); });
  }

 private:
  const Args& args_;
};

// The same for many k: the exponentials of a tile go to shared memory, a slice of its rows at a time, and are
// multiplied with `width` values of each column as a matrix product, 16 x 16 threads of `rows` x 2 results each.
template <class T_>
struct ManyValuesReduction {
  using T = T_;
  using S = Shape<T>;
  static constexpr int width = 32, slices = 4, slice = S::tile_rows / slices, rows = slice / 16,
                       stride = S::tile_cols + 1;
  struct Args {
    T rate;
    const T* shift;
    const T* values;  // cols x count, count <= width
    Index stride;
    int count;
    double* out;  // parts x rows x width
  };
  static constexpr int shared_bytes = (slice * stride + S::tile_cols * width) * sizeof(T), blocks = 1;

  MONGE_DEVICE ManyValuesReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : p_(p),
        args_(args),
        block_(block),
        terms_(reinterpret_cast<T*>(memory)),
        values_(reinterpret_cast<T*>(memory) + slice * stride) {}

  MONGE_DEVICE void add(const T (&s)[S::rows][S::cols], Index first_col) {
    const Place<T> place{thread()};
    barrier();  // the last tile's are done with
    for (int e = thread(); e < S::tile_cols * width; e += block_threads) {
      const Index j = first_col + e / width;
      const int k = e % width;
      values_[e] = j < p_.cols && k < args_.count ? args_.values[j * args_.stride + k] : T(0);
    }
#pragma unroll
    for (int q = 0; q < slices; ++q) {  // half of the rows of half of the warps
      if (q > 0) barrier();
      if (place.warp_row() == q / 2) {
#pragma unroll
        for (int r = q % 2 * S::rows / 2; r < (q % 2 + 1) * S::rows / 2; ++r) {
          const Index i = block_.first_row + place.row(r);
          const T shift = i < p_.rows ? args_.shift[i] : minus_infinity<T>();
#pragma unroll
          for (int c = 0; c < S::cols; ++c) {
            terms_[(place.row(r) - q * slice) * stride + place.col(c)] = share_of(s[r][c], shift, args_.rate);
          }
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
    for (int j = 0; j < S::tile_cols; ++j) {
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
