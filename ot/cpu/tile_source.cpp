#include "monge/ot/cpu/tile_source.h"

#include <limits>

#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/cpu/gemm.h"
#include "monge/ot/cpu/tile_kernels.h"

namespace monge::ot::cpu {
namespace {

constexpr Index vector_multiple = 16;
constexpr Index block_dims = 64;  // coordinates of differences at a time: those of a tile's columns stay in the cache

template <class T>
Maker maker_of(const Scores<T>& s, const Digits& columns) {
  if (s.is_stored()) return Maker::stored;
  if (s.metric != Metric::dot) return Maker::distances;
  if (s.x.cols <= direct_dims) return Maker::products;
  return columns.rows() > 0 ? Maker::digits : Maker::gemm;
}

// The most coordinates that are transposed at a time.
Index transposed_dims(Maker maker, Index dims) {
  if (maker == Maker::products) return dims;
  return maker == Maker::distances ? std::min(dims, block_dims) : 0;
}

}  // namespace

template <class T>
Digits column_digits(const Scores<T>& s, const Context& context) {
  if constexpr (std::is_same_v<T, float>) {
    constexpr Index worthwhile = 64;  // rows
    const bool product = !s.is_stored() && s.metric == Metric::dot;
    if (product && !digits_of(s.y_ready) && s.rows() >= worthwhile && multiplies_digits(s.x.cols))
      return read_digits(s.y, context);
  }
  return {};
}

template <class T>
TileSource<T>::TileSource(const Scores<T>& s, const Digits& made, const Stop* stop)
    : s_(s),
      columns_(digits_of(s.y_ready) ? *digits_of(s.y_ready) : made),
      stop_(stop),
      maker_(maker_of(s, columns_)),
      // Off the power of two, or all rows fall into one cache set.
      stride_(std::min(tile_cols, round_up(s.cols(), vector_multiple)) + vector_multiple),
      tile_(std::min(tile_rows, s.rows()) * stride_),
      bias_(stride_),
      transposed_(transposed_dims(maker_, s.x.cols) * transposed_stride),
      labels_(s.is_labelled() ? stride_ : 0),
      rows_(Digits::Operand::left, maker_ == Maker::digits ? std::min(tile_rows, s.rows()) : 0, s.x.cols) {}

template <class T>
Tile<T> TileSource<T>::read(const Box& box) {
  const Index padded = round_up(box.cols, vector_multiple);
  look_at_stop(box);
  copy_biases(box, padded);
  if (maker_ == Maker::stored && padded == box.cols && !s_.is_labelled()) {
    return {box, s_.stored.row(box.first_row) + box.first_col, s_.stored.stride, padded, s_.scale, bias_.data()};
  }
  fill(box, padded);
  if (!s_.is_labelled()) return {box, tile_.data(), stride_, padded, s_.scale, bias_.data()};
  subtract_penalty(box, padded);
  return {box, tile_.data(), stride_, padded, T(1), bias_.data()};
}

// As often as there are large tiles.
template <class T>
void TileSource<T>::look_at_stop(const Box& box) {
  since_look_ += box.rows * box.cols;
  if (!stop_ || since_look_ < tile_rows * tile_cols) return;
  since_look_ = 0;
  stop_->look();
}

template <class T>
void TileSource<T>::copy_biases(const Box& box, Index padded) {
  if (s_.v.empty()) {
    std::fill_n(bias_.data(), box.cols, T(0));
  } else {
    std::copy_n(s_.v.data + box.first_col, box.cols, bias_.data());
  }
  std::fill(bias_.data() + box.cols, bias_.data() + padded, -std::numeric_limits<T>::infinity());
}

template <class T>
void TileSource<T>::fill(const Box& box, Index padded) {
  if (maker_ == Maker::products || maker_ == Maker::distances) return fill_from_points(box, padded);
  if (maker_ == Maker::digits) {
    fill_from_digits(box);
  } else if (maker_ == Maker::gemm) {
    gemm(T(1), s_.x.rows_from(box.first_row, box.rows), s_.y.rows_from(box.first_col, box.cols), tile_.data(), stride_);
  } else {
    for (Index i = 0; i < box.rows; ++i) {
      std::copy_n(s_.stored.row(box.first_row + i) + box.first_col, box.cols, tile_.data() + i * stride_);
    }
  }
  for (Index i = 0; i < box.rows && padded > box.cols; ++i) {
    std::fill(tile_.data() + i * stride_ + box.cols, tile_.data() + i * stride_ + padded, T(0));
  }
}

template <class T>
void TileSource<T>::fill_from_digits(const Box& box) {
  if constexpr (std::is_same_v<T, float>) {
    if (rows_read_.first_row != box.first_row || rows_read_.rows != box.rows) {
      rows_.read(s_.x.rows_from(box.first_row, box.rows), 0);
      rows_read_ = box;
    }
    digit_products(1.0f, rows_, 0, box.rows, columns_, box.first_col, box.cols, tile_.data(), stride_);
  }
}

template <class T>
void TileSource<T>::fill_from_points(const Box& box, Index padded) {
  const Index dims = s_.x.cols;
  if (dims == 0) std::fill_n(tile_.data(), tile_.size(), T(0));
  for (Index k = 0; k < dims; k += block_dims) {
    const Index count = std::min(block_dims, dims - k);
    transpose(box, padded, k, count);
    const Draft<T> draft{
        {s_.x.row(box.first_row) + k, box.rows, count, s_.x.stride}, transposed_.data(), padded, tile_.data(), stride_};
    if (maker_ == Maker::products) {
      products(draft);
    } else {
      distances(s_.metric, draft, k == 0, k + count == dims);
    }
  }
}

template <class T>
void TileSource<T>::transpose(const Box& box, Index padded, Index first, Index count) {
  // Few points at a time when coordinates are many: what is read meanwhile stays in the fastest cache.
  const Index step = count > direct_dims ? vector_multiple : padded;
  for (Index begin = 0; begin < padded; begin += step) {
    const Index points = std::min(step, box.cols - begin);
    for (Index k = 0; k < count; ++k) {
      T* row = transposed_.data() + k * transposed_stride + begin;
      for (Index j = 0; j < points; ++j) row[j] = s_.y(box.first_col + begin + j, first + k);
      std::fill(row + points, row + step, T(0));
    }
  }
}

template <class T>
void TileSource<T>::subtract_penalty(const Box& box, Index padded) {
  std::copy_n(s_.col_labels.data + box.first_col, box.cols, labels_.data());
  std::fill(labels_.data() + box.cols, labels_.data() + padded, Label<T>{0});
  penalise({s_.row_labels.data + box.first_row, labels_.data(), box.rows, padded, s_.scale, s_.label_penalty},
           tile_.data(), stride_);
}

template Digits column_digits(const Scores<float>&, const Context&);
template Digits column_digits(const Scores<double>&, const Context&);
template class TileSource<float>;
template class TileSource<double>;

}  // namespace monge::ot::cpu
