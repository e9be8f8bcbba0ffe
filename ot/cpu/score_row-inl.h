// Scores of one row of a tile, by vectors; included once per SIMD target.
#if defined(MONGE_OT_CPU_SCORE_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MONGE_OT_CPU_SCORE_ROW_INL_H_
#undef MONGE_OT_CPU_SCORE_ROW_INL_H_
#else
#define MONGE_OT_CPU_SCORE_ROW_INL_H_
#endif

#include "hwy/highway.h"
#include "monge/ot/cpu/tile_source.h"

HWY_BEFORE_NAMESPACE();
namespace monge::ot::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 2^t = 2^n 2^f, n the nearest integer; 2^f = 1 + f q(f), q a minimax polynomial.
template <class T>
struct Exp2;
template <>
struct Exp2<float> {
  static constexpr float q[] = {0.69314718f, 0.24022648f, 0.055503324f, 0.0096184369f, 0.0013398875f, 0.00015353362f};
  static constexpr float round = 0x1.8p23f, lowest = -126;  // adding `round` leaves the integer in the lowest bits
  static constexpr int mantissa_bits = 23;
};
template <>
struct Exp2<double> {
  static constexpr double q[] = {0.6931471805599453,    0.24022650695910097,   0.0555041086648216,
                                 0.009618129107606888,  0.0013333558146416936, 0.0001540353044173605,
                                 1.525273382983612e-05, 1.321544258792169e-06, 1.0178062445845774e-07,
                                 7.072585949269223e-09, 4.4549605981865186e-10};
  static constexpr double round = 0x1.8p52, lowest = -1022;
  static constexpr int mantissa_bits = 52;
};

// 2^t for t < 127.5 (double: 1023.5), relative error about 1 ulp; 0 where it would be subnormal, also at -infinity.
template <class D, class V = hn::Vec<D>, class T = hn::TFromD<D>>
HWY_INLINE V exp2(D d, V t) {
  using E = Exp2<T>;
  const hn::RebindToSigned<D> di;
  const V rounded = hn::Add(t, hn::Set(d, E::round));
  const V f = hn::Sub(t, hn::Sub(rounded, hn::Set(d, E::round)));
  constexpr int degree = sizeof(E::q) / sizeof(T);
  V p = hn::Set(d, E::q[degree - 1]);
  for (int k = degree - 2; k >= 0; --k) p = hn::MulAdd(p, f, hn::Set(d, E::q[k]));
  p = hn::MulAdd(p, f, hn::Set(d, T(1)));
  const auto n = hn::ShiftLeft<E::mantissa_bits>(hn::BitCast(di, rounded));
  return hn::IfThenElseZero(hn::Gt(t, hn::Set(d, E::lowest)), hn::BitCast(d, hn::Add(hn::BitCast(di, p), n)));
}

#if HWY_MAX_BYTES == 64
// The same bits in fewer instructions.
template <class D>
HWY_INLINE hn::Vec512<float> exp2(D, hn::Vec512<float> t) {
  using E = Exp2<float>;
  const __m512 f = _mm512_reduce_ps(t.raw, _MM_FROUND_TO_NEAREST_INT);
  __m512 p = _mm512_set1_ps(E::q[5]);
  for (int k = 4; k >= 0; --k) p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(E::q[k]));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
  const __mmask16 normal = _mm512_cmp_ps_mask(t.raw, _mm512_set1_ps(E::lowest), _CMP_GT_OQ);
  return hn::Vec512<float>{_mm512_maskz_scalef_ps(normal, p, _mm512_sub_ps(t.raw, f))};
}
#endif

// Row i of a tile, without its u_i.
template <class D, class T = hn::TFromD<D>>
struct ScoreRow {
  const T* data;
  const T* v;
  hn::Vec<D> scale;

  HWY_INLINE ScoreRow(const Tile<T>& tile, Index i)
      : data(tile.data + i * tile.stride), v(tile.v), scale(hn::Set(D(), tile.scale)) {}
  HWY_INLINE hn::Vec<D> at(Index j) const { return hn::MulAdd(scale, hn::LoadU(D(), data + j), hn::Load(D(), v + j)); }
};

// The largest scores of columns [begin, end), by lanes.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> largest(const ScoreRow<D>& row, Index begin, Index end) {
  const Index lanes = static_cast<Index>(hn::Lanes(D()));
  auto top = row.at(begin);
  Index j = begin + lanes;
  for (; j + 3 * lanes < end; j += 4 * lanes) {
    top = hn::Max(
        top, hn::Max(hn::Max(row.at(j), row.at(j + lanes)), hn::Max(row.at(j + 2 * lanes), row.at(j + 3 * lanes))));
  }
  for (; j < end; j += lanes) top = hn::Max(top, row.at(j));
  return top;
}

// Calls hit(top, begin, end) for the granules of a row with a score above `limit`, which hit may raise; top holds the
// largest scores by lanes.
template <class D, class Hit, class T = hn::TFromD<D>>
HWY_INLINE void for_granules_above(const ScoreRow<D>& row, Index padded, const T& limit, const Hit& hit) {
  const D d;
  for (Index begin = 0; begin < padded; begin += granule) {
    const Index end = HWY_MIN(begin + granule, padded);
    const auto top = largest(row, begin, end);
    if (!hn::AllFalse(d, hn::Gt(top, hn::Set(d, limit)))) hit(top, begin, end);
  }
}

// exp2((s_j - best) rate) for the vector of columns at j.
template <class D>
HWY_INLINE hn::Vec<D> term_of(const ScoreRow<D>& row, hn::Vec<D> best, hn::Vec<D> rate, Index j) {
  return exp2(D(), hn::Mul(hn::Sub(row.at(j), best), rate));
}

struct IgnoreTerms {
  template <class V>
  HWY_INLINE void operator()(Index, V) const {}
};

// sum_j exp2((s_j - best) rate) over columns [begin, end); visit(j, terms) gets each vector of terms.
template <class D, class Visit, class T = hn::TFromD<D>>
HWY_INLINE double sum_of_exp2(const ScoreRow<D>& row, T best, T rate, Index begin, Index end, const Visit& visit) {
  const D d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto from = hn::Set(d, best), by = hn::Set(d, rate);
  auto sum = hn::Zero(d);
  for (Index j = begin; j < end; j += lanes) {
    const auto term = term_of(row, from, by, j);
    visit(j, term);
    sum = hn::Add(sum, term);
  }
  return static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
}

}  // namespace HWY_NAMESPACE
}  // namespace monge::ot::cpu
HWY_AFTER_NAMESPACE();

#endif
