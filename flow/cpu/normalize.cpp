#include "monge/flow/cpu/rows.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/flow/cpu/normalize.cpp"
#include "hwy/foreach_target.h"
#include "monge/flow/cpu/lanes-inl.h"

#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace monge::flow::cpu {
namespace HWY_NAMESPACE {

// The mean over i of term(i), where term(vectors) and term(elements) agree; two accumulators.
template <class D, class F, class G, class T = hn::TFromD<D>>
HWY_INLINE T mean_of(D d, Index n, const F& lanes, const G& element) {
  const Index width = static_cast<Index>(hn::Lanes(d));
  auto s0 = hn::Zero(d), s1 = s0;
  Index i = 0;
  for (; i + 2 * width <= n; i += 2 * width) {
    s0 = hn::Add(s0, lanes(i));
    s1 = hn::Add(s1, lanes(i + width));
  }
  T sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(s0, s1)));
  for (; i < n; ++i) sum += element(i);
  return sum / static_cast<T>(n);
}

template <class T>
struct Moments {
  T mean, inverse_deviation;
};

template <class T>
HWY_INLINE Moments<T> moments(const T* x, Index n) {
  const hn::ScalableTag<T> d;
  const T mean = mean_of(
      d, n, [&](Index i) HWY_ATTR { return hn::LoadU(d, x + i); }, [&](Index i) { return x[i]; });
  const auto centre = hn::Set(d, mean);
  const T variance = mean_of(
      d, n,
      [&](Index i) HWY_ATTR {
        const auto c = hn::Sub(hn::LoadU(d, x + i), centre);
        return hn::Mul(c, c);
      },
      [&](Index i) { return (x[i] - mean) * (x[i] - mean); });
  return {mean, T(1) / std::sqrt(variance + static_cast<T>(nn::normalize_epsilon))};
}

template <class T>
void normalize_any(const T* x, T* out, Index n) {
  const hn::ScalableTag<T> d;
  const Moments<T> m = moments(x, n);
  const auto mean = hn::Set(d, m.mean), inverse = hn::Set(d, m.inverse_deviation);
  map(d, x, out, n, [&](auto v) HWY_ATTR { return hn::Mul(hn::Sub(v, mean), inverse); });
}

template <class T>
void normalize_jacobian_any(const T* x, const T* v, T* out, Index n) {
  const hn::ScalableTag<T> d;
  const Moments<T> m = moments(x, n);
  const T v_mean = mean_of(
      d, n, [&](Index i) HWY_ATTR { return hn::LoadU(d, v + i); }, [&](Index i) { return v[i]; });
  const auto mean = hn::Set(d, m.mean), inverse = hn::Set(d, m.inverse_deviation);
  const T vz_mean = mean_of(
      d, n,
      [&](Index i)
          HWY_ATTR { return hn::Mul(hn::LoadU(d, v + i), hn::Mul(hn::Sub(hn::LoadU(d, x + i), mean), inverse)); },
      [&](Index i) { return v[i] * (x[i] - m.mean) * m.inverse_deviation; });
  const auto along_one = hn::Set(d, v_mean), along_z = hn::Set(d, vz_mean);
  map(d, x, v, out, n, [&](auto xi, auto vi) HWY_ATTR {
    const auto z = hn::Mul(hn::Sub(xi, mean), inverse);
    return hn::Mul(hn::NegMulAdd(z, along_z, hn::Sub(vi, along_one)), inverse);
  });
}

template <class T>
T inverse_deviation_any(const T* x, Index n) {
  return moments(x, n).inverse_deviation;
}

void normalize_f32(const float* x, float* out, Index n) { normalize_any(x, out, n); }
void normalize_f64(const double* x, double* out, Index n) { normalize_any(x, out, n); }
void normalize_jacobian_f32(const float* x, const float* v, float* out, Index n) {
  normalize_jacobian_any(x, v, out, n);
}
void normalize_jacobian_f64(const double* x, const double* v, double* out, Index n) {
  normalize_jacobian_any(x, v, out, n);
}

float inverse_deviation_f32(const float* x, Index n) { return inverse_deviation_any(x, n); }
double inverse_deviation_f64(const double* x, Index n) { return inverse_deviation_any(x, n); }

}  // namespace HWY_NAMESPACE
}  // namespace monge::flow::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::flow::cpu {

HWY_EXPORT(normalize_f32);
HWY_EXPORT(normalize_f64);
HWY_EXPORT(normalize_jacobian_f32);
HWY_EXPORT(normalize_jacobian_f64);
HWY_EXPORT(inverse_deviation_f32);
HWY_EXPORT(inverse_deviation_f64);

template <>
void normalize_row(const float* x, float* out, Index n) {
  HWY_DYNAMIC_DISPATCH(normalize_f32)(x, out, n);
}
template <>
void normalize_row(const double* x, double* out, Index n) {
  HWY_DYNAMIC_DISPATCH(normalize_f64)(x, out, n);
}
template <>
void normalize_jacobian_row(const float* x, const float* v, float* out, Index n) {
  HWY_DYNAMIC_DISPATCH(normalize_jacobian_f32)(x, v, out, n);
}
template <>
void normalize_jacobian_row(const double* x, const double* v, double* out, Index n) {
  HWY_DYNAMIC_DISPATCH(normalize_jacobian_f64)(x, v, out, n);
}
template <>
float inverse_deviation_row(const float* x, Index n) {
  return HWY_DYNAMIC_DISPATCH(inverse_deviation_f32)(x, n);
}
template <>
double inverse_deviation_row(const double* x, Index n) {
  return HWY_DYNAMIC_DISPATCH(inverse_deviation_f64)(x, n);
}

}  // namespace monge::flow::cpu
#endif
