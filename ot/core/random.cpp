#include "monge/ot/core/random.h"

#include <algorithm>
#include <cmath>
#include <numbers>

// This file is compiled without contraction into fused multiply-adds, and uses none: every operation is rounded as IEEE
// says, so the normals are the same bits on every instruction set.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/core/random.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace monge::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using DF = hn::ScalableTag<float>;
using DU = hn::RebindToUnsigned<DF>;
using DI = hn::RebindToSigned<DF>;
using VF = hn::Vec<DF>;
using VU = hn::Vec<DU>;
using VI = hn::Vec<DI>;

struct Product {
  VU hi, lo;
};

// 32 x 32 -> 64 bit products of all lanes.
HWY_INLINE Product multiply(VU a, VU b) {
  const DU d;
#if HWY_TARGET == HWY_SCALAR  // one lane can't be taken in pairs
  const std::uint64_t product = std::uint64_t{hn::GetLane(a)} * hn::GetLane(b);
  return {hn::Set(d, Rng::hi(product)), hn::Set(d, Rng::lo(product))};
#else
  const hn::RepartitionToWide<DU> wide;
  const auto even = hn::MulEven(a, b);
  const auto odd = hn::MulEven(hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(wide, a))), b);
  return {hn::OddEven(hn::BitCast(d, odd), hn::BitCast(d, hn::ShiftRight<32>(even))),
          hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(odd)), hn::BitCast(d, even))};
#endif
}

struct Blocks {
  VU w[4];
};

