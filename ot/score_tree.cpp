#include "monge/ot/score_tree.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/score_tree.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#ifndef MONGE_OT_SCORE_TREE_SHARED
#define MONGE_OT_SCORE_TREE_SHARED
namespace monge::ot {

inline constexpr Index kBlock = 16;  // atoms of a block: a multiple of any vector
inline constexpr Index kLeaf = 64;   // atoms that are looked at together

// The best scores of a row so far, the lower column before its equals.
template <class S>
struct Best {
  S* values;
  std::int32_t* columns;
  Index capacity, count = 0;

  // What a score must be to get in, or tie.
  S limit(S window) const {
    if (count == 0) return -std::numeric_limits<S>::infinity();
    const S near = values[0] - window;
    return count < capacity ? near : std::max(near, values[count - 1]);
  }
  void insert(S score, std::int32_t column) {
    const auto precedes = [&](Index at) { return score > values[at] || (score == values[at] && column < columns[at]); };
    if (count == capacity && !precedes(count - 1)) return;
    Index at = count < capacity ? count++ : count - 1;
    for (; at > 0 && precedes(at - 1); --at) {
      values[at] = values[at - 1];
      columns[at] = columns[at - 1];
    }
    values[at] = score;
    columns[at] = column;
  }
  void finish(S window) {
    while (count > 1 && values[count - 1] < values[0] - window) --count;
    std::fill(values + count, values + capacity, -std::numeric_limits<S>::infinity());
    std::fill(columns + count, columns + capacity, -1);
  }
};

}  // namespace monge::ot
#endif

HWY_BEFORE_NAMESPACE();
namespace monge::ot::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <int d>
class Search {
 public:
  using S = std::conditional_t<d == 1, double, float>;  // of scores

  Search(const ScoreTree::Part& part, float window, const Best<S>& best) : part_(part), window_(window), best_(best) {}

  void run(const float* x) {
    double wide[d], square = 0;
    for (int k = 0; k < d; ++k) {
      x_[k] = static_cast<S>(x[k]), wide[k] = static_cast<double>(x[k]);
      square += wide[k] * wide[k];
    }
    // Each of the d roundings of a score is off by no more than so much; doubled.
    constexpr double u = std::numeric_limits<S>::epsilon(), most = 0.1 * std::numeric_limits<S>::max();
    const double size = std::sqrt(square) * part_.largest + part_.highest;
    slack_ = size < most ? (d + 2) * u * size + part_.tree.slack() + 1e-37 : HUGE_VAL;
    part_.tree.walk<d>(wide, 0, *this);
    best_.finish(window_);
  }

  void look_at(Index first, Index count) {
    const hn::CappedTag<S, kBlock> tag;
    const Index lanes = static_cast<Index>(hn::Lanes(tag));
    HWY_ALIGN S scores[kLeaf];
    auto top = hn::Set(tag, -std::numeric_limits<S>::infinity());
    for (Index c = 0; c < count; c += kBlock) {
      const S* y = blocks() + (first + c) * (d + 1);
      for (Index l = 0; l < kBlock; l += lanes) {  // as the pass over all scores does it, operation by operation
        auto sum = hn::Mul(hn::Set(tag, x_[0]), hn::Load(tag, y + l));
        for (int k = 1; k < d; ++k) sum = hn::MulAdd(hn::Set(tag, x_[k]), hn::Load(tag, y + k * kBlock + l), sum);
        sum = hn::Add(sum, hn::Load(tag, y + d * kBlock + l));
        hn::Store(sum, tag, scores + c + l);
        top = hn::Max(top, sum);
      }
    }
    const S highest = hn::GetLane(hn::MaxOfLanes(tag, top));
    if (highest < limit_) return;
    limit_ = std::max(limit_, highest - window_);
    for (Index c = 0; c < count; c += lanes) {
      if (hn::AllFalse(tag, hn::Ge(hn::Load(tag, scores + c), hn::Set(tag, limit_)))) continue;
      for (Index j = c; j < std::min(c + lanes, count); ++j)
        if (scores[j] >= limit_) best_.insert(scores[j], part_.column[static_cast<std::size_t>(first + j)]);
    }
    limit_ = best_.limit(window_);
    least = static_cast<double>(limit_) - slack_;
  }

