#include <cblas.h>

#include "monge/ot/cpu/passes.h"
#include "monge/ot/cpu/running_sum.h"
#include "monge/ot/cpu/sweep.h"
#include "monge/ot/cpu/temperature.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/cpu/apply.cpp"
#include "hwy/foreach_target.h"
#include "monge/ot/cpu/score_row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace monge::ot::cpu::HWY_NAMESPACE {

// terms_ij = exp((s_ij - best_i) / epsilon), rows of tile_cols; adds them to the sums of the rows, and to factors_i
// writes what a new best multiplied the earlier terms of row i by.
template <class T>
void exponentiate(const Tile<T>& tile, const Temperature<T>& temperature, RunningSum<T>* sums, T* terms, T* factors) {
  using D = hn::ScalableTag<T>;
  const D d;
  for (Index i = 0; i < tile.rows; ++i) {
    const ScoreRow<D> row(tile, i);
    RunningSum<T>& sum = sums[i];
    T* out = terms + i * tile_cols;
    const auto top = largest(row, 0, tile.padded);
    factors[i] = static_cast<T>(sum.raise(hn::GetLane(hn::MaxOfLanes(d, top)), temperature.epsilon));
    if (hn::AllFalse(d, hn::Gt(top, hn::Set(d, temperature.limit(sum.best))))) {
      std::fill_n(out, tile.padded, T(0));
    } else {
      sum.sum += sum_of_exp2(row, sum.best, temperature.rate, 0, tile.padded,
                             [&](Index j, hn::Vec<D> term) HWY_ATTR { hn::StoreU(term, d, out + j); });
    }
  }
}

// out_ik += sum_j terms_ij values_kj for `rows` rows i, side by side to hide the latency of the additions.
template <Index rows, class T>
HWY_INLINE void add_product(const T* terms, const T* values, Index padded, T* out, Index stride) {
  const hn::ScalableTag<T> d;
  hn::Vec<decltype(d)> sum[rows];
  for (Index i = 0; i < rows; ++i) sum[i] = hn::Zero(d);
  for (Index j = 0; j < padded; j += static_cast<Index>(hn::Lanes(d))) {
    const auto value = hn::LoadU(d, values + j);
    for (Index i = 0; i < rows; ++i) sum[i] = hn::MulAdd(hn::LoadU(d, terms + i * tile_cols + j), value, sum[i]);
  }
  for (Index i = 0; i < rows; ++i) out[i * stride] += hn::GetLane(hn::SumOfLanes(d, sum[i]));
}

// The same for a few k and all rows; terms and values lie in rows of tile_cols, padded with zeros.
template <class T>
void add_products(const T* terms, const T* values, Index padded, const MatrixView<T>& out) {
  constexpr Index block = 4;
  const Index stride = out.stride;
  for (Index k = 0; k < out.cols; ++k, values += tile_cols) {
    Index i = 0;
    for (; i + block <= out.rows; i += block) {
      add_product<block>(terms + i * tile_cols, values, padded, out.row(i) + k, stride);
    }
    for (; i < out.rows; ++i) add_product<1>(terms + i * tile_cols, values, padded, out.row(i) + k, stride);
  }
}

void exponentiate_float(const Tile<float>& tile, const Temperature<float>& t, RunningSum<float>* sums, float* terms,
                        float* factors) {
  exponentiate(tile, t, sums, terms, factors);
}
void exponentiate_double(const Tile<double>& tile, const Temperature<double>& t, RunningSum<double>* sums,
                         double* terms, double* factors) {
  exponentiate(tile, t, sums, terms, factors);
}
void add_products_float(const float* terms, const float* values, Index padded, const MatrixView<float>& out) {
  add_products(terms, values, padded, out);
}
void add_products_double(const double* terms, const double* values, Index padded, const MatrixView<double>& out) {
  add_products(terms, values, padded, out);
}

}  // namespace monge::ot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot::cpu {
namespace {

HWY_EXPORT(exponentiate_float);
HWY_EXPORT(exponentiate_double);
HWY_EXPORT(add_products_float);
HWY_EXPORT(add_products_double);

void exponentiate(const Tile<float>& tile, const Temperature<float>& t, RunningSum<float>* sums, float* terms,
                  float* factors) {
  HWY_DYNAMIC_DISPATCH(exponentiate_float)(tile, t, sums, terms, factors);
}
void exponentiate(const Tile<double>& tile, const Temperature<double>& t, RunningSum<double>* sums, double* terms,
                  double* factors) {
  HWY_DYNAMIC_DISPATCH(exponentiate_double)(tile, t, sums, terms, factors);
}
void add_products(const float* terms, const float* values, Index padded, const MatrixView<float>& out) {
  HWY_DYNAMIC_DISPATCH(add_products_float)(terms, values, padded, out);
}
void add_products(const double* terms, const double* values, Index padded, const MatrixView<double>& out) {
  HWY_DYNAMIC_DISPATCH(add_products_double)(terms, values, padded, out);
}

void add_gemm(const float* terms, MatrixView<const float> values, MatrixView<float> out) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<blasint>(out.rows), static_cast<blasint>(out.cols),
              static_cast<blasint>(values.rows), 1.0f, terms, static_cast<blasint>(tile_cols), values.data,
              static_cast<blasint>(values.stride), 1.0f, out.data, static_cast<blasint>(out.stride));
}
void add_gemm(const double* terms, MatrixView<const double> values, MatrixView<double> out) {
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<blasint>(out.rows), static_cast<blasint>(out.cols),
              static_cast<blasint>(values.rows), 1.0, terms, static_cast<blasint>(tile_cols), values.data,
              static_cast<blasint>(values.stride), 1.0, out.data, static_cast<blasint>(out.stride));
}

