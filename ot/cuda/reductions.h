#pragma once  // private: never installed
#include "monge/ot/cuda/engine.h"

// What passes make of scores, each thread for its own places of all tiles until the end.
namespace monge::ot::cuda {

// (s - best) / epsilon = (s - best) rate in powers of two; scores further than `reach` below the best count for
// nothing.
template <class T>
struct Rate {
  T rate, reach;
  double epsilon;
};

template <class T_>
struct SoftminReduction {
  using T = T_;
  using S = Shape<T>;
  struct Args {
    Rate<T> rate;
    LogSum<T>* out;  // parts x rows
  };
  static constexpr int shared_bytes = S::tile_rows * S::warp_columns * sizeof(LogSum<T>), blocks = 2;

  MONGE_DEVICE SoftminReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : p_(p), args_(args), block_(block), memory_(memory) {}

  MONGE_DEVICE void add(const T (&s)[S::rows][S::cols], Index) {
    const T rate = args_.rate.rate, reach = args_.rate.reach;
#pragma unroll
    for (int r = 0; r < S::rows; ++r) {
      LogSum<T>& known = known_[r];
      T top = s[r][0];
#pragma unroll
      for (int c = 1; c < S::cols; ++c) top = s[r][c] > top ? s[r][c] : top;
      if (!(top > known.best - reach)) continue;
      if (top > known.best) {
        known.sum *= static_cast<double>(exp2_of((known.best - top) * rate));
        known.best = top;
      }
      T sum = 0;
#pragma unroll
      for (int c = 0; c < S::cols; ++c) sum += exp2_of((s[r][c] - known.best) * rate);
      known.sum += static_cast<double>(sum);
    }
  }

  MONGE_DEVICE void finish() {
    const double epsilon = args_.rate.epsilon;
    combine_rows<T>(
        known_, memory_, [&](LogSum<T>& all, const LogSum<T>& one) { all.add(one, epsilon); },
        [&](int row, const LogSum<T>& all) {
          const Index i = block_.first_row + row;
          if (i < p_.rows) args_.out[block_.part * p_.rows + i] = all;
        });
  }

 private:
  const Problem<T>& p_;
  const Args& args_;
  RowBlock block_;
  unsigned char* memory_;
  LogSum<T> known_[S::rows];
};

template <class T_>
struct LargestReduction {
  using T = T_;
  using S = Shape<T>;
  struct Args {
    Scored<T>* out;  // parts x rows
  };
  static constexpr int shared_bytes = S::tile_rows * S::warp_columns * sizeof(Scored<T>), blocks = 2;

  MONGE_DEVICE LargestReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : p_(p), args_(args), block_(block), memory_(memory) {}

  MONGE_DEVICE void add(const T (&s)[S::rows][S::cols], Index first_col) {
    const Place<T> place{thread()};
#pragma unroll
    for (int r = 0; r < S::rows; ++r) {
#pragma unroll
      for (int c = 0; c < S::cols; ++c) {
        // Columns rise, so the first of equals stays; -infinity only beats an empty place, unless it is padding.
        const std::int32_t column = static_cast<std::int32_t>(first_col) + place.col(c);
        const bool first = known_[r].column == no_column && first_col + place.col(c) < p_.cols;
        if (s[r][c] > known_[r].value || first) known_[r] = {s[r][c], column};
      }
    }
  }

  MONGE_DEVICE void finish() {
    combine_rows<T>(
        known_, memory_,
        [](Scored<T>& all, const Scored<T>& one) {
          if (one.before(all)) all = one;
        },
        [&](int row, const Scored<T>& all) {
          const Index i = block_.first_row + row;
          if (i < p_.rows) args_.out[block_.part * p_.rows + i] = all;
        });
  }

 private:
  const Problem<T>& p_;
  const Args& args_;
  RowBlock block_;
  unsigned char* memory_;
  Scored<T> known_[S::rows];
};

// sum_j weights_j exp((s_ij + row_bias_i) / epsilon): column sums, of the transposed problem.
template <class T_>
struct MassReduction {
  using T = T_;
  using S = Shape<T>;
  struct Args {
    T rate;
    const T* weights;  // of columns
    Sums<1>* out;      // parts x rows
  };
  static constexpr int shared_bytes = S::tile_rows * S::warp_columns * sizeof(Sums<1>), blocks = 2;
  static constexpr T largest_exponent = sizeof(T) == 4 ? 127 : 1023;

  MONGE_DEVICE MassReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : p_(p), args_(args), block_(block), memory_(memory) {}

