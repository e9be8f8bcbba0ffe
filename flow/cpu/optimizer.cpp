#include "monge/flow/nn/optimizer.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/flow/cpu/optimizer.cpp"
#include "hwy/foreach_target.h"
#include "monge/flow/cpu/lanes-inl.h"

#include <algorithm>
#include <cmath>

#include "monge/flow/cpu/rows.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace monge::flow::cpu {
namespace HWY_NAMESPACE {

// One chunk: every buffer is read and written once.
void adamw_chunk(const nn::AdamW& o, const float* g, float* w, float* m, float* v, float* ema, Index n) {
  const hn::ScalableTag<float> d;
  const auto set = [&](double x) HWY_ATTR { return hn::Set(d, static_cast<float>(x)); };
  const double step = static_cast<double>(o.step);
  const auto gradient_scale = set(o.gradient_scale);
  const auto fresh1 = set(1 - o.beta1), fresh2 = set(1 - o.beta2), fresh_ema = set(1 - o.ema_decay);
  const auto rate = set(o.learning_rate / (1 - std::pow(o.beta1, step)));
  const auto root_correction = set(1 / std::sqrt(1 - std::pow(o.beta2, step)));
  const auto epsilon = set(o.epsilon), keep = set(1 - o.learning_rate * o.weight_decay);
  const auto update = [&](auto gi, auto& wi, auto& mi, auto& vi, auto& ei) HWY_ATTR {
    const auto x = hn::Mul(gi, gradient_scale);
    mi = hn::MulAdd(fresh1, hn::Sub(x, mi), mi);
    vi = hn::MulAdd(fresh2, hn::Sub(hn::Mul(x, x), vi), vi);
    const auto direction = hn::Div(mi, hn::MulAdd(hn::Sqrt(vi), root_correction, epsilon));
    wi = hn::NegMulAdd(rate, direction, hn::Mul(wi, keep));
    ei = hn::MulAdd(fresh_ema, hn::Sub(wi, ei), ei);
  };
  const Index width = static_cast<Index>(hn::Lanes(d));
  Index i = 0;
  for (; i + width <= n; i += width) {
    auto wi = hn::LoadU(d, w + i), mi = hn::LoadU(d, m + i), vi = hn::LoadU(d, v + i), ei = hn::LoadU(d, ema + i);
    update(hn::LoadU(d, g + i), wi, mi, vi, ei);
    hn::StoreU(wi, d, w + i);
    hn::StoreU(mi, d, m + i);
    hn::StoreU(vi, d, v + i);
    hn::StoreU(ei, d, ema + i);
  }
  if (i == n) return;
  const Index rest = n - i;
  auto wi = load_some(d, w + i, rest), mi = load_some(d, m + i, rest), vi = load_some(d, v + i, rest),
       ei = load_some(d, ema + i, rest);
  update(load_some(d, g + i, rest), wi, mi, vi, ei);
  store_some(wi, d, w + i, rest);
  store_some(mi, d, m + i, rest);
  store_some(vi, d, v + i, rest);
  store_some(ei, d, ema + i, rest);
}

}  // namespace HWY_NAMESPACE
}  // namespace monge::flow::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::flow::cpu {

HWY_EXPORT(adamw_chunk);

void adamw(const nn::AdamW& o, const float* g, float* w, float* m, float* v, float* ema, Index n) {
  HWY_DYNAMIC_DISPATCH(adamw_chunk)(o, g, w, m, v, ema, n);
}

}  // namespace monge::flow::cpu

namespace monge::flow::nn {
namespace {

constexpr Index chunk = 16384;  // elements; the bits of a norm depend on it

}  // namespace

void adamw_step(const AdamW& options, std::span<const float> gradient, std::span<float> w, std::span<float> m,
                std::span<float> v, std::span<float> ema, const Context& context) {
  require(gradient.size() == w.size() && m.size() == w.size() && v.size() == w.size() && ema.size() == w.size(),
          "adamw_step: buffers of ", gradient.size(), ", ", w.size(), ", ", m.size(), ", ", v.size(), " and ",
          ema.size(), " elements");
  const Index n = static_cast<Index>(w.size());
  parallel_for(context.threads, (n + chunk - 1) / chunk, [&](Index c, int) {
    const Index first = c * chunk;
    cpu::adamw(options, gradient.data() + first, w.data() + first, m.data() + first, v.data() + first,
               ema.data() + first, std::min(chunk, n - first));
  });
}

Index norm_partials(std::size_t size) { return (static_cast<Index>(size) + chunk - 1) / chunk; }

double norm(std::span<const float> x, std::span<double> partial, const Context& context) {
  const Index n = static_cast<Index>(x.size()), chunks = norm_partials(x.size());
  require(static_cast<Index>(partial.size()) >= chunks, "norm: room for ", partial.size(), " partial sums, ", chunks,
          " needed");
  parallel_for(context.threads, chunks, [&](Index c, int) {
    partial[static_cast<std::size_t>(c)] = cpu::sum_squares_row(x.data() + c * chunk, std::min(chunk, n - c * chunk));
  });
  double sum = 0;
  for (Index c = 0; c < chunks; ++c) sum += partial[static_cast<std::size_t>(c)];
  return std::sqrt(sum);
}

}  // namespace monge::flow::nn
#endif