// Adds exp(scores) x values tile by tile, rescaling what it has when a larger score turns up.
template <class T>
class WeightedSum {
 public:
  explicit WeightedSum(MatrixView<const T> values)
      : values_(values),
        terms_(tile_rows * tile_cols),
        factors_(tile_rows),
        transposed_(few() ? values.cols * tile_cols : 0) {}

  void add(const Tile<T>& tile, const Temperature<T>& temperature, RunningSum<T>* sums, MatrixView<T> out) {
    exponentiate(tile, temperature, sums, terms_.data(), factors_.data());
    for (Index i = 0; i < tile.rows; ++i) {
      if (factors_[i] == 1) continue;
      for (Index k = 0; k < out.cols; ++k) out(i, k) *= factors_[i];
    }
    const MatrixView<const T> values = values_.rows_from(tile.first_col, tile.cols);
    if (!few()) return add_gemm(terms_.data(), values, out);
    for (Index k = 0; k < values.cols; ++k) {
      T* row = transposed_.data() + k * tile_cols;
      for (Index j = 0; j < values.rows; ++j) row[j] = values(j, k);
      std::fill(row + values.rows, row + tile.padded, T(0));
    }
    add_products(terms_.data(), transposed_.data(), tile.padded, out);
  }

 private:
  bool few() const { return values_.cols <= 8; }  // a GEMM that narrow is slow

  MatrixView<const T> values_;
  Buffer<T> terms_, factors_, transposed_;
};

}  // namespace

template <class T>
void apply(const Scores<T>& s, T epsilon, MatrixView<const T> values, MatrixView<T> out, const Context& context) {
  const Index n = s.rows(), width = values.cols;
  const Temperature<T> temperature(epsilon, s.cols());
  const Cut cut = Cut::along_rows(n, s.cols());
  const bool direct = cut.col_parts() == 1;  // otherwise each share of the columns has a result of its own
  Matrix<T> part_out(direct ? 0 : n * cut.col_parts(), width);
  const MatrixView<T> all = direct ? out : part_out.view();
  std::vector<RunningSum<T>> sums(static_cast<std::size_t>(n * cut.col_parts()));
  std::vector<std::unique_ptr<WeightedSum<T>>> weighted;
  for (Index w = 0; w < std::min<Index>(resolve_threads(context.threads), cut.parts()); ++w) {
    weighted.push_back(std::make_unique<WeightedSum<T>>(values));
  }

  sweep(s, cut, context, [&](const Part& part, TileSource<T>& source, int worker) {
    const Index first = part.col_part * n + part.first_row;
    const MatrixView<T> rows = all.rows_from(first, part.rows);
    for (Index i = 0; i < rows.rows; ++i) std::fill_n(rows.row(i), width, T(0));
    for_tiles(source, part, tile_rows, [&](const Tile<T>& tile) {
      weighted[static_cast<std::size_t>(worker)]->add(tile, temperature, sums.data() + first, rows);
    });
  });

  for_rows(n, context, [&](Index i) {
    if (!s.u.empty() && s.u[i] == -std::numeric_limits<T>::infinity()) {
      std::fill_n(out.row(i), width, T(0));
      return;
    }
    RunningSum<T> total;
    for (Index p = 0; p < cut.col_parts(); ++p)
      total.add(sums[static_cast<std::size_t>(p * n + i)], temperature.epsilon);
    for (Index k = 0; k < width && !direct; ++k) out(i, k) = 0;
    for (Index p = 0; p < cut.col_parts(); ++p) {
      RunningSum<T> share = sums[static_cast<std::size_t>(p * n + i)];
      if (share.sum == 0) continue;
      const T factor = static_cast<T>(share.raise(total.best, temperature.epsilon) / total.sum);
      for (Index k = 0; k < width; ++k) out(i, k) = (direct ? 0 : out(i, k)) + factor * all(p * n + i, k);
    }
  });
}

template void apply(const Scores<float>&, float, MatrixView<const float>, MatrixView<float>, const Context&);
template void apply(const Scores<double>&, double, MatrixView<const double>, MatrixView<double>, const Context&);

}  // namespace monge::ot::cpu
#endif