  MONGE_DEVICE void add(const T (&s)[S::rows][S::cols], Index first_col) {
    const Place<T> place{thread()};
    T weights[S::cols];
#pragma unroll
    for (int c = 0; c < S::cols; ++c) {
      const Index j = first_col + place.col(c);
      weights[c] = j < p_.cols ? args_.weights[j] : T(0);
    }
#pragma unroll
    for (int r = 0; r < S::rows; ++r) {
      const Index i = block_.first_row + place.row(r);
      const T bias = p_.row_bias && i < p_.rows ? p_.row_bias[i] : T(0);
      T sum = 0;
#pragma unroll
      for (int c = 0; c < S::cols; ++c) {
        const T t = (s[r][c] + bias) * args_.rate;
        sum = fma(weights[c], exp2_of(t < largest_exponent ? t : largest_exponent), sum);
      }
      known_[r].v[0] += static_cast<double>(sum);
    }
  }

  MONGE_DEVICE void finish() {
    combine_rows<T>(
        known_, memory_, [](Sums<1>& all, const Sums<1>& one) { all.v[0] += one.v[0]; },
        [&](int row, const Sums<1>& all) {
          const Index i = block_.first_row + row;
          if (i < p_.rows) args_.out[block_.part * p_.rows + i] = all;
        });
  }

 private:
  const Problem<T>& p_;
  const Args& args_;
  RowBlock block_;
  unsigned char* memory_;
  Sums<1> known_[S::rows];
};

// With p_j = exp((s_j + shift_i) / epsilon) and c_j = bias_j - s_j: sum p c, sum p w, sum p w c.
template <class T_>
struct EnergyReduction {
  using T = T_;
  using S = Shape<T>;
  struct Args {
    T rate;
    const T* shift;  // of rows
    const T* kept;   // w, of columns; null: 1
    const T* bias;   // of columns; null: 0
    Sums<3>* out;    // parts x rows
  };
  static constexpr int shared_bytes = S::tile_rows * S::warp_columns * sizeof(Sums<3>), blocks = 1;
  static constexpr T largest_exponent = sizeof(T) == 4 ? 127 : 1023;

  MONGE_DEVICE EnergyReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : p_(p), args_(args), block_(block), memory_(memory) {}

  MONGE_DEVICE void add(const T (&s)[S::rows][S::cols], Index first_col) {
    const Place<T> place{thread()};
    T kept[S::cols], bias[S::cols];
#pragma unroll
    for (int c = 0; c < S::cols; ++c) {
      const Index j = first_col + place.col(c);
      kept[c] = args_.kept && j < p_.cols ? args_.kept[j] : T(1);
      bias[c] = args_.bias && j < p_.cols ? args_.bias[j] : T(0);
    }
#pragma unroll
    for (int r = 0; r < S::rows; ++r) {
      const Index i = block_.first_row + place.row(r);
      const T shift = i < p_.rows ? args_.shift[i] : minus_infinity<T>();
      T spent = 0, mass = 0, kept_spent = 0;
#pragma unroll
      for (int c = 0; c < S::cols; ++c) {
        const T t = (s[r][c] + shift) * args_.rate;
        const T q = exp2_of(t < largest_exponent ? t : largest_exponent);
        const T cost = q > 0 ? q * (bias[c] - s[r][c]) : T(0);  // where nothing is sent the score may be -infinity
        spent += cost;
        mass = fma(q, kept[c], mass);
        kept_spent = fma(cost, kept[c], kept_spent);
      }
      known_[r].v[0] += static_cast<double>(spent);
      known_[r].v[1] += static_cast<double>(mass);
      known_[r].v[2] += static_cast<double>(kept_spent);
    }
  }

  MONGE_DEVICE void finish() {
    combine_rows<T>(
        known_, memory_,
        [](Sums<3>& all, const Sums<3>& one) {
          for (int k = 0; k < 3; ++k) all.v[k] += one.v[k];
        },
        [&](int row, const Sums<3>& all) {
          const Index i = block_.first_row + row;
          if (i < p_.rows) args_.out[block_.part * p_.rows + i] = all;
        });
  }

 private:
  const Problem<T>& p_;
  const Args& args_;
  RowBlock block_;
  unsigned char* memory_;
  Sums<3> known_[S::rows];
};

// Writes the scores.
template <class T_>
struct StoreReduction {
  using T = T_;
  using S = Shape<T>;
  struct Args {
    T* out;
    Index stride;
  };
  static constexpr int shared_bytes = 0, blocks = 2;

  MONGE_DEVICE StoreReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char*)
      : p_(p), args_(args), block_(block) {}

  MONGE_DEVICE void add(const T (&s)[S::rows][S::cols], Index first_col) {
    const Place<T> place{thread()};
#pragma unroll
    for (int r = 0; r < S::rows; ++r) {
      const Index i = block_.first_row + place.row(r);
      const T u = p_.row_bias && i < p_.rows ? p_.row_bias[i] : T(0);
#pragma unroll
      for (int c = 0; c < S::cols; ++c) {
        const Index j = first_col + place.col(c);
        if (i < p_.rows && j < p_.cols) args_.out[i * args_.stride + j] = s[r][c] + u;
      }
    }
  }

  MONGE_DEVICE void finish() {}

 private:
  const Problem<T>& p_;
  const Args& args_;
  RowBlock block_;
};

}  // namespace monge::ot::cuda
