#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "monge/ot/cpu/passes.h"
#include "monge/ot/cpu/row_products.h"
#include "monge/ot/cpu/sweep.h"
#include "monge/ot/cpu/temperature.h"
#include "monge/ot/cpu/tile_kernels.h"
#include "monge/ot/cpu/weight_unit.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/cpu/balance.cpp"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "monge/ot/cpu/score_row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace monge::ot::cpu::HWY_NAMESPACE {

// terms_ij = exp2((s_ij + base_i) rate) for a tile, rows of `stride`; adds each row's sum to sums_i.
template <class T>
void exponentiate(const Tile<T>& tile, T rate, const T* base, T* terms, Index stride, double* sums) {
  using D = hn::ScalableTag<T>;
  const D d;
  constexpr T largest_exponent = sizeof(T) == 4 ? 127 : 1023;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto by = hn::Set(d, rate), most = hn::Set(d, largest_exponent);
  for (Index i = 0; i < tile.rows; ++i) {
    const ScoreRow<D> row(tile, i);
    const auto shift = hn::Set(d, base[i]);
    T* out = terms + i * stride;
    auto sum = hn::Zero(d);
    for (Index j = 0; j < tile.padded; j += lanes) {
      hwy::Prefetch(row.data + j + tile_cols);  // stored rows: the next tile's, which lies too far for the processor
      const auto term = exp2(d, hn::Min(hn::Mul(hn::Add(row.at(j), shift), by), most));
      hn::StoreU(term, d, out + j);
      sum = hn::Add(sum, term);
    }
    sums[i] += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
}

template <class T>
void raise_tops(const Tile<T>& tile, T* tops) {
  using D = hn::ScalableTag<T>;
  for (Index i = 0; i < tile.rows; ++i) {
    tops[i] = HWY_MAX(tops[i], hn::GetLane(hn::MaxOfLanes(D(), largest(ScoreRow<D>(tile, i), 0, tile.padded))));
  }
}

// mass_j += sum_i weights_i terms_ij over a few rows, each column's added in T and then in double.
template <class T>
void add_rows(const T* terms, Index rows, Index stride, Index cols, const T* weights, double* mass) {
  const hn::ScalableTag<T> d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  HWY_ALIGN T lane[HWY_MAX_BYTES / sizeof(T)];
  for (Index j = 0; j < cols; j += lanes) {
    auto sum = hn::Zero(d);
    for (Index i = 0; i < rows; ++i) {
      sum = hn::MulAdd(hn::Set(d, weights[i]), hn::LoadU(d, terms + i * stride + j), sum);
    }
    hn::Store(sum, d, lane);
    const Index count = HWY_MIN(lanes, cols - j);
    for (Index l = 0; l < count; ++l) mass[j + l] += static_cast<double>(lane[l]);
  }
}

void exponentiate_float(const Tile<float>& t, float rate, const float* base, float* terms, Index stride, double* sums) {
  exponentiate(t, rate, base, terms, stride, sums);
}
void exponentiate_double(const Tile<double>& t, double rate, const double* base, double* terms, Index stride,
                         double* sums) {
  exponentiate(t, rate, base, terms, stride, sums);
}
void raise_tops_float(const Tile<float>& tile, float* tops) { raise_tops(tile, tops); }
void raise_tops_double(const Tile<double>& tile, double* tops) { raise_tops(tile, tops); }
void add_rows_float(const float* terms, Index rows, Index stride, Index cols, const float* weights, double* mass) {
  add_rows(terms, rows, stride, cols, weights, mass);
}
void add_rows_double(const double* terms, Index rows, Index stride, Index cols, const double* weights, double* mass) {
  add_rows(terms, rows, stride, cols, weights, mass);
}

}  // namespace monge::ot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot::cpu {
namespace {

HWY_EXPORT(exponentiate_float);
HWY_EXPORT(exponentiate_double);
HWY_EXPORT(raise_tops_float);
HWY_EXPORT(raise_tops_double);
HWY_EXPORT(add_rows_float);
HWY_EXPORT(add_rows_double);

void exponentiate(const Tile<float>& t, float rate, const float* base, float* terms, Index stride, double* sums) {
  HWY_DYNAMIC_DISPATCH(exponentiate_float)(t, rate, base, terms, stride, sums);
}
void exponentiate(const Tile<double>& t, double rate, const double* base, double* terms, Index stride, double* sums) {
  HWY_DYNAMIC_DISPATCH(exponentiate_double)(t, rate, base, terms, stride, sums);
}
void raise_tops(const Tile<float>& tile, float* tops) { HWY_DYNAMIC_DISPATCH(raise_tops_float)(tile, tops); }
void raise_tops(const Tile<double>& tile, double* tops) { HWY_DYNAMIC_DISPATCH(raise_tops_double)(tile, tops); }
void add_rows(const float* terms, Index rows, Index stride, Index cols, const float* weights, double* mass) {
  HWY_DYNAMIC_DISPATCH(add_rows_float)(terms, rows, stride, cols, weights, mass);
}
void add_rows(const double* terms, Index rows, Index stride, Index cols, const double* weights, double* mass) {
  HWY_DYNAMIC_DISPATCH(add_rows_double)(terms, rows, stride, cols, weights, mass);
}

constexpr Index most_panel_rows = 16;

// As many rows, all columns of each, as stay in a core's own cache.
Index panel_rows(Index cols, std::size_t bytes) {
  constexpr Index cache = 768 * 1024;
  return std::clamp<Index>(cache / (cols * static_cast<Index>(bytes)), 4, most_panel_rows);
}

// What is wanted of some rows: f holds guesses, and then softmins; masses of columns are counted in `unit`.
struct Rows {
  double epsilon, unit;
  VectorView<const double> weights;
  VectorView<double> f;

