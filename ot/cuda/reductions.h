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

// exp2((s + shift) rate) may be had as exp2(fma(s, rate, start)) lack_of(..), where `start` is shift x rate, rounded:
// if that is small enough for what is lost to be less than a factor of two.
template <class T>
MONGE_DEVICE bool is_moderate(T start) {
  constexpr T most = sizeof(T) == 4 ? 0x1p23 : 0x1p52;
  return -most < start && start < most;
}
template <class T>
MONGE_DEVICE T lack_of(T shift, T rate, T start) {
  return start > minus_infinity<T>() ? exp2_of(fma(shift, rate, -start)) : T(1);
}

// The sum of a few terms, four sums at a time, which do not wait for each other.
template <int count, class T, class Term>
MONGE_DEVICE T sum_of(const Term& term) {
  T sums[4] = {};
#pragma unroll
  for (int c = 0; c < count; ++c) sums[c % 4] += term(c);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

template <class T, int count>
MONGE_DEVICE T largest_of(const T (&s)[count]) {
  T tops[4] = {s[0], s[1], s[2], s[3]};
#pragma unroll
  for (int c = 4; c < count; ++c) tops[c % 4] = larger(tops[c % 4], s[c]);
  return larger(larger(tops[0], tops[1]), larger(tops[2], tops[3]));
}

// A thread's scores of one row, added to what it knows of the row, whatever they are.
template <class T, int count>
MONGE_DEVICE void take_any_scores(LogSum<T>& known, const T (&s)[count], const Rate<T>& rate) {
  const T top = largest_of(s);
  const bool as_good = top == known.best && top > minus_infinity<T>();  // whatever becomes of `reach` in T
  if (!(as_good || top > known.best - rate.reach)) return;
  if (top > known.best) {
    known.sum *= static_cast<double>(exp2_of((known.best - top) * rate.rate));
    known.best = top;
  }
  known.sum += static_cast<double>(sum_of<count, T>([&](int c) { return exp2_of((s[c] - known.best) * rate.rate); }));
}

// The same. Floats are measured from the best score known, which need not be the largest: only when that would
// overflow, is immoderate, or there is none yet, it is looked for. A term is one multiply-add, one exponential and one
// addition; the product best x rate is rounded, and the sum is corrected for that.
template <class T, int count>
MONGE_DEVICE void take_scores(LogSum<T>& known, const T (&s)[count], const Rate<T>& rate) {
  if constexpr (sizeof(T) == 4) {
    const T start = -known.best * rate.rate;
    const T sum = sum_of<count, T>([&](int c) { return exp2_of(fma(s[c], rate.rate, start)); }) *
                  exp2_of(fma(-known.best, rate.rate, -start));
    if (is_moderate(start) && sum < T(0x1p60)) {
      known.sum += static_cast<double>(sum);
      return;
    }
  }
  take_any_scores(known, s, rate);
}

// What reductions have in common that keep a Known of each row, of this thread's places, until the end.
template <class Tile_, class Known>
class RowReduction {
 public:
  using Tile = Tile_;
  using T = typename Tile::T;
  static constexpr int shared_bytes = Tile::tile_rows * Tile::warp_columns * sizeof(Known);

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
    combine_rows<Tile>(known_, memory_, add, [&](int row, const Known& all) {
      const Index i = block_.first_row + row;
      if (i < p_.rows) out[block_.part * p_.rows + i] = all;
    });
  }

  const Problem<T>& p_;
  const RowBlock block_;
  unsigned char* const memory_;
  const typename Tile::Place place_{thread()};
  Known known_[Tile::rows];
};

template <class T>
struct SoftminArgs {
  Rate<T> rate;
  LogSum<T>* out;  // parts x rows
};

template <class Tile_>
class SoftminReduction : public RowReduction<Tile_, LogSum<typename Tile_::T>> {
  using Base = RowReduction<Tile_, LogSum<typename Tile_::T>>;