  double least = -HUGE_VAL;

 private:
  const S* blocks() const {
    if constexpr (d == 1)
      return part_.line.data();
    else
      return part_.blocks.data();
  }

  const ScoreTree::Part& part_;
  S window_, x_[d], limit_ = -std::numeric_limits<S>::infinity();
  double slack_ = 0;
  Best<S> best_;
};

template <int d>
void search_in(const ScoreTree::Part& part, const float* x, float window, const Best<float>& best) {
  Search<d>(part, window, best).run(x);
}

void search_line(const ScoreTree::Part& part, const float* x, float window, const Best<float>& best) {
  thread_local std::vector<double> scores;
  scores.resize(static_cast<std::size_t>(best.capacity));
  Search<1>(part, window, {scores.data(), best.columns, best.capacity}).run(x);
  std::transform(scores.begin(), scores.end(), best.values, [](double s) { return static_cast<float>(s); });
}

void search(const ScoreTree::Part& part, const float* x, Index dims, float window, const Best<float>& best) {
  switch (dims) {
    case 1:
      return search_line(part, x, window, best);
    case 2:
      return search_in<2>(part, x, window, best);
    case 3:
      return search_in<3>(part, x, window, best);
    case 4:
      return search_in<4>(part, x, window, best);
    case 5:
      return search_in<5>(part, x, window, best);
    case 6:
      return search_in<6>(part, x, window, best);
    case 7:
      return search_in<7>(part, x, window, best);
    case 8:
      return search_in<8>(part, x, window, best);
  }
}

}  // namespace monge::ot::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot {
namespace {

HWY_EXPORT(search);

// Of coordinate k of atom i; d: of its bias.
Index place_in_blocks(Index i, Index k, Index d) { return i / kBlock * kBlock * (d + 1) + k * kBlock + i % kBlock; }

ScoreTree::Part make_part(std::int32_t label, std::vector<std::int32_t> members, MatrixView<const float> y,
                          VectorView<const double> line, const Context& context) {
  const Index n = static_cast<Index>(members.size()), d = y.cols;
  const auto wide = [&](const std::vector<std::int32_t>& rows) {
    Matrix<double> points(n, d);
    for (Index i = 0; i < n; ++i)
      for (Index k = 0; k < d; ++k) {
        const std::int32_t j = rows[static_cast<std::size_t>(i)];
        points(i, k) = line.empty() ? static_cast<double>(y(j, k)) : line[j];
      }
    return points;
  };
  const Matrix<double> scattered = wide(members);
  std::vector<std::int32_t> column;
  for (const std::int32_t place : detail::kd_order(scattered.view(), kLeaf, context))
    column.push_back(members[static_cast<std::size_t>(place)]);
  Matrix<double> points = wide(column);
  double largest = 0;
  for (Index i = 0; i < n; ++i) {
    double square = 0;
    for (Index k = 0; k < d; ++k) square += points(i, k) * points(i, k);
    largest = std::max(largest, std::sqrt(square));
  }
  detail::KdTree tree(std::as_const(points).view(), kLeaf);
  ScoreTree::Part part{label, std::move(column), std::move(points), std::move(tree), {}, {}, largest};
  const auto lay_out = [&]<class S>(Buffer<S>& blocks) {
    blocks = Buffer<S>((n + kBlock - 1) / kBlock * kBlock * (d + 1));
    std::fill_n(blocks.data(), blocks.size(), S(0));
    for (Index i = 0; i < n; ++i)
      for (Index k = 0; k < d; ++k) blocks[place_in_blocks(i, k, d)] = static_cast<S>(part.points(i, k));
  };
  d == 1 ? lay_out(part.line) : lay_out(part.blocks);
  return part;
}

template <class S>
void set_biases_of(Buffer<S>& blocks, const std::vector<double>& w, Index d) {
  const Index n = static_cast<Index>(w.size());
  for (Index i = 0; i < (n + kBlock - 1) / kBlock * kBlock; ++i)
    blocks[place_in_blocks(i, d, d)] =
        i < n ? static_cast<S>(w[static_cast<std::size_t>(i)]) : -std::numeric_limits<S>::infinity();
}

}  // namespace

