#include "monge/ot/assignment_rows.h"

#include <algorithm>
#include <limits>

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/assignment_rows.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace monge::ot::detail::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Wide = hn::ScalableTag<double>;
using One = hn::CappedTag<double, 1>;  // the end of a row

template <class D>
hn::Vec<D> load(D d, const double* c) {
  return hn::LoadU(d, c);
}
template <class D>
hn::Vec<D> load(D d, const float* c) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, D>(), c));
}

// The two smallest of what each lane was shown.
template <class D>
struct Smallest {
  using Columns = hn::RebindToSigned<D>;
  hn::Vec<D> first, second;
  hn::Vec<Columns> column;

  Smallest()
      : first(hn::Set(D(), std::numeric_limits<double>::infinity())), second(first), column(hn::Zero(Columns())) {}

  void show(hn::Vec<D> value, hn::Vec<Columns> at) {
    const Columns di;
    second = hn::Min(second, hn::Max(first, value));
    column = hn::IfThenElse(hn::RebindMask(di, hn::Lt(value, first)), at, column);
    first = hn::Min(first, value);
  }
  // Of equal ones the lower column is first.
  void add(const Smallest& other) {
    const Columns di;
    const auto equal = hn::And(hn::RebindMask(di, hn::Eq(other.first, first)), hn::Lt(other.column, column));
    const auto wins = hn::Or(hn::RebindMask(di, hn::Lt(other.first, first)), equal);
    column = hn::IfThenElse(wins, other.column, column);
    second = hn::Min(hn::Min(second, other.second), hn::Max(first, other.first));
    first = hn::Min(first, other.first);
  }
  TwoSmallest of_lanes() const {
    const D d;
    const Columns di;
    TwoSmallest best{hn::GetLane(hn::MinOfLanes(d, first)), 0, 0};
    const auto at_first = hn::RebindMask(di, hn::Eq(first, hn::Set(d, best.first)));
    const auto columns = hn::IfThenElse(at_first, column, hn::Set(di, std::numeric_limits<Index>::max()));
    best.column = hn::GetLane(hn::MinOfLanes(di, columns));
    const auto winner = hn::RebindMask(d, hn::And(at_first, hn::Eq(column, hn::Set(di, best.column))));
    const auto others = hn::IfThenElse(winner, second, hn::Min(first, second));
    best.second = hn::GetLane(hn::MinOfLanes(d, others));
    return best;
  }
};

template <class T>
TwoSmallest two_smallest_row(const T* c, const double* v, Index m) {
  const Wide d;
  const hn::RebindToSigned<Wide> di;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  Smallest<Wide> sets[4];  // independent, so that processors need not wait for each
  auto here = hn::Iota(di, 0);
  const auto stride = hn::Set(di, lanes);
  const auto show = [&](Smallest<Wide>& set, Index j) HWY_ATTR {
    set.show(hn::Sub(load(d, c + j), hn::LoadU(d, v + j)), here);
    here = hn::Add(here, stride);
  };
  Index j = 0;
  for (; j + 4 * lanes <= m; j += 4 * lanes)
    for (Index k = 0; k < 4; ++k) show(sets[k], j + k * lanes);
  for (; j + lanes <= m; j += lanes) show(sets[0], j);
  sets[0].add(sets[1]);
  sets[2].add(sets[3]);
  sets[0].add(sets[2]);
  TwoSmallest best = sets[0].of_lanes();
  for (; j < m; ++j) {
    const double reduced = static_cast<double>(c[j]) - v[j];
    best.second = std::min(best.second, std::max(best.first, reduced));
    if (reduced < best.first) best.first = reduced, best.column = j;
  }
  return best;
}
TwoSmallest TwoSmallestFloat(const float* c, const double* v, Index m) { return two_smallest_row(c, v, m); }
TwoSmallest TwoSmallestDouble(const double* c, const double* v, Index m) { return two_smallest_row(c, v, m); }

template <class T, class D>
Index relax_from(D d, Index j, Index m, const T* c, const double* v, double shift, Index row, double* key, Index* from,
                 double& lowest) {
  const hn::RebindToSigned<D> di;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto shifts = hn::Set(d, shift);
  const auto rows = hn::Set(di, row);
  auto low = hn::Set(d, lowest);
  for (; j + lanes <= m; j += lanes) {
    const auto reached = hn::Add(shifts, hn::Sub(load(d, c + j), hn::LoadU(d, v + j)));
    const auto old = hn::LoadU(d, key + j);
    const auto nearer = hn::RebindMask(di, hn::Lt(reached, old));
    const auto now = hn::Min(reached, old);
    hn::StoreU(now, d, key + j);
    hn::StoreU(hn::IfThenElse(nearer, rows, hn::LoadU(di, from + j)), di, from + j);
    low = hn::Min(low, now);
  }
  lowest = hn::GetLane(hn::MinOfLanes(d, low));
  return j;
}

template <class T>
double relax_row(const T* c, const double* v, double shift, Index row, double* key, Index* from, Index m) {
  double lowest = std::numeric_limits<double>::infinity();
  const Index j = relax_from(Wide(), 0, m, c, v, shift, row, key, from, lowest);
  relax_from(One(), j, m, c, v, shift, row, key, from, lowest);
  return lowest;
}
double RelaxFloat(const float* c, const double* v, double shift, Index row, double* key, Index* from, Index m) {
  return relax_row(c, v, shift, row, key, from, m);
}
double RelaxDouble(const double* c, const double* v, double shift, Index row, double* key, Index* from, Index m) {
  return relax_row(c, v, shift, row, key, from, m);
}

