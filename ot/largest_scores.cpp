#include "monge/ot/largest_scores.h"

#include <algorithm>
#include <functional>
#include <limits>

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/largest_scores.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace monge::ot::detail::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The largest score of each of `groups` groups of the first columns, a multiple of the lanes: lane l of block b looks
// at every lanes-th column of the block. Returns how many columns were looked at.
template <class T>
Index group_tops(const T* HWY_RESTRICT s, T scale, const T* HWY_RESTRICT w, Index m, Index groups, T* tops) {
  const hn::ScalableTag<T> d;
  const Index lanes = static_cast<Index>(hn::Lanes(d)), blocks = groups / lanes, length = m / groups * lanes;
  const auto by = hn::Set(d, scale);
  for (Index b = 0; b < blocks; ++b) {
    const T* sb = s + b * length;
    const T* wb = w + b * length;
    auto top = hn::MulAdd(by, hn::LoadU(d, sb), hn::LoadU(d, wb)), other = top;
    Index j = lanes;
    for (; j + lanes < length; j += 2 * lanes) {
      top = hn::Max(top, hn::MulAdd(by, hn::LoadU(d, sb + j), hn::LoadU(d, wb + j)));
      other = hn::Max(other, hn::MulAdd(by, hn::LoadU(d, sb + j + lanes), hn::LoadU(d, wb + j + lanes)));
    }
    if (j < length) top = hn::Max(top, hn::MulAdd(by, hn::LoadU(d, sb + j), hn::LoadU(d, wb + j)));
    hn::StoreU(hn::Max(top, other), d, tops + b * lanes);
  }
  return blocks * length;
}

// All columns whose score is at least `least`, in order; room for m + lanes of both. Returns how many.
template <class T>
Index at_least(const T* HWY_RESTRICT s, T scale, const T* HWY_RESTRICT w, Index m, T least,
               ScoredColumn<T>* HWY_RESTRICT found) {
  const hn::ScalableTag<T> d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto by = hn::Set(d, scale), limit = hn::Set(d, least);
  HWY_ALIGN T lane[HWY_MAX_BYTES / sizeof(T)];
  Index count = 0, j = 0;
  for (; j + lanes <= m; j += lanes) {
    const auto score = hn::MulAdd(by, hn::LoadU(d, s + j), hn::LoadU(d, w + j));
    const auto hit = hn::Ge(score, limit);
    if (hn::AllFalse(d, hit)) continue;
    hn::Store(score, d, lane);
    for (Index l = 0; l < lanes; ++l)
      if (lane[l] >= least) found[count++] = {lane[l], static_cast<std::int32_t>(j + l)};
  }
  const hn::CappedTag<T, 1> one;
  for (; j < m; ++j) {
    const T score = hn::GetLane(hn::MulAdd(hn::Set(one, scale), hn::LoadU(one, s + j), hn::LoadU(one, w + j)));
    if (score >= least) found[count++] = {score, static_cast<std::int32_t>(j)};
  }
  return count;
}

Index TopsFloat(const float* s, float scale, const float* w, Index m, Index groups, float* tops) {
  return group_tops(s, scale, w, m, groups, tops);
}
Index TopsDouble(const double* s, double scale, const double* w, Index m, Index groups, double* tops) {
  return group_tops(s, scale, w, m, groups, tops);
}
Index AtLeastFloat(const float* s, float scale, const float* w, Index m, float least, ScoredColumn<float>* found) {
  return at_least(s, scale, w, m, least, found);
}
Index AtLeastDouble(const double* s, double scale, const double* w, Index m, double least,
                    ScoredColumn<double>* found) {
  return at_least(s, scale, w, m, least, found);
}

}  // namespace monge::ot::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot::detail {
namespace {

HWY_EXPORT(TopsFloat);
HWY_EXPORT(TopsDouble);
HWY_EXPORT(AtLeastFloat);
HWY_EXPORT(AtLeastDouble);

Index tops(const float* s, float scale, const float* w, Index m, Index groups, float* out) {
  return HWY_DYNAMIC_DISPATCH(TopsFloat)(s, scale, w, m, groups, out);
}
Index tops(const double* s, double scale, const double* w, Index m, Index groups, double* out) {
  return HWY_DYNAMIC_DISPATCH(TopsDouble)(s, scale, w, m, groups, out);
}
Index at_least(const float* s, float scale, const float* w, Index m, float least, ScoredColumn<float>* found) {
  return HWY_DYNAMIC_DISPATCH(AtLeastFloat)(s, scale, w, m, least, found);
}
Index at_least(const double* s, double scale, const double* w, Index m, double least, ScoredColumn<double>* found) {
  return HWY_DYNAMIC_DISPATCH(AtLeastDouble)(s, scale, w, m, least, found);
}

constexpr Index kLanes = 16;  // the most there are

}  // namespace

template <class T>
std::span<const ScoredColumn<T>> LargestScores<T>::find(const T* s, T scale, const T* w, Index m, Index k,
                                                        Index first) {
  // With g groups, the k-th largest of their tops is a score that little more than k others reach.
  const Index groups = (4 * k + kLanes - 1) / kLanes * kLanes;
  T least = std::numeric_limits<T>::lowest();
  if (m >= 2 * groups) {
    tops_.resize(static_cast<std::size_t>(groups));
    tops(s, scale, w, m, groups, tops_.data());
    std::nth_element(tops_.begin(), tops_.begin() + (k - 1), tops_.end(), std::greater<>());
    least = std::max(least, tops_[static_cast<std::size_t>(k - 1)]);
  }
  if (static_cast<Index>(found_.size()) < m) found_.resize(static_cast<std::size_t>(m));
  Index count = at_least(s, scale, w, m, least, found_.data());
  const auto before = [&](const ScoredColumn<T>& a, const ScoredColumn<T>& b) {
    const auto follows = [&](Index j) { return j >= first ? j - first : j - first + m; };
    return a.score > b.score || (a.score == b.score && follows(a.column) < follows(b.column));
  };
  if (count > k) {
    std::nth_element(found_.begin(), found_.begin() + (k - 1), found_.begin() + count, before);
    count = k;
  }
  std::sort(found_.begin(), found_.begin() + count, before);
  return {found_.data(), static_cast<std::size_t>(count)};
}

template class LargestScores<float>;
template class LargestScores<double>;

}  // namespace monge::ot::detail
#endif
