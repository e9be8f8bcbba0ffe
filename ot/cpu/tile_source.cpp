#include "monge/ot/cpu/tile_source.h"

#include <cblas.h>

#include <limits>
#include <type_traits>

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/cpu/tile_source.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace monge::ot::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// out_ij = <x_i, y_j> for `dims` <= 8, y transposed: dims rows of tile_cols.
template <int dims, class T>
HWY_INLINE void products_in(MatrixView<const T> x, const T* HWY_RESTRICT y, Index cols, T* HWY_RESTRICT out,
                            Index stride) {
  const hn::ScalableTag<T> d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  for (Index i = 0; i < x.rows; ++i) {
    const T* row = x.row(i);
    hn::Vec<decltype(d)> xs[dims];
    for (int k = 0; k < dims; ++k) xs[k] = hn::Set(d, row[k]);
    for (Index j = 0; j < cols; j += lanes) {
      auto sum = hn::Mul(xs[0], hn::Load(d, y + j));
      for (int k = 1; k < dims; ++k) sum = hn::MulAdd(xs[k], hn::Load(d, y + k * tile_cols + j), sum);
      hn::StoreU(sum, d, out + i * stride + j);
    }
  }
}

template <class T>
void products(MatrixView<const T> x, const T* y, Index cols, T* out, Index stride) {
  switch (x.cols) {
    case 1:
      return products_in<1>(x, y, cols, out, stride);
    case 2:
      return products_in<2>(x, y, cols, out, stride);
    case 3:
      return products_in<3>(x, y, cols, out, stride);
    case 4:
      return products_in<4>(x, y, cols, out, stride);
    case 5:
      return products_in<5>(x, y, cols, out, stride);
    case 6:
      return products_in<6>(x, y, cols, out, stride);
    case 7:
      return products_in<7>(x, y, cols, out, stride);
    case 8:
      return products_in<8>(x, y, cols, out, stride);
  }
}

void products_float(MatrixView<const float> x, const float* y, Index cols, float* out, Index stride) {
  products(x, y, cols, out, stride);
}
void products_double(MatrixView<const double> x, const double* y, Index cols, double* out, Index stride) {
  products(x, y, cols, out, stride);
}

}  // namespace monge::ot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot::cpu {
namespace {

HWY_EXPORT(products_float);
HWY_EXPORT(products_double);

constexpr Index direct_dims = 8, vector_multiple = 16;

void gemm(MatrixView<const float> x, MatrixView<const float> y, float* out, Index stride) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<blasint>(x.rows), static_cast<blasint>(y.rows),
              static_cast<blasint>(x.cols), 1.0f, x.data, static_cast<blasint>(x.stride), y.data,
              static_cast<blasint>(y.stride), 0.0f, out, static_cast<blasint>(stride));
}
void gemm(MatrixView<const double> x, MatrixView<const double> y, double* out, Index stride) {
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<blasint>(x.rows), static_cast<blasint>(y.rows),
              static_cast<blasint>(x.cols), 1.0, x.data, static_cast<blasint>(x.stride), y.data,
              static_cast<blasint>(y.stride), 0.0, out, static_cast<blasint>(stride));
}

}  // namespace

template <class T>
TileSource<T>::TileSource(const Scores<T>& s)
    : s_(s),
      direct_(!s.is_stored() && s.x.cols <= direct_dims),
      // Off the power of two, or all rows fall into one cache set.
      stride_(std::min(tile_cols, round_up(s.cols(), vector_multiple)) + vector_multiple),
      tile_(std::min(tile_rows, s.rows()) * stride_),
      bias_(stride_),
      transposed_(direct_ ? direct_dims * tile_cols : 0) {}

template <class T>
Tile<T> TileSource<T>::read(const Box& box) {
  const Index padded = round_up(box.cols, vector_multiple);
  begin_columns(box, padded);
  const T* data = tile_.data();
  Index stride = stride_;
  if (direct_) {
    multiply_directly(box, padded);
  } else {
    if (!s_.is_stored()) {
      multiply(box);
    } else if (padded > box.cols) {
      copy_stored(box);
    } else {
      data = s_.stored.row(box.first_row) + box.first_col;
      stride = s_.stored.stride;
    }
    for (Index i = 0; i < box.rows && padded > box.cols; ++i) {
      std::fill(tile_.data() + i * stride_ + box.cols, tile_.data() + i * stride_ + padded, T(0));
    }
  }
  return {box, data, stride, padded, s_.scale, bias_.data()};
}

template <class T>
void TileSource<T>::begin_columns(const Box& box, Index padded) {
  if (s_.v.empty()) {
    std::fill_n(bias_.data(), box.cols, T(0));
  } else {
    std::copy_n(s_.v.data + box.first_col, box.cols, bias_.data());
  }
  std::fill(bias_.data() + box.cols, bias_.data() + padded, -std::numeric_limits<T>::infinity());
  if (!direct_) return;
  for (Index k = 0; k < s_.y.cols; ++k) {
    T* row = transposed_.data() + k * tile_cols;
    for (Index j = 0; j < box.cols; ++j) row[j] = s_.y(box.first_col + j, k);
    std::fill(row + box.cols, row + padded, T(0));
  }
}

template <class T>
void TileSource<T>::copy_stored(const Box& box) {
  for (Index i = 0; i < box.rows; ++i) {
    std::copy_n(s_.stored.row(box.first_row + i) + box.first_col, box.cols, tile_.data() + i * stride_);
  }
}

template <class T>
void TileSource<T>::multiply(const Box& box) {
  gemm(s_.x.rows_from(box.first_row, box.rows), s_.y.rows_from(box.first_col, box.cols), tile_.data(), stride_);
}

template <class T>
void TileSource<T>::multiply_directly(const Box& box, Index padded) {
  const MatrixView<const T> x = s_.x.rows_from(box.first_row, box.rows);
  if (x.cols == 0) {
    std::fill_n(tile_.data(), tile_.size(), T(0));
  } else if constexpr (std::is_same_v<T, float>) {
    HWY_DYNAMIC_DISPATCH(products_float)(x, transposed_.data(), padded, tile_.data(), stride_);
  } else {
    HWY_DYNAMIC_DISPATCH(products_double)(x, transposed_.data(), padded, tile_.data(), stride_);
  }
}

template class TileSource<float>;
template class TileSource<double>;

}  // namespace monge::ot::cpu
#endif