Index NextWithin(const double* key, double level, Index first, Index m) {
  const Wide d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto levels = hn::Set(d, level);
  Index j = first;
  for (; j + lanes <= m; j += lanes) {
    const Index at = static_cast<Index>(hn::FindFirstTrue(d, hn::Le(hn::LoadU(d, key + j), levels)));
    if (at >= 0) return j + at;
  }
  while (j < m && key[j] > level) ++j;
  return j;
}

template <class T, class D>
Index summary_from(D d, Index j, Index m, const T* c, RowSummary& s) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto most = hn::Set(d, std::numeric_limits<double>::max());
  auto largest = hn::Zero(d), sum = hn::Zero(d), finite = hn::Zero(d);
  auto regular = hn::Eq(largest, largest);
  for (; j + lanes <= m; j += lanes) {
    const auto value = load(d, c + j);
    const auto size = hn::Abs(value);
    const auto good = hn::Le(size, most);
    largest = hn::Max(largest, hn::IfThenElseZero(good, size));
    sum = hn::Add(sum, hn::IfThenElseZero(good, value));
    finite = hn::Add(finite, hn::IfThenElseZero(good, hn::Set(d, 1.0)));
    regular = hn::And(regular, hn::Ge(value, hn::Neg(most)));
  }
  s.largest = HWY_MAX(s.largest, hn::GetLane(hn::MaxOfLanes(d, largest)));
  s.sum += hn::GetLane(hn::SumOfLanes(d, sum));
  s.finite += static_cast<Index>(hn::GetLane(hn::SumOfLanes(d, finite)));
  s.regular = s.regular && hn::AllTrue(d, regular);
  return j;
}

template <class T>
RowSummary summary_of(const T* c, Index m) {
  RowSummary s;
  const Index j = summary_from(Wide(), 0, m, c, s);
  summary_from(One(), j, m, c, s);
  return s;
}
RowSummary SummaryFloat(const float* c, Index m) { return summary_of(c, m); }
RowSummary SummaryDouble(const double* c, Index m) { return summary_of(c, m); }

template <class T, class D>
Index centred_from(D d, Index j, Index m, const T* c, const double* v, double shift, double scale, float* scores,
                   double& squares) {
  const hn::Rebind<float, D> df;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto by = hn::Set(d, scale), from = hn::Set(d, shift);
  const auto least = hn::Set(d, -std::numeric_limits<double>::max());
  auto sum = hn::Zero(d);
  for (; j + lanes <= m; j += lanes) {
    const auto score = hn::Mul(hn::Sub(hn::Add(from, hn::LoadU(d, v + j)), load(d, c + j)), by);
    hn::StoreU(hn::DemoteTo(df, score), df, scores + j);
    const auto finite = hn::IfThenElseZero(hn::Ge(score, least), score);
    sum = hn::MulAdd(finite, finite, sum);
  }
  squares += hn::GetLane(hn::SumOfLanes(d, sum));
  return j;
}

template <class T>
double centred_row(const T* c, const double* v, double shift, double scale, float* scores, Index m) {
  double squares = 0;
  const Index j = centred_from(Wide(), 0, m, c, v, shift, scale, scores, squares);
  centred_from(One(), j, m, c, v, shift, scale, scores, squares);
  return squares;
}
double CentredFloat(const float* c, const double* v, double shift, double scale, float* scores, Index m) {
  return centred_row(c, v, shift, scale, scores, m);
}
double CentredDouble(const double* c, const double* v, double shift, double scale, float* scores, Index m) {
  return centred_row(c, v, shift, scale, scores, m);
}

}  // namespace monge::ot::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot::detail {

HWY_EXPORT(TwoSmallestFloat);
HWY_EXPORT(TwoSmallestDouble);
HWY_EXPORT(RelaxFloat);
HWY_EXPORT(RelaxDouble);
HWY_EXPORT(NextWithin);
HWY_EXPORT(SummaryFloat);
HWY_EXPORT(SummaryDouble);
HWY_EXPORT(CentredFloat);
HWY_EXPORT(CentredDouble);

TwoSmallest two_smallest(const float* c, const double* v, Index m) {
  return HWY_DYNAMIC_DISPATCH(TwoSmallestFloat)(c, v, m);
}
TwoSmallest two_smallest(const double* c, const double* v, Index m) {
  return HWY_DYNAMIC_DISPATCH(TwoSmallestDouble)(c, v, m);
}
double relax(const float* c, const double* v, double shift, Index row, double* key, Index* from, Index m) {
  return HWY_DYNAMIC_DISPATCH(RelaxFloat)(c, v, shift, row, key, from, m);
}
double relax(const double* c, const double* v, double shift, Index row, double* key, Index* from, Index m) {
  return HWY_DYNAMIC_DISPATCH(RelaxDouble)(c, v, shift, row, key, from, m);
}
Index next_within(const double* key, double level, Index first, Index m) {
  return HWY_DYNAMIC_DISPATCH(NextWithin)(key, level, first, m);
}
RowSummary summary(const float* c, Index m) { return HWY_DYNAMIC_DISPATCH(SummaryFloat)(c, m); }
RowSummary summary(const double* c, Index m) { return HWY_DYNAMIC_DISPATCH(SummaryDouble)(c, m); }
double centred_scores(const float* c, const double* v, double shift, double scale, float* scores, Index m) {
  return HWY_DYNAMIC_DISPATCH(CentredFloat)(c, v, shift, scale, scores, m);
}
double centred_scores(const double* c, const double* v, double shift, double scale, float* scores, Index m) {
  return HWY_DYNAMIC_DISPATCH(CentredDouble)(c, v, shift, scale, scores, m);
}

}  // namespace monge::ot::detail
#endif
