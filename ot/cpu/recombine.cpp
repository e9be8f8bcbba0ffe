#include "monge/ot/recombine.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/cpu/digits.h"
#include "monge/ot/cpu/gemm.h"
#include "monge/ot/cpu/passes.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/cpu/recombine.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#ifndef MONGE_OT_CPU_RECOMBINE_SHARED
#define MONGE_OT_CPU_RECOMBINE_SHARED
namespace monge::ot {

// The best columns of one row so far. Everything above `threshold` = best - window is kept until the list is full; then
// what fell below is dropped, and at worst the smallest entry.
struct RowList {
  static constexpr int capacity = 32;
  int count = 0;
  float score[capacity];
  std::int32_t column[capacity];

  void insert(float s, std::int32_t j, float window, float& threshold) {
    threshold = std::max(threshold, s - window);
    if (count == capacity) prune(threshold);
    if (count == capacity) {
      const int worst = static_cast<int>(std::min_element(score, score + count) - score);
      if (score[worst] >= s) return;
      score[worst] = s;
      column[worst] = j;
      return;
    }
    score[count] = s;
    column[count++] = j;
  }

  void prune(float threshold) {
    int kept = 0;
    for (int i = 0; i < count; ++i) {
      if (score[i] < threshold) continue;
      score[kept] = score[i];
      column[kept++] = column[i];
    }
    count = kept;
  }
};

using SignMask = std::array<std::uint32_t, group_rows>;  // the sign bit of each row

// One round's view of one group: thresholds and lists of its 64 rows.
struct RoundState {
  alignas(64) float threshold[group_rows];
  alignas(64) std::int32_t label[group_rows];
  alignas(64) SignMask signs;
  std::array<RowList, group_rows> lists;
};

// What columns add to their scores, and their labels, if any; padded to whole vectors.
struct Columns {
  const float* bias;
  const std::int32_t* labels = nullptr;
  float penalty = 0;

  Columns from(Index c) const { return {bias + c, labels ? labels + c : nullptr, penalty}; }
};

}  // namespace monge::ot
#endif

HWY_BEFORE_NAMESPACE();
namespace monge::ot::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

HWY_INLINE void butterfly(V& a, V& b) {
  const V sum = hn::Add(a, b);
  b = hn::Sub(a, b);
  a = sum;
}

// Hadamard transform of order 8 in registers.
HWY_INLINE void hadamard8(V& a, V& b, V& c, V& d, V& e, V& f, V& g, V& h) {
  butterfly(a, e), butterfly(b, f), butterfly(c, g), butterfly(d, h);
  butterfly(a, c), butterfly(b, d), butterfly(e, g), butterfly(f, h);
  butterfly(a, b), butterfly(c, d), butterfly(e, f), butterfly(g, h);
}

// First half of the order-64 transform of one block of columns: signs, then order 8 across rows i, i+8, ..., i+56.
HWY_INLINE void first_half(const float* x, Index stride, const SignMask& signs, float* half) {
  const D d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const hn::RebindToUnsigned<D> du;
  for (Index i = 0; i < 8; ++i) {
    const auto load = [&](Index j) {
      const Index row = i + 8 * j;
      const auto bits = hn::BitCast(du, hn::LoadU(d, x + row * stride));
      return hn::BitCast(d, hn::Xor(bits, hn::Set(du, signs[static_cast<std::size_t>(row)])));
    };
    V a0 = load(0), a1 = load(1), a2 = load(2), a3 = load(3), a4 = load(4), a5 = load(5), a6 = load(6), a7 = load(7);
    hadamard8(a0, a1, a2, a3, a4, a5, a6, a7);
    float* out = half + i * lanes;
    hn::Store(a0, d, out), hn::Store(a1, d, out + 8 * lanes), hn::Store(a2, d, out + 16 * lanes);
    hn::Store(a3, d, out + 24 * lanes), hn::Store(a4, d, out + 32 * lanes), hn::Store(a5, d, out + 40 * lanes);
    hn::Store(a6, d, out + 48 * lanes), hn::Store(a7, d, out + 56 * lanes);
  }
}

// Puts the lanes of `scores` above the row's threshold into its list. Rare, so kept out of the loop.
HWY_NOINLINE void collect(V scores, std::int32_t column, float window, float& threshold, RowList& list) {
  const D d;
  HWY_ALIGN float lane[hn::MaxLanes(D())];
  hn::Store(scores, d, lane);
  for (std::size_t l = 0; l < hn::Lanes(d); ++l) {
    if (lane[l] > threshold) list.insert(lane[l], column + static_cast<std::int32_t>(l), window, threshold);
  }
}

