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

// exp((s + shift) / epsilon), kept below overflow: shares are 1 or little more at most.
template <class T>
MONGE_DEVICE T share_of(T s, T shift, T rate) {
  constexpr T largest = sizeof(T) == 4 ? 127 : 1023;
  const T t = (s + shift) * rate;
  return exp2_of(t < largest ? t : largest);
}

// A thread's scores of one row, added to what it knows of the row.
template <class T, int count>
MONGE_DEVICE void take_scores(LogSum<T>& known, const T (&s)[count], const Rate<T>& rate) {
  T top = s[0];
#pragma unroll
  for (int c = 1; c < count; ++c) top = s[c] > top ? s[c] : top;
  if (!(top > known.best - rate.reach)) return;
  if (top > known.best) {
    known.sum *= static_cast<double>(exp2_of((known.best - top) * rate.rate));
    known.best = top;
  }
  T sum = 0;
#pragma unroll
  for (int c = 0; c < count; ++c) sum += exp2_of((s[c] - known.best) * rate.rate);
  known.sum += static_cast<double>(sum);
}

// What reductions have in common that keep a Known of each row, of this thread's places, until the end.
template <class T_, class Known>
class RowReduction {
 public:
  using T = T_;
  using S = Shape<T>;
  static constexpr int shared_bytes = S::tile_rows * S::warp_columns * sizeof(Known);

 protected:
  MONGE_DEVICE RowReduction(const Problem<T>& p, RowBlock block, unsigned char* memory)
      : p_(p), block_(block), memory_(memory) {}

  // A value of this thread's r-th row or c-th column of a tile; `otherwise` where there are none, or no such row.
  template <class V>
  MONGE_DEVICE V of_row(const V* values, int r, V otherwise) const {
    const Index i = block_.first_row + place_.row(r);
    return values && i < p_.rows ? values[i] : otherwise;
  }
  template <class V>
  MONGE_DEVICE V of_column(const V* values, Index first_col, int c, V otherwise) const {
    const Index j = first_col + place_.col(c);
    return values && j < p_.cols ? values[j] : otherwise;
  }

  // Puts together what the threads know with add(all, one), and writes it: parts x rows.
  template <class Add>
  MONGE_DEVICE void write_rows(Known* out, const Add& add) {
    combine_rows<T>(known_, memory_, add, [&](int row, const Known& all) {
      const Index i = block_.first_row + row;
      if (i < p_.rows) out[block_.part * p_.rows + i] = all;
    });
  }

  const Problem<T>& p_;
  const RowBlock block_;
  unsigned char* const memory_;
  const Place<T> place_{thread()};
  Known known_[S::rows];
};

template <class T_>
class SoftminReduction : public RowReduction<T_, LogSum<T_>> {
  using Base = RowReduction<T_, LogSum<T_>>;
  using typename Base::S;

 public:
  using typename Base::T;
  struct Args {
    Rate<T> rate;
    LogSum<T>* out;  // parts x rows
  };
  static constexpr int blocks = 2;

  MONGE_DEVICE SoftminReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : Base(p, block, memory), args_(args) {}

  MONGE_DEVICE void add(const T (&s)[S::rows][S::cols], Index) {
#pragma unroll
    for (int r = 0; r < S::rows; ++r) take_scores(this->known_[r], s[r], args_.rate);
  }

  MONGE_DEVICE void finish() {
    const double epsilon = args_.rate.epsilon;
    this->write_rows(args_.out, [&](LogSum<T>& all, const LogSum<T>& one) { all.add(one, epsilon); });
  }

 private:
  const Args& args_;
};

template <class T_>
class LargestReduction : public RowReduction<T_, Scored<T_>> {
  using Base = RowReduction<T_, Scored<T_>>;
  using typename Base::S;

 public:
  using typename Base::T;
  struct Args {
    Scored<T>* out;  // parts x rows
  };
  static constexpr int blocks = 2;

  MONGE_DEVICE LargestReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : Base(p, block, memory), args_(args) {}

