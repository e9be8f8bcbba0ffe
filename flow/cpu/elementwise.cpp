#include "monge/flow/cpu/rows.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/flow/cpu/elementwise.cpp"
#include "hwy/foreach_target.h"
#include "monge/flow/cpu/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace monge::flow::cpu {
namespace HWY_NAMESPACE {

struct Add {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Add(a, b);
  }
};
struct Subtract {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Sub(a, b);
  }
};
struct Multiply {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Mul(a, b);
  }
};

// One operand held fixed.
template <class F, class V>
struct First {
  F f;
  V a;
  HWY_INLINE V operator()(V b) const { return f(a, b); }
};
template <class F, class V>
struct Second {
  F f;
  V b;
  HWY_INLINE V operator()(V a) const { return f(a, b); }
};

template <class T, class F>
void binary(const F& f, const T* a, bool a_single, const T* b, bool b_single, T* out, Index n) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  if (a_single && b_single) {
    map(d, b, out, 1, First<F, V>{f, hn::Set(d, *a)});
    for (Index i = 1; i < n; ++i) out[i] = out[0];
  } else if (a_single) {
    map(d, b, out, n, First<F, V>{f, hn::Set(d, *a)});
  } else if (b_single) {
    map(d, a, out, n, Second<F, V>{f, hn::Set(d, *b)});
  } else {
    map(d, a, b, out, n, f);
  }
}

template <class T>
void binary_any(nn::Op op, const T* a, bool a_single, const T* b, bool b_single, T* out, Index n) {
  switch (op) {
    case nn::Op::add:
      return binary(Add{}, a, a_single, b, b_single, out, n);
    case nn::Op::subtract:
      return binary(Subtract{}, a, a_single, b, b_single, out, n);
    default:
      return binary(Multiply{}, a, a_single, b, b_single, out, n);
  }
}

template <class T>
void scale_any(const T* a, T factor, T* out, Index n) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  map(d, a, out, n, Second<Multiply, V>{{}, hn::Set(d, factor)});
}

// Loads as many elements as `d` has lanes, as doubles.
template <class D>
HWY_INLINE hn::Vec<D> load_wide(D d, const double* p) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> load_wide(D d, const float* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, D>(), p));
}

// sum_i a_i b_i, or sum_i a_i where b is null, with four accumulators.
template <bool squares, class T>
HWY_INLINE double accumulate(const T* a, Index n) {
  const hn::ScalableTag<double> d;
  const Index width = static_cast<Index>(hn::Lanes(d));
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  const auto add = [&](auto sum, Index i) HWY_ATTR {
    const auto x = load_wide(d, a + i);
    return squares ? hn::MulAdd(x, x, sum) : hn::Add(x, sum);
  };
  Index i = 0;
  for (; i + 4 * width <= n; i += 4 * width) {
    s0 = add(s0, i);
    s1 = add(s1, i + width);
    s2 = add(s2, i + 2 * width);
    s3 = add(s3, i + 3 * width);
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
  for (; i < n; ++i) {
    const double x = a[i];
    sum += squares ? x * x : x;
  }
  return sum;
}

void binary_f32(nn::Op op, const float* a, bool a1, const float* b, bool b1, float* out, Index n) {
  binary_any(op, a, a1, b, b1, out, n);
}
void binary_f64(nn::Op op, const double* a, bool a1, const double* b, bool b1, double* out, Index n) {
  binary_any(op, a, a1, b, b1, out, n);
}
void scale_f32(const float* a, float factor, float* out, Index n) { scale_any(a, factor, out, n); }
void scale_f64(const double* a, double factor, double* out, Index n) { scale_any(a, factor, out, n); }
double sum_f32(const float* a, Index n) { return accumulate<false>(a, n); }
double sum_f64(const double* a, Index n) { return accumulate<false>(a, n); }
double sum_squares_f32(const float* a, Index n) { return accumulate<true>(a, n); }
double sum_squares_f64(const double* a, Index n) { return accumulate<true>(a, n); }

}  // namespace HWY_NAMESPACE
}  // namespace monge::flow::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::flow::cpu {

HWY_EXPORT(binary_f32);
HWY_EXPORT(binary_f64);
HWY_EXPORT(scale_f32);
HWY_EXPORT(scale_f64);
HWY_EXPORT(sum_f32);
HWY_EXPORT(sum_f64);
HWY_EXPORT(sum_squares_f32);
HWY_EXPORT(sum_squares_f64);

template <>
void binary_row(nn::Op op, const float* a, bool a1, const float* b, bool b1, float* out, Index n) {
  HWY_DYNAMIC_DISPATCH(binary_f32)(op, a, a1, b, b1, out, n);
}
template <>
void binary_row(nn::Op op, const double* a, bool a1, const double* b, bool b1, double* out, Index n) {
  HWY_DYNAMIC_DISPATCH(binary_f64)(op, a, a1, b, b1, out, n);
}
template <>
void scale_row(const float* a, float factor, float* out, Index n) {
  HWY_DYNAMIC_DISPATCH(scale_f32)(a, factor, out, n);
}
template <>
void scale_row(const double* a, double factor, double* out, Index n) {
  HWY_DYNAMIC_DISPATCH(scale_f64)(a, factor, out, n);
}
template <>
double sum_row(const float* a, Index n) {
  return HWY_DYNAMIC_DISPATCH(sum_f32)(a, n);
}
template <>
double sum_row(const double* a, Index n) {
  return HWY_DYNAMIC_DISPATCH(sum_f64)(a, n);
}
template <>
double sum_squares_row(const float* a, Index n) {
  return HWY_DYNAMIC_DISPATCH(sum_squares_f32)(a, n);
}
template <>
double sum_squares_row(const double* a, Index n) {
  return HWY_DYNAMIC_DISPATCH(sum_squares_f64)(a, n);
}

}  // namespace monge::flow::cpu
#endif