 public:
  using typename Base::T;
  using typename Base::Tile;
  using Args = SoftminArgs<T>;
  static constexpr int blocks = 2;

  MONGE_DEVICE SoftminReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : Base(p, block, memory), args_(args) {}

  MONGE_DEVICE void add(const T (&s)[Tile::rows][Tile::cols], Index) {
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) take_scores(this->known_[r], s[r], args_.rate);
  }

  MONGE_DEVICE void finish() {
    const double epsilon = args_.rate.epsilon;
    this->write_rows(args_.out, [&](LogSum<T>& all, const LogSum<T>& one) { all.add(one, epsilon); });
  }

 private:
  const Args& args_;
};

template <class T>
struct LargestArgs {
  Scored<T>* out;  // parts x rows
};

template <class Tile_>
class LargestReduction : public RowReduction<Tile_, Scored<typename Tile_::T>> {
  using Base = RowReduction<Tile_, Scored<typename Tile_::T>>;

 public:
  using typename Base::T;
  using typename Base::Tile;
  using Args = LargestArgs<T>;
  static constexpr int blocks = 2;

  MONGE_DEVICE LargestReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : Base(p, block, memory), args_(args) {}

  MONGE_DEVICE void add(const T (&s)[Tile::rows][Tile::cols], Index first_col) {
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
      Scored<T>& known = this->known_[r];
      const T top = largest_of(s[r]);
      if (!(top > known.value || known.column == no_column)) continue;
      int first = 0;  // of equals, as columns rise
#pragma unroll
      for (int c = Tile::cols - 1; c >= 0; --c) first = s[r][c] == top ? c : first;
      const Index j = first_col + this->place_.col(first);
      if (j < this->p_.cols) known = {top, static_cast<std::int32_t>(j)};
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

template <class T>
struct MassArgs {
  T rate;
  const T* weights;  // of columns
  Sums<1>* out;      // parts x rows
};

// sum_j weights_j exp((s_ij + row_bias_i) / epsilon): column sums, of the transposed problem. A term is one
// multiply-add, one exponential and one multiply-add where a tile is whole, and neither potentials nor sums are too
// large for that; the product row_bias_i x rate is rounded, and the sum is corrected for it.
template <class Tile_>
class MassReduction : public RowReduction<Tile_, Sums<1>> {
  using Base = RowReduction<Tile_, Sums<1>>;

 public:
  using typename Base::T;
  using typename Base::Tile;
  using Args = MassArgs<T>;
  static constexpr int blocks = 2;

  MONGE_DEVICE MassReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : Base(p, block, memory), args_(args) {
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
      const bool inside = block.first_row + this->place_.row(r) < p.rows;
      bias_[r] = inside ? this->of_row(p.row_bias, r, T(0)) : minus_infinity<T>();  // others do not overflow
      moderate_ = moderate_ && (bias_[r] == minus_infinity<T>() || is_moderate(bias_[r] * args.rate));
    }
  }

  MONGE_DEVICE void add(const T (&s)[Tile::rows][Tile::cols], Index first_col) {
    const bool whole = first_col + Tile::tile_cols <= this->p_.cols;
    if (!(moderate_ && whole && add_whole(s, first_col))) add_any(s, first_col);
  }

  MONGE_DEVICE void finish() {
    this->write_rows(args_.out, [](Sums<1>& all, const Sums<1>& one) { all.add(one); });
  }

 private:
  // Whether all sums are far from overflow; otherwise nothing is added.
  MONGE_DEVICE bool add_whole(const T (&s)[Tile::rows][Tile::cols], Index first_col) {
    constexpr T far = sizeof(T) == 4 ? 0x1p120 : 0x1p1000;
    const T* const weights = args_.weights + first_col + this->place_.col(0);
    T start[Tile::rows], sums[Tile::rows] = {};
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) start[r] = bias_[r] * args_.rate;
#pragma unroll
    for (int c = 0; c < Tile::cols; ++c) {
      const T weight = weights[this->place_.col(c) - this->place_.col(0)];
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) sums[r] = fma(weight, exp2_of(fma(s[r][c], args_.rate, start[r])), sums[r]);
    }
    bool fine = true;
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) fine = fine && sums[r] < far;
    if (!fine) return false;
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
      this->known_[r].v[0] += static_cast<double>(sums[r] * lack_of(bias_[r], args_.rate, start[r]));
    }
    return true;
  }
  MONGE_DEVICE void add_any(const T (&s)[Tile::rows][Tile::cols], Index first_col) {
    T sums[Tile::rows] = {};
#pragma unroll
    for (int c = 0; c < Tile::cols; ++c) {
      const T weight = this->of_column(args_.weights, first_col, c, T(0));
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) sums[r] = fma(weight, share_of(s[r][c], bias_[r], args_.rate), sums[r]);
    }
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) this->known_[r].v[0] += static_cast<double>(sums[r]);
  }

  const Args& args_;
  T bias_[Tile::rows];
  bool moderate_ = true;
};

