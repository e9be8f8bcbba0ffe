#include "monge/ot/cpu/tile_kernels.h"

#include <limits>

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/cpu/tile_kernels.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace monge::ot::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <int dims, class T>
HWY_INLINE void products_in(const Draft<T>& t) {
  const hn::ScalableTag<T> d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const T* HWY_RESTRICT y = t.y;
  for (Index i = 0; i < t.x.rows; ++i) {
    const T* row = t.x.row(i);
    T* HWY_RESTRICT out = t.out + i * t.stride;
    hn::Vec<decltype(d)> xs[dims];
    for (int k = 0; k < dims; ++k) xs[k] = hn::Set(d, row[k]);
    for (Index j = 0; j < t.cols; j += lanes) {
      auto sum = hn::Mul(xs[0], hn::Load(d, y + j));
      for (int k = 1; k < dims; ++k) sum = hn::MulAdd(xs[k], hn::Load(d, y + k * transposed_stride + j), sum);
      hn::StoreU(sum, d, out + j);
    }
  }
}

template <class T>
void products_of(const Draft<T>& t) {
  switch (t.x.cols) {
    case 1:
      return products_in<1>(t);
    case 2:
      return products_in<2>(t);
    case 3:
      return products_in<3>(t);
    case 4:
      return products_in<4>(t);
    case 5:
      return products_in<5>(t);
    case 6:
      return products_in<6>(t);
    case 7:
      return products_in<7>(t);
    case 8:
      return products_in<8>(t);
  }
}

// One tile of registers: `rows` rows by `vectors` vectors of columns.
template <Metric metric, int rows, int vectors, class T>
HWY_INLINE void distances_in(const T* HWY_RESTRICT x, Index x_stride, Index dims, const T* HWY_RESTRICT y, bool first,
                             bool last, T* HWY_RESTRICT out, Index stride) {
  const hn::ScalableTag<T> d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  hn::Vec<decltype(d)> sum[rows][vectors];
  for (int i = 0; i < rows; ++i) {
    for (int c = 0; c < vectors; ++c) sum[i][c] = first ? hn::Zero(d) : hn::LoadU(d, out + i * stride + c * lanes);
  }
  for (Index k = 0; k < dims; ++k) {
    hn::Vec<decltype(d)> ys[vectors];
    for (int c = 0; c < vectors; ++c) ys[c] = hn::Load(d, y + k * transposed_stride + c * lanes);
    for (int i = 0; i < rows; ++i) {
      const auto xi = hn::Set(d, x[i * x_stride + k]);
      for (int c = 0; c < vectors; ++c) {
        const auto difference = hn::Sub(ys[c], xi);
        sum[i][c] = metric == Metric::euclidean ? hn::MulAdd(difference, difference, sum[i][c])
                                                : hn::Add(hn::Abs(difference), sum[i][c]);
      }
    }
  }
  const auto most = hn::Set(d, std::numeric_limits<T>::max());
  for (int i = 0; i < rows; ++i) {
    for (int c = 0; c < vectors; ++c) {
      auto value = sum[i][c];
      if (last) value = hn::Min(value, most);
      if (last && metric == Metric::euclidean) value = hn::Sqrt(value);
      hn::StoreU(value, d, out + i * stride + c * lanes);
    }
  }
}

// A strip of columns stays in the fastest cache while all rows pass.
template <Metric metric, int vectors, class T>
HWY_INLINE void distance_strip(const Draft<T>& t, Index j, bool first, bool last) {
  constexpr int block = 4;
  Index i = 0;
  for (; i + block <= t.x.rows; i += block) {
    distances_in<metric, block, vectors>(t.x.row(i), t.x.stride, t.x.cols, t.y + j, first, last,
                                         t.out + i * t.stride + j, t.stride);
  }
  for (; i < t.x.rows; ++i) {
    distances_in<metric, 1, vectors>(t.x.row(i), t.x.stride, t.x.cols, t.y + j, first, last, t.out + i * t.stride + j,
                                     t.stride);
  }
}

template <Metric metric, class T>
void distances_by(const Draft<T>& t, bool first, bool last) {
  const Index lanes = static_cast<Index>(hn::Lanes(hn::ScalableTag<T>()));
  Index j = 0;
  for (; j + 2 * lanes <= t.cols; j += 2 * lanes) distance_strip<metric, 2>(t, j, first, last);
  for (; j < t.cols; j += lanes) distance_strip<metric, 1>(t, j, first, last);
}

template <class T>
void distances_of(Metric metric, const Draft<T>& t, bool first, bool last) {
  return metric == Metric::l1 ? distances_by<Metric::l1>(t, first, last)
                              : distances_by<Metric::euclidean>(t, first, last);
}

template <class T>
void penalise_in(const Penalty<T>& p, T* out, Index stride) {
  const hn::ScalableTag<T> d;
  const hn::RebindToSigned<decltype(d)> di;
  const auto scale = hn::Set(d, p.scale), penalty = hn::Set(d, p.penalty);
  for (Index i = 0; i < p.rows; ++i, out += stride) {
    const auto label = hn::Set(di, Label<T>{p.row_labels[i]});
    for (Index j = 0; j < p.cols; j += static_cast<Index>(hn::Lanes(d))) {
      const auto score = hn::Mul(scale, hn::LoadU(d, out + j));
      const auto same = hn::RebindMask(d, hn::Eq(hn::Load(di, p.col_labels + j), label));
      hn::StoreU(hn::IfThenElse(same, score, hn::Sub(score, penalty)), d, out + j);
    }
  }
}

void products_float(const Draft<float>& t) { products_of(t); }
void products_double(const Draft<double>& t) { products_of(t); }
void distances_float(Metric metric, const Draft<float>& t, bool first, bool last) {
  distances_of(metric, t, first, last);
}
void distances_double(Metric metric, const Draft<double>& t, bool first, bool last) {
  distances_of(metric, t, first, last);
}
void penalise_float(const Penalty<float>& p, float* out, Index stride) { penalise_in(p, out, stride); }
void penalise_double(const Penalty<double>& p, double* out, Index stride) { penalise_in(p, out, stride); }

}  // namespace monge::ot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot::cpu {

HWY_EXPORT(products_float);
HWY_EXPORT(products_double);
HWY_EXPORT(distances_float);
HWY_EXPORT(distances_double);
HWY_EXPORT(penalise_float);
HWY_EXPORT(penalise_double);

void products(const Draft<float>& t) { HWY_DYNAMIC_DISPATCH(products_float)(t); }
void products(const Draft<double>& t) { HWY_DYNAMIC_DISPATCH(products_double)(t); }
void distances(Metric metric, const Draft<float>& t, bool first, bool last) {
  HWY_DYNAMIC_DISPATCH(distances_float)(metric, t, first, last);
}
void distances(Metric metric, const Draft<double>& t, bool first, bool last) {
  HWY_DYNAMIC_DISPATCH(distances_double)(metric, t, first, last);
}
void penalise(const Penalty<float>& p, float* out, Index stride) {
  HWY_DYNAMIC_DISPATCH(penalise_float)(p, out, stride);
}
void penalise(const Penalty<double>& p, double* out, Index stride) {
  HWY_DYNAMIC_DISPATCH(penalise_double)(p, out, stride);
}

}  // namespace monge::ot::cpu
#endif
