#pragma once  // private: never installed
#include <cblas.h>

#include <algorithm>
#include <utility>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/cpu/digits.h"
#include "monge/ot/cpu/huge_pages.h"

namespace monge::ot::detail {

// All scores s_ij in float: kept, or where they would take too much memory made again, some rows at a time.
class ScoreBlocks {
 public:
  ScoreBlocks() = default;
  // s_ij = 2 <x_i, y_j>, kept if they take no more than most_bytes; borrows both.
  ScoreBlocks(MatrixView<const float> x, MatrixView<const float> y, double most_bytes, const Context& context)
      : x_(x), y_(y), context_(context) {
    const double row = sizeof(float) * static_cast<double>(y.rows);
    height_ =
        row * static_cast<double>(x.rows) <= most_bytes ? x.rows : std::max<Index>(64, static_cast<Index>(1e8 / row));
    scores_ = Matrix<float>(height_, y.rows);
    cpu::prefer_huge_pages(scores_.data(), sizeof(float) * static_cast<std::size_t>(height_ * y.rows));
    if (cpu::multiplies_digits(y.cols)) digits_ = cpu::read_digits(y, context);
    if (is_stored()) fill(0, x.rows);
  }
  // As given.
  ScoreBlocks(Matrix<float> scores, const Context& context)
      : context_(context), scores_(std::move(scores)), height_(scores_.rows()) {}

  bool is_stored() const { return x_.data == nullptr || height_ == x_.rows; }
  const Context& context() const { return context_; }
  Index cols() const { return scores_.cols(); }

  // Calls visit(first row, scores) for blocks of rows.
  template <class Visit>
  void each(const Visit& visit) {
    if (is_stored()) return visit(0, std::as_const(scores_).view());
    for (Index first = 0; first < x_.rows; first += height_) {
      const Index count = std::min(height_, x_.rows - first);
      fill(first, count);
      visit(first, std::as_const(scores_).view().rows_from(0, count));
    }
  }
  // One row of what is kept.
  const float* row(Index i) const { return scores_.view().row(i); }
  // `count` columns of one row from `first`; of what is not kept they are made in block memory.
  const float* part_of_row(Index i, Index first, Index count) {
    if (is_stored()) return row(i) + first;
    constexpr Index tile = 1024;
    const Index d = y_.cols;
    parallel_for(threads_worth(context_.threads, count * d), (count + tile - 1) / tile, [&](Index t, int) {
      const Index from = first + t * tile, size = std::min(tile, first + count - from);
      cblas_sgemv(CblasRowMajor, CblasNoTrans, static_cast<blasint>(size), static_cast<blasint>(d), 2.0f, y_.row(from),
                  static_cast<blasint>(y_.stride), x_.row(i), 1, 0.0f, scores_.data() + from, 1);
    });
    return scores_.data() + first;
  }

 private:
  void fill(Index first, Index count) {
    const Scores<float> s{
        .x = x_.rows_from(first, count), .y = y_, .scale = 2, .y_ready = digits_.rows() > 0 ? &digits_ : nullptr};
    passes_for<float>({}).store(s, scores_.view().rows_from(0, count), context_);
  }

  MatrixView<const float> x_, y_;
  Context context_;
  Matrix<float> scores_;
  cpu::Digits digits_;  // of y, where products are made of them
  Index height_ = 0;
};

}  // namespace monge::ot::detail