HWY_INLINE void visit(V s, V threshold, std::int32_t column, float window, Index row, RoundState& state) {
  const D d;
  if (HWY_UNLIKELY(!hn::AllFalse(d, hn::Gt(s, threshold)))) {
    collect(s, column, window, state.threshold[row], state.lists[static_cast<std::size_t>(row)]);
  }
}

// What is added to the scores of a block of columns: a bias, and a penalty where the row's label is another.
struct Plain {
  V bias;
  HWY_INLINE V operator()(V s, std::int32_t) const { return hn::Add(s, bias); }
};
struct Labelled {
  V bias, penalised;
  hn::Vec<hn::RebindToSigned<D>> labels;
  HWY_INLINE V operator()(V s, std::int32_t label) const {
    const D d;
    const auto same = hn::RebindMask(d, hn::Eq(labels, hn::Set(hn::RebindToSigned<D>(), label)));
    return hn::Add(s, hn::IfThenElse(same, bias, penalised));
  }
};

// One block of columns, one round: transform the raw scores of 64 rows, add the bias, keep what passes the thresholds.
template <class Bias>
HWY_INLINE void scan_round(const float* x, Index stride, const Bias& biased, std::int32_t column, float window,
                           float* half, RoundState& state) {
  const D d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  first_half(x, stride, state.signs, half);
  for (Index i = 0; i < 64; i += 8) {
    const float* in = half + i * lanes;
    V a0 = hn::Load(d, in), a1 = hn::Load(d, in + lanes), a2 = hn::Load(d, in + 2 * lanes),
      a3 = hn::Load(d, in + 3 * lanes), a4 = hn::Load(d, in + 4 * lanes), a5 = hn::Load(d, in + 5 * lanes),
      a6 = hn::Load(d, in + 6 * lanes), a7 = hn::Load(d, in + 7 * lanes);
    hadamard8(a0, a1, a2, a3, a4, a5, a6, a7);
    const float* t = state.threshold + i;
    const auto limit = [&](Index j) { return hn::Set(d, t[j]); };
    const std::int32_t* l = state.label + i;
    a0 = biased(a0, l[0]), a1 = biased(a1, l[1]), a2 = biased(a2, l[2]), a3 = biased(a3, l[3]);
    a4 = biased(a4, l[4]), a5 = biased(a5, l[5]), a6 = biased(a6, l[6]), a7 = biased(a7, l[7]);
    const auto any = hn::Or(
        hn::Or(hn::Or(hn::Gt(a0, limit(0)), hn::Gt(a1, limit(1))), hn::Or(hn::Gt(a2, limit(2)), hn::Gt(a3, limit(3)))),
        hn::Or(hn::Or(hn::Gt(a4, limit(4)), hn::Gt(a5, limit(5))), hn::Or(hn::Gt(a6, limit(6)), hn::Gt(a7, limit(7)))));
    if (HWY_LIKELY(hn::AllFalse(d, any))) continue;
    visit(a0, limit(0), column, window, i, state), visit(a1, limit(1), column, window, i + 1, state);
    visit(a2, limit(2), column, window, i + 2, state), visit(a3, limit(3), column, window, i + 3, state);
    visit(a4, limit(4), column, window, i + 4, state), visit(a5, limit(5), column, window, i + 5, state);
    visit(a6, limit(6), column, window, i + 6, state), visit(a7, limit(7), column, window, i + 7, state);
  }
}

template <class Bias>
HWY_INLINE void scan_block(const float* x, Index stride, const Bias& biased, std::int32_t column, float window,
                           Index rounds, float* half, RoundState* states) {
  const D d;
  for (Index r = 0; r < rounds; ++r) scan_round(x, stride, biased, column, window, half, states[r]);
  if (rounds > 0) return;
  for (Index i = 0; i < group_rows; ++i) {
    const V s = biased(hn::LoadU(d, x + i * stride), states->label[i]);
    visit(s, hn::Set(d, states->threshold[i]), column, window, i, *states);
  }
}

