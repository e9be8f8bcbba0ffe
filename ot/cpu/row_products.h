#pragma once
#include "monge/ot/core/scores.h"
#include "monge/ot/cpu/digits.h"

namespace monge::ot::cpu {

// Products of some rows with all columns at a time, as BLAS likes them. One per thread.
template <class T>
class RowProducts {
 public:
  // Borrows both. made: column_digits(s).
  RowProducts(const Scores<T>& s, const Digits& made, Index most_rows);

  // out_ij = scale <x_i, y_j> of the rows from `first`, at most most_rows, and the columns from `first_col`.
  // past_caches: see digit_products.
  void make(Index first, Index first_col, MatrixView<T> out, bool past_caches = false);

 private:
  const Scores<T>& s_;
  const Digits& columns_;
  Digits rows_;
};

}  // namespace monge::ot::cpu
