// Loops over lanes, included once per SIMD target. The last few elements go through a padded copy, so every element
// sees the same instructions wherever it lies.
#if defined(MONGE_FLOW_CPU_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MONGE_FLOW_CPU_LANES_INL_H_
#undef MONGE_FLOW_CPU_LANES_INL_H_
#else
#define MONGE_FLOW_CPU_LANES_INL_H_
#endif

#include "hwy/highway.h"
#include "monge/ot/core/array.h"

HWY_BEFORE_NAMESPACE();
namespace monge::flow::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> load_some(D d, const T* p, Index count) {
  HWY_ALIGN T lanes[HWY_MAX_BYTES / sizeof(T)] = {};
  for (Index i = 0; i < count; ++i) lanes[i] = p[i];
  return hn::Load(d, lanes);
}

template <class D, class T = hn::TFromD<D>>
HWY_INLINE void store_some(hn::Vec<D> v, D d, T* p, Index count) {
  HWY_ALIGN T lanes[HWY_MAX_BYTES / sizeof(T)];
  hn::Store(v, d, lanes);
  for (Index i = 0; i < count; ++i) p[i] = lanes[i];
}

// out_i = f(a_i)
template <class D, class F, class T = hn::TFromD<D>>
HWY_INLINE void map(D d, const T* a, T* out, Index n, const F& f) {
  const Index width = static_cast<Index>(hn::Lanes(d));
  Index i = 0;
  for (; i + width <= n; i += width) hn::StoreU(f(hn::LoadU(d, a + i)), d, out + i);
  if (i < n) store_some(f(load_some(d, a + i, n - i)), d, out + i, n - i);
}

// out_i = f(a_i, b_i)
template <class D, class F, class T = hn::TFromD<D>>
HWY_INLINE void map(D d, const T* a, const T* b, T* out, Index n, const F& f) {
  const Index width = static_cast<Index>(hn::Lanes(d));
  Index i = 0;
  for (; i + width <= n; i += width) hn::StoreU(f(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i);
  if (i < n) store_some(f(load_some(d, a + i, n - i), load_some(d, b + i, n - i)), d, out + i, n - i);
}

}  // namespace HWY_NAMESPACE
}  // namespace monge::flow::cpu
HWY_AFTER_NAMESPACE();

#endif