// All rounds of one group over a tile of raw scores (64 x columns, both padded to whole vectors; padding has bias
// -inf).
void scan_tile(const float* x, Index stride, Index columns, const Columns& c, std::int32_t first_column, float window,
               Index rounds, RoundState* states) {
  const D d;
  const hn::RebindToSigned<D> di;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  HWY_ALIGN float half[64 * hn::MaxLanes(D())];
  for (Index k = 0; k < columns; k += lanes) {
    const V bias = hn::LoadU(d, c.bias + k);
    const auto column = first_column + static_cast<std::int32_t>(k);
    if (c.labels) {
      const Labelled biased{bias, hn::Sub(bias, hn::Set(d, c.penalty)), hn::LoadU(di, c.labels + k)};
      scan_block(x + k, stride, biased, column, window, rounds, half, states);
    } else {
      scan_block(x + k, stride, Plain{bias}, column, window, rounds, half, states);
    }
  }
}

// out = H D x / 8 for 64 rows of `columns` elements.
void transform_rows(const float* x, Index stride, Index columns, const SignMask& signs, float* out, Index out_stride) {
  const D d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  HWY_ALIGN float half[64 * hn::MaxLanes(D())];
  HWY_ALIGN float edge[64 * hn::MaxLanes(D())];
  const V eighth = hn::Set(d, 0.125f);
  for (Index c = 0; c < columns; c += lanes) {
    const Index width = std::min(lanes, columns - c);
    const float* source = x + c;
    Index source_stride = stride;
    if (width < lanes) {  // the last, partial block goes through a padded copy
      for (Index i = 0; i < group_rows; ++i) {
        for (Index l = 0; l < lanes; ++l) edge[i * lanes + l] = l < width ? x[i * stride + c + l] : 0.0f;
      }
      source = edge;
      source_stride = lanes;
    }
    first_half(source, source_stride, signs, half);
    for (Index i = 0; i < 64; i += 8) {
      V a[8];
      for (Index j = 0; j < 8; ++j) a[j] = hn::Load(d, half + (i + j) * lanes);
      hadamard8(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
      for (Index j = 0; j < 8; ++j) {
        HWY_ALIGN float lane[hn::MaxLanes(D())];
        hn::Store(hn::Mul(a[j], eighth), d, lane);
        std::copy_n(lane, width, out + (i + j) * out_stride + c);
      }
    }
  }
}

}  // namespace monge::ot::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot {
namespace {

HWY_EXPORT(scan_tile);
HWY_EXPORT(transform_rows);

constexpr Index tile_columns = 512;
constexpr Index tile_stride = tile_columns + 16;  // off the power of two, or all rows fall into one cache set
constexpr Index task_groups = 2;                  // groups that share a GEMM call

SignMask sign_mask(const Rng& signs, std::uint64_t block) {
  const Rng::Block words = signs.bits(block);
  SignMask mask;
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = ((words.w[i / 32] >> (i % 32)) & 1u) << 31;
  return mask;
}

void report(RowList& list, float threshold, VectorView<float> scores, VectorView<std::int32_t> columns) {
  list.prune(threshold);
  std::array<int, RowList::capacity> order;
  for (int i = 0; i < list.count; ++i) order[static_cast<std::size_t>(i)] = i;
  std::sort(order.begin(), order.begin() + list.count, [&](int a, int b) {
    return list.score[a] != list.score[b] ? list.score[a] > list.score[b] : list.column[a] < list.column[b];
  });
  for (Index k = 0; k < scores.size; ++k) {
    const bool used = k < list.count;
    const int i = used ? order[static_cast<std::size_t>(k)] : 0;
    scores[k] = used ? list.score[i] : -std::numeric_limits<float>::infinity();
    columns[k] = used ? list.column[i] : -1;
  }
}

struct Scratch {
  Buffer<float> tile{task_groups * group_rows * tile_stride};
  std::vector<RoundState> states;
  cpu::Digits digits;  // of the rows of x
};

void scan_groups(const Recombination& r, Index first, Index count, const Columns& atoms, Scratch& scratch,
                 MatrixView<float> scores, MatrixView<std::int32_t> columns) {
  const Index sets = r.sets();
  scratch.states.resize(static_cast<std::size_t>(count * sets));
  for (Index q = 0; q < count; ++q) {
    for (Index k = 0; k < sets; ++k) {
      RoundState& state = scratch.states[static_cast<std::size_t>(q * sets + k)];
      std::fill_n(state.threshold, group_rows, -std::numeric_limits<float>::infinity());
      state.signs = sign_mask(r.signs, (r.first_group + static_cast<std::uint64_t>(first + q)) * sets + k);
      for (RowList& list : state.lists) list.count = 0;
      if (atoms.labels) std::copy_n(r.row_labels.data + ((first + q) * sets + k) * group_rows, group_rows, state.label);
    }
  }
  const float scale = r.rounds > 0 ? 0.125f : 1.0f;
  const Index rows = count * group_rows;
  float* tile = scratch.tile.data();
  const MatrixView<const float> x = r.x.rows_from(first * group_rows, rows);
  const cpu::Digits* const digits = cpu::digits_of(r.y_ready);
  if (digits) {
    if (scratch.digits.rows() == 0) scratch.digits = {cpu::Digits::Operand::left, task_groups * group_rows, x.cols};
    scratch.digits.read(x, 0);
  }
  for (Index c = 0; c < r.y.rows; c += tile_columns) {
    const Index width = std::min(tile_columns, r.y.rows - c);
    const Index padded = (width + 15) / 16 * 16;
    if (digits)
      cpu::digit_products(scale, scratch.digits, 0, rows, *digits, c, width, tile, tile_stride);
    else
      cpu::gemm(scale, x, r.y.rows_from(c, width), tile, tile_stride);
    for (Index i = 0; i < rows && padded > width; ++i) {
      std::fill(tile + i * tile_stride + width, tile + i * tile_stride + padded, 0.0f);
    }
    for (Index q = 0; q < count; ++q) {
      HWY_DYNAMIC_DISPATCH(scan_tile)
      (tile + q * group_rows * tile_stride, tile_stride, padded, atoms.from(c), static_cast<std::int32_t>(c), r.window,
       r.rounds, &scratch.states[static_cast<std::size_t>(q * sets)]);
    }
  }
  for (Index row = 0; row < rows * sets; ++row) {
    RoundState& state = scratch.states[static_cast<std::size_t>(row / group_rows)];
    const Index lane = row % group_rows, out = first * group_rows * sets + row;
    report(state.lists[static_cast<std::size_t>(lane)], state.threshold[lane], {scores.row(out), scores.cols},
           {columns.row(out), columns.cols});
  }
}

}  // namespace

