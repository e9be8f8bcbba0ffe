#include "monge/ot/cpu/row_products.h"

#include <type_traits>

#include "monge/ot/cpu/gemm.h"

namespace monge::ot::cpu {

template <class T>
RowProducts<T>::RowProducts(const Scores<T>& s, const Digits& made, Index most_rows)
    : s_(s), columns_(digits_of(s.y_ready) ? *digits_of(s.y_ready) : made) {
  if (columns_.rows() > 0) rows_ = Digits(Digits::Operand::left, most_rows, s.x.cols);
}

template <class T>
void RowProducts<T>::make(Index first, Index first_col, MatrixView<T> out, bool past_caches) {
  const MatrixView<const T> x = s_.x.rows_from(first, out.rows);
  if constexpr (std::is_same_v<T, float>) {
    if (columns_.rows() > 0) {
      rows_.read(x, 0);
      return digit_products(s_.scale, rows_, 0, out.rows, columns_, first_col, out.cols, out.data, out.stride,
                            past_caches);
    }
  }
  gemm(s_.scale, x, s_.y.rows_from(first_col, out.cols), out.data, out.stride);
}

template class RowProducts<float>;
template class RowProducts<double>;

}  // namespace monge::ot::cpu