  MONGE_DEVICE void add(const T (&s)[S::rows][S::cols], Index first_col) {
#pragma unroll
    for (int r = 0; r < S::rows; ++r) {
      Scored<T>& known = this->known_[r];
#pragma unroll
      for (int c = 0; c < S::cols; ++c) {
        // Columns rise, so the first of equals stays; -infinity only beats an empty place, unless it is padding.
        const Index j = first_col + this->place_.col(c);
        const bool first = known.column == no_column && j < this->p_.cols;
        if (s[r][c] > known.value || first) known = {s[r][c], static_cast<std::int32_t>(j)};
      }
    }
  }

  MONGE_DEVICE void finish() {
    this->write_rows(args_.out, [](Scored<T>& all, const Scored<T>& one) {
      if (one.before(all)) all = one;
    });
  }

 private:
  const Args& args_;
};

// sum_j weights_j exp((s_ij + row_bias_i) / epsilon): column sums, of the transposed problem.
template <class T_>
class MassReduction : public RowReduction<T_, Sums<1>> {
  using Base = RowReduction<T_, Sums<1>>;
  using typename Base::S;

 public:
  using typename Base::T;
  struct Args {
    T rate;
    const T* weights;  // of columns
    Sums<1>* out;      // parts x rows
  };
  static constexpr int blocks = 2;

  MONGE_DEVICE MassReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : Base(p, block, memory), args_(args) {}

  MONGE_DEVICE void add(const T (&s)[S::rows][S::cols], Index first_col) {
    T weights[S::cols];
#pragma unroll
    for (int c = 0; c < S::cols; ++c) weights[c] = this->of_column(args_.weights, first_col, c, T(0));
#pragma unroll
    for (int r = 0; r < S::rows; ++r) {
      const T bias = this->of_row(this->p_.row_bias, r, T(0));
      T sum = 0;
#pragma unroll
      for (int c = 0; c < S::cols; ++c) sum = fma(weights[c], share_of(s[r][c], bias, args_.rate), sum);
      this->known_[r].v[0] += static_cast<double>(sum);
    }
  }

  MONGE_DEVICE void finish() {
    this->write_rows(args_.out, [](Sums<1>& all, const Sums<1>& one) { all.add(one); });
  }

 private:
  const Args& args_;
};

// With p_j = exp((s_j + shift_i) / epsilon) and c_j = bias_j - s_j: sum p c, sum p w, sum p w c.
template <class T_>
class EnergyReduction : public RowReduction<T_, Sums<3>> {
  using Base = RowReduction<T_, Sums<3>>;
  using typename Base::S;

 public:
  using typename Base::T;
  struct Args {
    T rate;
    const T* shift;  // of rows
    const T* kept;   // w, of columns; null: 1
    const T* bias;   // of columns; null: 0
    Sums<3>* out;    // parts x rows
  };
  static constexpr int blocks = 1;

  MONGE_DEVICE EnergyReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : Base(p, block, memory), args_(args) {}

  MONGE_DEVICE void add(const T (&s)[S::rows][S::cols], Index first_col) {
    T kept[S::cols], bias[S::cols];
#pragma unroll
    for (int c = 0; c < S::cols; ++c) {
      kept[c] = this->of_column(args_.kept, first_col, c, T(1));
      bias[c] = this->of_column(args_.bias, first_col, c, T(0));
    }
#pragma unroll
    for (int r = 0; r < S::rows; ++r) {
      const T shift = this->of_row(args_.shift, r, minus_infinity<T>());
      T spent = 0, mass = 0, kept_spent = 0;
#pragma unroll
      for (int c = 0; c < S::cols; ++c) {
        const T q = share_of(s[r][c], shift, args_.rate);
        const T cost = q > 0 ? q * (bias[c] - s[r][c]) : T(0);  // where nothing is sent the score may be -infinity
        spent += cost;
        mass = fma(q, kept[c], mass);
        kept_spent = fma(cost, kept[c], kept_spent);
      }
      double* const known = this->known_[r].v;
      known[0] += static_cast<double>(spent);
      known[1] += static_cast<double>(mass);
      known[2] += static_cast<double>(kept_spent);
    }
  }

  MONGE_DEVICE void finish() {
    this->write_rows(args_.out, [](Sums<3>& all, const Sums<3>& one) { all.add(one); });
  }

 private:
  const Args& args_;
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