void recombined_candidates(const Recombination& r, MatrixView<float> scores, MatrixView<std::int32_t> columns,
                           const Context& context) {
  require(r.x.rows % group_rows == 0, "recombined_candidates: ", r.x.rows, " rows are no whole groups of ", group_rows);
  require(r.x.cols == r.y.cols && r.v.size == r.y.rows, "recombined_candidates: x is ", r.x.rows, " x ", r.x.cols,
          ", y ", r.y.rows, " x ", r.y.cols, ", with ", r.v.size, " biases");
  require(scores.rows == r.rows() && columns.rows == r.rows() && scores.cols == columns.cols &&
              scores.cols <= RowList::capacity,
          "recombined_candidates: room for ", scores.rows, " x ", scores.cols, " scores and ", columns.rows, " x ",
          columns.cols, " columns, expected ", r.rows(), " rows of at most ", RowList::capacity);
  require(!r.is_labelled() || (r.row_labels.size == r.rows() && r.col_labels.size == r.y.rows),
          "recombined_candidates: ", r.row_labels.size, " labels for ", r.rows(), " rows, ", r.col_labels.size, " for ",
          r.y.rows, " atoms");
  backend_for(context.device).recombine(r, scores, columns, context);
}

void cpu::recombine(const Recombination& r, MatrixView<float> scores, MatrixView<std::int32_t> columns,
                    const Context& context) {
  std::vector<float> bias(static_cast<std::size_t>(r.y.rows) + 16, -std::numeric_limits<float>::infinity());
  std::copy_n(r.v.data, r.y.rows, bias.begin());
  Columns atoms{.bias = bias.data()};
  std::vector<std::int32_t> labels;
  if (r.is_labelled()) {
    labels.assign(bias.size(), 0);
    std::copy_n(r.col_labels.data, r.y.rows, labels.begin());
    atoms.labels = labels.data();
    atoms.penalty = r.label_penalty;
  }
  const Index groups = r.groups(), tasks = (groups + task_groups - 1) / task_groups;
  std::vector<Scratch> scratch(static_cast<std::size_t>(resolve_threads(context.threads)));
  parallel_for(context.threads, tasks, [&](Index task, int worker) {
    if (context.stop) context.stop->look();
    const Index first = task * task_groups;
    scan_groups(r, first, std::min(task_groups, groups - first), atoms, scratch[static_cast<std::size_t>(worker)],
                scores, columns);
  });
}

void recombined_noise(MatrixView<const float> x, const Rng& signs, std::uint64_t block, MatrixView<float> out) {
  HWY_DYNAMIC_DISPATCH(transform_rows)
  (x.data, x.stride, x.cols, sign_mask(signs, block), out.data, out.stride);
}

}  // namespace monge::ot
#endif