  Rows from(Index first, Index count) const {
    return {epsilon, unit, {weights.data + first, count, {}}, {f.data + first, count, {}}};
  }
};

// A few rows whose exponentials are all kept until their sums are known.
template <class T>
class Panel {
 public:
  Panel(const Scores<T>& s, T rate, const Stop* stop)
      : s_(s),
        source_(s, none_, stop),
        rate_(rate),
        height_(panel_rows(s.cols(), sizeof(T))),
        stride_(round_up(s.cols(), tile_cols) + 16),
        terms_(height_ * stride_) {}

  // Rows of the scores from `first`; mass += what they send.
  void run(Index first, const Rows& rows, double* mass) {
    for (Index i = 0; i < rows.f.size; i += height_) {
      const Index count = std::min(height_, rows.f.size - i);
      run_once({first + i, count, 0, s_.cols()}, rows.from(i, count), mass);
    }
  }

 private:
  void run_once(const Box& box, const Rows& rows, double* mass) {
    const auto u = [&](Index i) { return s_.u.empty() ? 0.0 : static_cast<double>(s_.u[box.first_row + i]); };
    T base[most_panel_rows], row_weights[most_panel_rows];
    double sums[most_panel_rows];
    bool good = true;
    for (Index i = 0; i < box.rows; ++i) {
      base[i] = static_cast<T>(rows.f[i] + u(i));
      good = good && std::isfinite(base[i]);
    }
    good = good && exponentiate(box, base, sums);
    // The largest of some scores will often do for a guess; that of all always does.
    for (const Index share : {round_up(box.cols / 8, tile_cols), box.cols}) {
      if (good) break;
      measure_from_tops({box.first_row, box.rows, 0, std::min(share, box.cols)}, base);
      good = exponentiate(box, base, sums);
    }
    for (Index i = 0; i < box.rows; ++i) {
      rows.f[i] = static_cast<double>(base[i]) - rows.epsilon * std::log(sums[i]) - u(i);
      row_weights[i] = sums[i] > 0 ? static_cast<T>(rows.weights[i] / rows.unit / sums[i]) : T(0);
    }
    cpu::add_rows(terms_.data(), box.rows, stride_, box.cols, row_weights, mass);
  }

  // False if a sum lost its small terms or overflowed: the guess was too far off.
  bool exponentiate(const Box& box, const T* base, double* sums) {
    std::fill_n(sums, box.rows, 0.0);
    for_tiles(source_, box, box.rows, [&](const Tile<T>& tile) {
      cpu::exponentiate(tile, rate_, base, terms_.data() + tile.first_col, stride_, sums);
    });
    return std::all_of(sums, sums + box.rows, [](double sum) { return sum > 0x1p-60 && sum < 0x1p60; });
  }

  void measure_from_tops(const Box& box, T* base) {
    std::fill_n(base, box.rows, -std::numeric_limits<T>::infinity());
    for_tiles(source_, box, box.rows, [&](const Tile<T>& tile) { cpu::raise_tops(tile, base); });
    for (Index i = 0; i < box.rows; ++i) base[i] = std::isfinite(base[i]) ? -base[i] : T(0);
  }

  const Scores<T>& s_;
  const Digits none_ = {};  // a few dimensions, or stored
  TileSource<T> source_;
  T rate_;
  Index height_, stride_;
  Buffer<T> terms_;
};

// Some rows whose products are all made at once, and kept until their panels are through.
template <class T>
class Block {
 public:
  Block(const Scores<T>& s, const Digits& made, T rate, const Stop* stop, Index height)
      : s_(s),
        products_(s, made, height),
        scores_(height, s.cols()),
        kept_{.stored = std::as_const(scores_).view(), .u = s.u, .v = s.v},
        panel_(kept_, rate, stop) {}

