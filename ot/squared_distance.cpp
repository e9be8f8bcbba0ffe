#include "monge/ot/squared_distance.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/squared_distance.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace monge::ot::detail::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

double SquaredDistance(const double* HWY_RESTRICT x, const double* HWY_RESTRICT y, Index dims) {
  const hn::ScalableTag<double> d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  auto sum = hn::Zero(d), other = sum;  // two, so that processors need not wait for either
  Index k = 0;
  for (; k + 2 * lanes <= dims; k += 2 * lanes) {
    const auto one = hn::Sub(hn::LoadU(d, x + k), hn::LoadU(d, y + k));
    const auto next = hn::Sub(hn::LoadU(d, x + k + lanes), hn::LoadU(d, y + k + lanes));
    sum = hn::MulAdd(one, one, sum);
    other = hn::MulAdd(next, next, other);
  }
  double total = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum, other)));
  for (; k < dims; ++k) total += (x[k] - y[k]) * (x[k] - y[k]);
  return total;
}

}  // namespace monge::ot::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot::detail {

HWY_EXPORT(SquaredDistance);

double squared_distance(const double* x, const double* y, Index d) {
  return HWY_DYNAMIC_DISPATCH(SquaredDistance)(x, y, d);
}

}  // namespace monge::ot::detail
#endif