// Rng::bits of as many consecutive blocks as there are lanes.
HWY_INLINE Blocks philox(const Rng& rng, std::uint64_t block) {
  const DU d;
  const VU base = hn::Set(d, Rng::lo(block)), low = hn::Add(base, hn::Iota(d, 0));
  const VU carry = hn::VecFromMask(d, hn::Lt(low, base));  // all ones, which is -1
  VU c0 = low, c1 = hn::Sub(hn::Set(d, Rng::hi(block)), carry);
  VU c2 = hn::Set(d, Rng::lo(rng.stream)), c3 = hn::Set(d, Rng::hi(rng.stream));
  const VU m0 = hn::Set(d, 0xD2511F53u), m1 = hn::Set(d, 0xCD9E8D57u);
  std::uint32_t k0 = Rng::lo(rng.seed), k1 = Rng::hi(rng.seed);
  for (int round = 0; round < 10; ++round) {
    const Product p0 = multiply(c0, m0), p1 = multiply(c2, m1);
    c0 = hn::Xor(hn::Xor(p1.hi, c1), hn::Set(d, k0));
    c2 = hn::Xor(hn::Xor(p0.hi, c3), hn::Set(d, k1));
    c1 = p1.lo;
    c3 = p0.lo;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// a x + b, rounded twice.
HWY_INLINE VF step(VF a, VF x, float b) { return hn::Add(hn::Mul(a, x), hn::Set(DF(), b)); }

// Natural logarithm of normal numbers (Cephes logf; error below 1 ulp or so).
HWY_INLINE VF log(VF x) {
  const DF d;
  const DI di;
  const VI root_half = hn::Set(di, 0x3F3504F3);
  const VI shifted = hn::Sub(hn::BitCast(di, x), root_half);
  const VF e = hn::ConvertTo(d, hn::ShiftRight<23>(shifted));
  const VI mantissa = hn::Add(hn::And(shifted, hn::Set(di, 0x007FFFFF)), root_half);
  const VF f = hn::Sub(hn::BitCast(d, mantissa), hn::Set(d, 1.0f)), z = hn::Mul(f, f);
  VF p = step(hn::Set(d, 7.0376836292e-2f), f, -1.1514610310e-1f);
  p = step(p, f, 1.1676998740e-1f);
  p = step(p, f, -1.2420140846e-1f);
  p = step(p, f, 1.4249322787e-1f);
  p = step(p, f, -1.6668057665e-1f);
  p = step(p, f, 2.0000714765e-1f);
  p = step(p, f, -2.4999993993e-1f);
  p = step(p, f, 3.3333331174e-1f);
  VF y = hn::Mul(hn::Mul(p, f), z);
  y = hn::Add(y, hn::Mul(e, hn::Set(d, -2.12194440e-4f)));
  y = hn::Sub(y, hn::Mul(z, hn::Set(d, 0.5f)));
  return hn::Add(hn::Add(f, y), hn::Mul(e, hn::Set(d, 0.693359375f)));
}

struct Pair {
  VF cosine, sine;
};

// Cosine and sine of 2 pi w / 2^32. The quarter turn is split off in integers, so the reduction is exact.
HWY_INLINE Pair turn(VU w) {
  const DF d;
  const DU du;
  const DI di;
  const VU quarter = hn::ShiftRight<30>(hn::Add(w, hn::Set(du, 1u << 29)));
  const VI rest = hn::BitCast(di, hn::Sub(w, hn::ShiftLeft<30>(quarter)));
  const VF x = hn::Mul(hn::ConvertTo(d, rest), hn::Set(d, 2 * std::numbers::pi_v<float> * 0x1p-32f));
  const VF z = hn::Mul(x, x);
  VF s = step(hn::Set(d, -1.9515295891e-4f), z, 8.3321608736e-3f);
  s = step(s, z, -1.6666654611e-1f);
  s = hn::Add(hn::Mul(hn::Mul(s, z), x), x);
  VF c = step(hn::Set(d, 2.443315711809948e-5f), z, -1.388731625493765e-3f);
  c = step(c, z, 4.166664568298827e-2f);
  c = hn::Add(hn::Sub(hn::Mul(hn::Mul(c, z), z), hn::Mul(z, hn::Set(d, 0.5f))), hn::Set(d, 1.0f));
  // Odd quarters swap the two; the upper bit of the quarter is the sign of the sine, of the quarter + 1 the cosine's.
  const auto swap = hn::MaskFromVec(hn::BitCast(d, hn::Sub(hn::Zero(du), hn::And(quarter, hn::Set(du, 1u)))));
  const VU bit31 = hn::Set(du, 0x80000000u);
  const VU sine_sign = hn::And(hn::ShiftLeft<30>(quarter), bit31);
  const VU cosine_sign = hn::And(hn::ShiftLeft<30>(hn::Add(quarter, hn::Set(du, 1u))), bit31);
  return {hn::Xor(hn::IfThenElse(swap, s, c), hn::BitCast(d, cosine_sign)),
          hn::Xor(hn::IfThenElse(swap, c, s), hn::BitCast(d, sine_sign))};
}

// Box-Muller. The radius takes 31 bits of its word as a uniform in (0, 1], so the logarithm never sees 0.
HWY_INLINE Pair normal_pair(VU radius_word, VU angle_word) {
  const DF d;
  const VF u =
      step(hn::ConvertTo(d, hn::BitCast(DI(), hn::ShiftRight<1>(radius_word))), hn::Set(d, 0x1p-31f), 0x1p-32f);
  const VF radius = hn::Sqrt(hn::Mul(hn::Set(d, -2.0f), log(u)));
  const Pair direction = turn(angle_word);
  return {hn::Mul(radius, direction.cosine), hn::Mul(radius, direction.sine)};
}

// The 4 Lanes normals of the blocks from `block` on.
HWY_INLINE void normals(const Rng& rng, std::uint64_t block, float* out) {
  const Blocks b = philox(rng, block);
  const Pair first = normal_pair(b.w[0], b.w[1]), second = normal_pair(b.w[2], b.w[3]);
  hn::StoreInterleaved4(first.cosine, first.sine, second.cosine, second.sine, DF(), out);
}

// Whole groups of blocks go straight to `out`; a ragged head or tail goes through a copy.
void fill_normal_float(const Rng& rng, std::uint64_t first, float* out, Index size) {
  const Index lanes = static_cast<Index>(hn::Lanes(DF())), group = 4 * lanes;
  HWY_ALIGN float copy[4 * hn::MaxLanes(DF())];
  std::uint64_t block = first / 4;
  Index skip = static_cast<Index>(first % 4);
  for (Index done = 0; done < size; block += static_cast<std::uint64_t>(lanes)) {
    if (skip == 0 && size - done >= group) {
      normals(rng, block, out + done);
      done += group;
      continue;
    }
    normals(rng, block, copy);
    const Index count = std::min(group - skip, size - done);
    std::copy_n(copy + skip, count, out + done);
    done += count;
    skip = 0;
  }
}

}  // namespace monge::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge {
namespace {
HWY_EXPORT(fill_normal_float);
}  // namespace

std::uint64_t uniform_below(const Rng& rng, std::uint64_t index, std::uint64_t n) {
  const Rng::Block b = rng.bits(index);
  const std::uint64_t word = (std::uint64_t{b.w[0]} << 32) | b.w[1];
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(word) * n) >> 64);
}

void fill_normal(const Rng& rng, std::uint64_t first, VectorView<float> out) {
  HWY_DYNAMIC_DISPATCH(fill_normal_float)(rng, first, out.data, out.size);
}

// Element i is one half of the pair of block i / 2: words 0 and 1 give the radius, 2 and 3 the angle, 53 bits each.
void fill_normal(const Rng& rng, std::uint64_t first, VectorView<double> out) {
  for (Index i = 0; i < out.size;) {
    const std::uint64_t element = first + static_cast<std::uint64_t>(i);
    const Rng::Block b = rng.bits(element / 2);
    const double radius = std::sqrt(-2 * std::log(1 - Rng::uniform(b.w[0], b.w[1])));
    const double angle = 2 * std::numbers::pi * Rng::uniform(b.w[2], b.w[3]);
    if (element % 2 == 0) out[i++] = radius * std::cos(angle);
    if (i < out.size) out[i++] = radius * std::sin(angle);
  }
}

}  // namespace monge
#endif