  void run(Index first, const Rows& rows, double* mass) {
    for (Index i = 0; i < rows.f.size; i += scores_.rows()) {
      const Index count = std::min(scores_.rows(), rows.f.size - i);
      products_.make(first + i, 0, scores_.view().rows_from(0, count));
      if (!s_.u.empty()) kept_.u = {s_.u.data + first + i, count, {}};
      panel_.run(0, rows.from(i, count), mass);
    }
  }

 private:
  const Scores<T>& s_;
  RowProducts<T> products_;
  Matrix<T> scores_;
  Scores<T> kept_;
  Panel<T> panel_;
};

// Shares of whole rows, a multiple of `step` of them, go to workers that make(worker) makes; each share has column sums
// of its own.
template <class Make>
void share_rows(Index step, int threads, const Rows& rows, VectorView<double> mass, const Make& make) {
  const Index n = rows.f.size, share = round_up(std::max(step, (n + 31) / 32), step), parts = (n + share - 1) / share;
  const int workers = static_cast<int>(std::min<Index>(threads, parts));
  Matrix<double> part_mass(parts, mass.size);
  std::fill_n(part_mass.data(), parts * mass.size, 0.0);
  std::vector<decltype(make())> each;
  for (int w = 0; w < workers; ++w) each.push_back(make());
  parallel_for(workers, parts, [&](Index part, int worker) {
    const Index first = part * share, count = std::min(share, n - first);
    each[static_cast<std::size_t>(worker)]->run(first, rows.from(first, count), part_mass.view().row(part));
  });
  parallel_for(workers, (mass.size + tile_cols - 1) / tile_cols, [&](Index block, int) {
    for (Index j = block * tile_cols; j < std::min(mass.size, (block + 1) * tile_cols); ++j) {
      mass[j] = 0;
      for (Index p = 0; p < parts; ++p) mass[j] += rows.unit * part_mass(p, j);
    }
  });
}

// Where neither is worth while: two passes.
template <class T>
void balance_in_two(const Scores<T>& s, T epsilon, const Rows& rows, VectorView<double> mass, const Context& context) {
  std::vector<T> potentials(static_cast<std::size_t>(rows.f.size)), row_weights(potentials.size());
  for (std::size_t i = 0; i < row_weights.size(); ++i) row_weights[i] = static_cast<T>(rows.weights[i] / rows.unit);
  softmin<T>(s, epsilon, potentials, context);
  histogram<T>(s, epsilon, VectorView<const T>(potentials), VectorView<const T>(row_weights), mass, context);
  for (double& e : mass) e *= rows.unit;
  std::copy(potentials.begin(), potentials.end(), rows.f.begin());
}

// Rows whose products are kept at a time, 0 where that does not pay: many, or each makes BLAS pack all columns anew.
template <class T>
Index block_rows(const Scores<T>& s) {
  constexpr Index worthwhile = 48, most_scores = 1 << 25;
  if (s.metric != Metric::dot || s.is_labelled() || s.x.cols < worthwhile) return 0;
  const Index wanted = s.x.cols < 256 ? 256 : 512, height = std::min(wanted, most_scores / s.cols() / 16 * 16);
  return 4 * height < wanted ? 0 : std::min(height, round_up(s.rows(), 16));
}

}  // namespace

template <class T>
void balance(const Scores<T>& s, T epsilon, VectorView<const double> weights, VectorView<double> f,
             VectorView<double> mass, const Context& context) {
  const T rate = Temperature<T>(epsilon, s.cols()).rate;
  const Rows rows{static_cast<double>(epsilon), weight_unit(weights), weights, f};
  if (s.is_stored() || s.x.cols <= direct_dims) {
    const int threads = threads_worth(context.threads, s.rows() * s.cols());
    return share_rows(most_panel_rows, threads, rows, mass,
                      [&] { return std::make_unique<Panel<T>>(s, rate, context.stop); });
  }
  const Index height = block_rows(s);
  if (height == 0) return balance_in_two(s, epsilon, rows, mass, context);
  const Digits made = column_digits(s, context);
  share_rows(height, threads_worth(context.threads, s.rows() * s.cols() * (s.x.cols / 8)), rows, mass,
             [&] { return std::make_unique<Block<T>>(s, made, rate, context.stop, height); });
}

template void balance(const Scores<float>&, float, VectorView<const double>, VectorView<double>, VectorView<double>,
                      const Context&);
template void balance(const Scores<double>&, double, VectorView<const double>, VectorView<double>, VectorView<double>,
                      const Context&);

}  // namespace monge::ot::cpu
#endif
