#include "monge/flow/cpu/rows.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/flow/cpu/softmax.cpp"
#include "hwy/foreach_target.h"
#include "monge/flow/cpu/lanes-inl.h"

#include <algorithm>

#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace monge::flow::cpu {
namespace HWY_NAMESPACE {

template <class T>
void softmax_any(const T* x, T* out, Index n) {
  const hn::ScalableTag<T> d;
  const Index width = static_cast<Index>(hn::Lanes(d));
  T largest = x[0];
  Index i = 0;
  if (n >= width) {
    auto top = hn::LoadU(d, x);
    for (i = width; i + width <= n; i += width) top = hn::Max(top, hn::LoadU(d, x + i));
    largest = hn::GetLane(hn::MaxOfLanes(d, top));
  }
  for (; i < n; ++i) largest = std::max(largest, x[i]);
  const auto shift = hn::Set(d, largest);
  map(d, x, out, n, [&](auto v) HWY_ATTR { return hn::Exp(d, hn::Sub(v, shift)); });
  auto sums = hn::Zero(d);
  for (i = 0; i + width <= n; i += width) sums = hn::Add(sums, hn::LoadU(d, out + i));
  T sum = hn::GetLane(hn::SumOfLanes(d, sums));
  for (; i < n; ++i) sum += out[i];
  const auto inverse = hn::Set(d, T(1) / sum);
  map(d, out, out, n, [&](auto v) HWY_ATTR { return hn::Mul(v, inverse); });
}

void softmax_f32(const float* x, float* out, Index n) { softmax_any(x, out, n); }
void softmax_f64(const double* x, double* out, Index n) { softmax_any(x, out, n); }

}  // namespace HWY_NAMESPACE
}  // namespace monge::flow::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::flow::cpu {

HWY_EXPORT(softmax_f32);
HWY_EXPORT(softmax_f64);

template <>
void softmax_row(const float* x, float* out, Index n) {
  HWY_DYNAMIC_DISPATCH(softmax_f32)(x, out, n);
}
template <>
void softmax_row(const double* x, double* out, Index n) {
  HWY_DYNAMIC_DISPATCH(softmax_f64)(x, out, n);
}

}  // namespace monge::flow::cpu
#endif
