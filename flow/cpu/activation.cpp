#include "monge/flow/cpu/rows.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/flow/cpu/activation.cpp"
#include "hwy/foreach_target.h"
#include "monge/flow/cpu/lanes-inl.h"

#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace monge::flow::cpu {
namespace HWY_NAMESPACE {

// f(x) = x s(u(x)), s the logistic function: SiLU has u = x, tanh-GELU u = 2 sqrt(2/pi) (x + 0.044715 x^3), since
// (1 + tanh(u/2))/2 = s(u). With s' = s (1 - s), s'' = s' (1 - 2 s):
//   f' = s + x s' u',  f'' = s' (2 u' + x u'') + x s'' u'^2.
template <nn::Function function, int order, class D>
struct Gate {
  D d;
  using V = hn::Vec<D>;

  HWY_INLINE V set(double value) const { return hn::Set(d, static_cast<hn::TFromD<D>>(value)); }

  HWY_INLINE V operator()(V x) const {
    constexpr double k = 1.5957691216057308, c = 0.044715;
    const V one = set(1);
    V u = x, u1 = one, u2 = hn::Zero(d);
    if constexpr (function == nn::Function::gelu) {
      const V square = hn::Mul(x, x);
      u = hn::Mul(x, hn::MulAdd(square, set(k * c), set(k)));
      u1 = hn::MulAdd(square, set(3 * k * c), set(k));
      u2 = hn::Mul(x, set(6 * k * c));
    }
    // Beyond 80 the logistic function is 0 or 1 to more digits than there are.
    const V bounded = hn::Min(hn::Max(u, set(-80)), set(80));
    const V s = hn::Div(one, hn::Add(one, hn::Exp(d, hn::Neg(bounded))));
    if constexpr (order == 0) return hn::Mul(x, s);
    const V s1 = hn::Mul(s, hn::Sub(one, s));
    if constexpr (order == 1) return hn::MulAdd(hn::Mul(x, s1), u1, s);
    const V s2 = hn::Mul(s1, hn::NegMulAdd(set(2), s, one));
    return hn::MulAdd(s1, hn::MulAdd(x, u2, hn::Add(u1, u1)), hn::Mul(hn::Mul(x, s2), hn::Mul(u1, u1)));
  }
};

// lambda x above zero, lambda alpha (e^x - 1) below.
template <int order, class D>
struct Selu {
  D d;
  using V = hn::Vec<D>;
  HWY_INLINE V set(double value) const { return hn::Set(d, static_cast<hn::TFromD<D>>(value)); }
  HWY_INLINE V operator()(V x) const {
    constexpr double lambda = 1.0507009873554805, alpha = 1.6732632423543772;
    // e^x underflows to zero long before -80.
    const V below = hn::Mul(set(lambda * alpha), hn::Exp(d, hn::Max(hn::Min(x, hn::Zero(d)), set(-80))));
    const auto positive = hn::Gt(x, hn::Zero(d));
    if constexpr (order == 0)
      return hn::IfThenElse(positive, hn::Mul(x, set(lambda)), hn::Sub(below, set(lambda * alpha)));
    if constexpr (order == 1) return hn::IfThenElse(positive, set(lambda), below);
    return hn::IfThenZeroElse(positive, below);
  }
};

template <int order, class D>
struct Tanh {
  D d;
  using V = hn::Vec<D>;
  HWY_INLINE V set(double value) const { return hn::Set(d, static_cast<hn::TFromD<D>>(value)); }
  HWY_INLINE V operator()(V x) const {
    const V t = hn::Tanh(d, hn::Max(hn::Min(x, set(40)), set(-40)));
    if constexpr (order == 0) return t;
    const V slope = hn::NegMulAdd(t, t, set(1));
    if constexpr (order == 1) return slope;
    return hn::Mul(hn::Mul(set(-2), t), slope);
  }
};

template <int order, class D>
struct Exponential {
  D d;
  using V = hn::Vec<D>;
  HWY_INLINE V operator()(V x) const { return hn::Exp(d, x); }
};

template <int order, class D>
struct Logarithm {
  D d;
  using V = hn::Vec<D>;
  HWY_INLINE V operator()(V x) const {
    if constexpr (order == 0) return hn::Log(d, x);
    const V inverse = hn::Div(hn::Set(d, static_cast<hn::TFromD<D>>(1)), x);
    if constexpr (order == 1) return inverse;
    return hn::Neg(hn::Mul(inverse, inverse));
  }
};

template <int order, class D>
struct Cosine {
  D d;
  using V = hn::Vec<D>;
  HWY_INLINE V operator()(V x) const {
    if constexpr (order == 1) return hn::Neg(hn::Sin(d, x));
    if constexpr (order == 2) return hn::Neg(hn::Cos(d, x));
    return hn::Cos(d, x);
  }
};

template <class F>
struct Times {
  F f;
  template <class V>
  HWY_INLINE V operator()(V x, V factor) const {
    return hn::Mul(f(x), factor);
  }
};

template <class T, class F>
void activate(const F& f, const T* x, const T* factor, T* out, Index n) {
  if (factor) {
    map(f.d, x, factor, out, n, Times<F>{f});
  } else {
    map(f.d, x, out, n, f);
  }
}

template <int order, class T>
void activation_of_order(nn::Function function, const T* x, const T* factor, T* out, Index n) {
  using D = hn::ScalableTag<T>;
  switch (function) {
    case nn::Function::gelu:
      return activate(Gate<nn::Function::gelu, order, D>{}, x, factor, out, n);
    case nn::Function::silu:
      return activate(Gate<nn::Function::silu, order, D>{}, x, factor, out, n);
    case nn::Function::selu:
      return activate(Selu<order, D>{}, x, factor, out, n);
    case nn::Function::tanh:
      return activate(Tanh<order, D>{}, x, factor, out, n);
    case nn::Function::exponential:
      return activate(Exponential<order, D>{}, x, factor, out, n);
    case nn::Function::logarithm:
      return activate(Logarithm<order, D>{}, x, factor, out, n);
    case nn::Function::cosine:
      return activate(Cosine<order, D>{}, x, factor, out, n);
  }
}

template <class T>
void activation_any(nn::Function function, int order, const T* x, const T* factor, T* out, Index n) {
  switch (order) {
    case 0:
      return activation_of_order<0>(function, x, factor, out, n);
    case 1:
      return activation_of_order<1>(function, x, factor, out, n);
    case 2:
      return activation_of_order<2>(function, x, factor, out, n);
  }
}

void activation_f32(nn::Function f, int order, const float* x, const float* factor, float* out, Index n) {
  activation_any(f, order, x, factor, out, n);
}
void activation_f64(nn::Function f, int order, const double* x, const double* factor, double* out, Index n) {
  activation_any(f, order, x, factor, out, n);
}

}  // namespace HWY_NAMESPACE
}  // namespace monge::flow::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::flow::cpu {

HWY_EXPORT(activation_f32);
HWY_EXPORT(activation_f64);

template <>
void activation_row(nn::Function f, int order, const float* x, const float* factor, float* out, Index n) {
  HWY_DYNAMIC_DISPATCH(activation_f32)(f, order, x, factor, out, n);
}
template <>
void activation_row(nn::Function f, int order, const double* x, const double* factor, double* out, Index n) {
  HWY_DYNAMIC_DISPATCH(activation_f64)(f, order, x, factor, out, n);
}

}  // namespace monge::flow::cpu
#endif