template <class T>
struct EnergyArgs {
  T rate;
  const T* shift;  // of rows
  const T* kept;   // w, of columns; null: 1
  const T* bias;   // of columns; null: 0
  Sums<3>* out;    // parts x rows
};

// With p_j = exp((s_j + shift_i) / epsilon) and c_j = bias_j - s_j: sum p c, sum p w, sum p w c.
template <class Tile_>
class EnergyReduction : public RowReduction<Tile_, Sums<3>> {
  using Base = RowReduction<Tile_, Sums<3>>;

 public:
  using typename Base::T;
  using typename Base::Tile;
  using Args = EnergyArgs<T>;
  static constexpr int blocks = 1;

  MONGE_DEVICE EnergyReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : Base(p, block, memory), args_(args) {}

  MONGE_DEVICE void add(const T (&s)[Tile::rows][Tile::cols], Index first_col) {
    T shift[Tile::rows], sums[Tile::rows][3] = {};
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) shift[r] = this->of_row(args_.shift, r, minus_infinity<T>());
#pragma unroll
    for (int c = 0; c < Tile::cols; ++c) {
      const T kept = this->of_column(args_.kept, first_col, c, T(1));
      const T bias = this->of_column(args_.bias, first_col, c, T(0));
#pragma unroll
      for (int r = 0; r < Tile::rows; ++r) {
        const T q = share_of(s[r][c], shift[r], args_.rate);
        const T cost = q > 0 ? q * (bias - s[r][c]) : T(0);  // where nothing is sent the score may be -infinity
        sums[r][0] += cost;
        sums[r][1] = fma(q, kept, sums[r][1]);
        sums[r][2] = fma(cost, kept, sums[r][2]);
      }
    }
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
#pragma unroll
      for (int k = 0; k < 3; ++k) this->known_[r].v[k] += static_cast<double>(sums[r][k]);
    }
  }

  MONGE_DEVICE void finish() {
    this->write_rows(args_.out, [](Sums<3>& all, const Sums<3>& one) { all.add(one); });
  }

 private:
  const Args& args_;
};

template <class T>
struct StoreArgs {
  T* out;
  Index stride;
};

// Writes the scores.
template <class Tile_>
struct StoreReduction {
  using Tile = Tile_;
  using T = typename Tile::T;
  using Args = StoreArgs<T>;
  static constexpr int shared_bytes = 0, blocks = 2;

  MONGE_DEVICE StoreReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char*)
      : p_(p), args_(args), block_(block) {}

  MONGE_DEVICE void add(const T (&s)[Tile::rows][Tile::cols], Index first_col) {
    const typename Tile::Place place{thread()};
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
      const Index i = block_.first_row + place.row(r);
      const T u = p_.row_bias && i < p_.rows ? p_.row_bias[i] : T(0);
#pragma unroll
      for (int c = 0; c < Tile::cols; ++c) {
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