bool ScoreTree::pays(Index atoms, Index dims) {
  constexpr Index from[] = {0, 2, 1024, 1024, 2048, 4096, 8192, 16384, 16384};
  return dims > 0 && dims <= detail::KdTree::most_dims && atoms >= from[dims];
}

ScoreTree::ScoreTree(MatrixView<const float> y, VectorView<const std::int32_t> labels, const Context& context,
                     VectorView<const double> line)
    : labelled_(!labels.empty()) {
  std::vector<std::int32_t> all(static_cast<std::size_t>(y.rows));
  for (Index j = 0; j < y.rows; ++j) all[static_cast<std::size_t>(j)] = static_cast<std::int32_t>(j);
  if (labelled_)
    std::stable_sort(all.begin(), all.end(), [&](std::int32_t a, std::int32_t b) { return labels[a] < labels[b]; });
  for (auto begin = all.begin(); begin != all.end();) {
    auto end = all.end();
    if (labelled_) end = std::find_if(begin, all.end(), [&](std::int32_t j) { return labels[j] != labels[*begin]; });
    parts_.push_back(make_part(labelled_ ? labels[*begin] : 0, {begin, end}, y, line, context));
    begin = end;
  }
}

void ScoreTree::set_biases(VectorView<const double> v, const Context& context) {
  for (Part& part : parts_) {
    const Index d = part.points.cols();
    std::vector<double> w;
    part.highest = 0;
    for (const std::int32_t j : part.column) {
      w.push_back(d == 1 ? v[j] : static_cast<double>(static_cast<float>(v[j])));
      if (w.back() > -HUGE_VAL) part.highest = std::max(part.highest, std::abs(w.back()));
    }
    part.tree.weigh(w, context);
    d == 1 ? set_biases_of(part.line, w, d) : set_biases_of(part.blocks, w, d);
  }
}

void ScoreTree::set_biases(VectorView<const float> v, const Context& context) {
  set_biases(std::vector<double>(v.begin(), v.end()), context);
}

const ScoreTree::Part* ScoreTree::part_of(std::int32_t label) const {
  if (!labelled_) return &parts_.front();
  const auto at =
      std::lower_bound(parts_.begin(), parts_.end(), label, [](const Part& p, std::int32_t l) { return p.label < l; });
  return at != parts_.end() && at->label == label ? &*at : nullptr;
}

void ScoreTree::find(MatrixView<const float> x, VectorView<const std::int32_t> row_labels, float window,
                     MatrixView<float> values, MatrixView<std::int32_t> columns, const Context& context) const {
  constexpr Index tile = 64;
  if (values.cols == 1) window = 0;
  parallel_for(threads_worth(context.threads, 200 * x.rows), (x.rows + tile - 1) / tile, [&](Index t, int) {
    if (context.stop) context.stop->look();
    for (Index i = t * tile; i < std::min(x.rows, (t + 1) * tile); ++i) {
      Best<float> best{values.row(i), columns.row(i), values.cols};
      const Part* part = part_of(labelled_ ? row_labels[i] : 0);
      if (part)
        HWY_DYNAMIC_DISPATCH(search)(*part, x.row(i), x.cols, window, best);
      else
        best.finish(window);
    }
  });
}

}  // namespace monge::ot
#endif
