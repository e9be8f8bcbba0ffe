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
struct Best {
  double* values;
  std::int32_t* columns;
  Index capacity, count = 0;

  // What a score must be to get in, or tie.
  double limit(double window) const {
    if (count == 0) return -HUGE_VAL;
    const double near = values[0] - window;
    return count < capacity ? near : std::max(near, values[count - 1]);
  }
  void insert(double score, std::int32_t column) {
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
  void finish(double window) {
    while (count > 1 && values[count - 1] < values[0] - window) --count;
    std::fill(values + count, values + capacity, -HUGE_VAL);
    std::fill(columns + count, columns + capacity, -1);
  }
};

}  // namespace monge::ot
#endif

HWY_BEFORE_NAMESPACE();
namespace monge::ot::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<double, kBlock>;

// How far roundings of a score may take it from its bound; doubled.
template <int d>
double slack_of(const ScoreTree::Part& part, const double* x) {
  double square = 0;
  for (int k = 0; k < d; ++k) square += x[k] * x[k];
  constexpr double u = std::numeric_limits<double>::epsilon();
  return (d + 2) * u * (std::sqrt(square) * part.largest + part.highest) + part.tree.slack() + 1e-300;
}

// Scores of as many atoms as a vector holds; y: where a block has the first one's coordinates.
template <int d>
hn::Vec<Tag> scores_at(const double* x, const double* y) {
  const Tag tag;
  auto sum = hn::Mul(hn::Set(tag, x[0]), hn::Load(tag, y));
  for (int k = 1; k < d; ++k) sum = hn::MulAdd(hn::Set(tag, x[k]), hn::Load(tag, y + k * kBlock), sum);
  return hn::Add(sum, hn::Load(tag, y + d * kBlock));
}

// The best within a window below the very best.
template <int d>
class Search {
 public:
  Search(const ScoreTree::Part& part, const double* x, double window, const Best& best)
      : part_(part), x_(x), window_(window), best_(best), slack_(slack_of<d>(part, x)) {}

  void run() {
    part_.tree.walk<d>(x_, 0, *this);
    best_.finish(window_);
  }

  void look_at(Index first, Index count) {
    const Tag tag;
    const Index lanes = static_cast<Index>(hn::Lanes(tag));
    HWY_ALIGN double scores[kLeaf];
    auto top = hn::Set(tag, -HUGE_VAL);
    for (Index c = 0; c < count; c += kBlock) {
      const double* y = part_.blocks.data() + (first + c) * (d + 1);
      for (Index l = 0; l < kBlock; l += lanes) {
        const auto sum = scores_at<d>(x_, y + l);
        hn::Store(sum, tag, scores + c + l);
        top = hn::Max(top, sum);
      }
    }
    const double highest = hn::GetLane(hn::MaxOfLanes(tag, top));
    if (highest < limit_) return;
    limit_ = std::max(limit_, highest - window_);
    for (Index c = 0; c < count; c += lanes) {
      if (hn::AllFalse(tag, hn::Ge(hn::Load(tag, scores + c), hn::Set(tag, limit_)))) continue;
      for (Index j = c; j < std::min(c + lanes, count); ++j)
        if (scores[j] >= limit_) best_.insert(scores[j], part_.column[static_cast<std::size_t>(first + j)]);
    }
    limit_ = best_.limit(window_);
    least = limit_ - slack_;
  }

  double least = -HUGE_VAL;

 private:
  const ScoreTree::Part& part_;
  const double* x_;
  double window_, limit_ = -HUGE_VAL;
  Best best_;
  double slack_;
};

// Those whose border with the best is near. The list's first value is the best's score; own: where it is.
template <int d>
class NearSearch {
 public:
  NearSearch(const ScoreTree::Part& part, const double* x, const double* own, double width, const Best& best)
      : part_(part),
        x_(x),
        own_(own),
        width_(width),
        highest_(best.values[0]),
        best_(best),
        slack_(slack_of<d>(part, x)) {}

  void run() {
    part_.tree.walk<d>(x_, 0, *this);
    best_.finish(HUGE_VAL);
  }

  bool may_be(Index node, double bound) const {
    const double below = highest_ - slack_ - bound;
    return below <= 0 || below * below <= width_ * width_ * part_.tree.farthest_square<d>(own_, node);
  }

  void look_at(Index first, Index count) {
    const Tag tag;
    const Index lanes = static_cast<Index>(hn::Lanes(tag));
    for (Index c = 0; c < count; c += kBlock) {
      const double* y = part_.blocks.data() + (first + c) * (d + 1);
      for (Index l = 0; l < kBlock; l += lanes) {
        const auto score = scores_at<d>(x_, y + l);
        const auto below = hn::Sub(hn::Set(tag, highest_), score);
        auto square = hn::Zero(tag);
        for (int k = 0; k < d; ++k) {
          const auto from = hn::Sub(hn::Load(tag, y + k * kBlock + l), hn::Set(tag, own_[k]));
          square = hn::MulAdd(from, from, square);
        }
        const auto near = hn::Le(hn::Mul(below, below), hn::Mul(hn::Set(tag, width_ * width_), square));
        if (hn::AllFalse(tag, near)) continue;
        HWY_ALIGN double scores[kBlock], is_near[kBlock];
        hn::Store(score, tag, scores);
        hn::Store(hn::IfThenElseZero(near, hn::Set(tag, 1.0)), tag, is_near);
        for (Index j = 0; j < std::min(lanes, count - c - l); ++j)
          if (is_near[j] > 0) best_.insert(scores[j], part_.column[static_cast<std::size_t>(first + c + l + j)]);
      }
    }
  }

 private:
  const ScoreTree::Part& part_;
  const double *x_, *own_;
  double width_, highest_;
  Best best_;
  double slack_;
};

// Calls run(std::integral_constant<int, dims>).
template <class Run>
void for_dimensions(Index dims, const Run& run) {
  switch (dims) {
    case 1:
      return run(std::integral_constant<int, 1>());
    case 2:
      return run(std::integral_constant<int, 2>());
    case 3:
      return run(std::integral_constant<int, 3>());
    case 4:
      return run(std::integral_constant<int, 4>());
    case 5:
      return run(std::integral_constant<int, 5>());
    case 6:
      return run(std::integral_constant<int, 6>());
    case 7:
      return run(std::integral_constant<int, 7>());
    case 8:
      return run(std::integral_constant<int, 8>());
  }
}

void search(const ScoreTree::Part& part, const double* x, Index dims, double window, const Best& best) {
  for_dimensions(dims, [&](auto d) { Search<d>(part, x, window, best).run(); });
}

void search_near(const ScoreTree::Part& part, const double* x, const double* own, Index dims, double width,
                 const Best& best) {
  for_dimensions(dims, [&](auto d) { NearSearch<d>(part, x, own, width, best).run(); });
}

}  // namespace monge::ot::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot {
namespace {

HWY_EXPORT(search);
HWY_EXPORT(search_near);

// Of coordinate k of atom i; d: of its bias.
Index place_in_blocks(Index i, Index k, Index d) { return i / kBlock * kBlock * (d + 1) + k * kBlock + i % kBlock; }

template <class T>
ScoreTree::Part make_part(std::int32_t label, std::vector<std::int32_t> members, MatrixView<const T> y,
                          const Context& context) {
  const Index n = static_cast<Index>(members.size()), d = y.cols;
  const auto gather = [&](const std::vector<std::int32_t>& rows) {
    Matrix<double> points(n, d);
    for (Index i = 0; i < n; ++i) std::copy_n(y.row(rows[static_cast<std::size_t>(i)]), d, points.view().row(i));
    return points;
  };
  const Matrix<double> scattered = gather(members);
  std::vector<std::int32_t> column;
  for (const std::int32_t place : detail::kd_order(scattered.view(), kLeaf, context))
    column.push_back(members[static_cast<std::size_t>(place)]);
  Matrix<double> points = gather(column);
  double largest = 0;
  for (Index i = 0; i < n; ++i) {
    double square = 0;
    for (Index k = 0; k < d; ++k) square += points(i, k) * points(i, k);
    largest = std::max(largest, std::sqrt(square));
  }
  detail::KdTree tree(std::as_const(points).view(), kLeaf);
  ScoreTree::Part part{label, std::move(column), std::move(points), std::move(tree), {}, largest};
  part.blocks = Buffer<double>((n + kBlock - 1) / kBlock * kBlock * (d + 1));
  std::fill_n(part.blocks.data(), part.blocks.size(), 0.0);
  for (Index i = 0; i < n; ++i)
    for (Index k = 0; k < d; ++k) part.blocks[place_in_blocks(i, k, d)] = part.points(i, k);
  return part;
}

}  // namespace

bool ScoreTree::pays(Index atoms, Index dims) { return dims > 0 && dims <= detail::KdTree::most_dims && atoms >= 2; }

ScoreTree::ScoreTree(MatrixView<const double> y, VectorView<const std::int32_t> labels, const Context& context)
    : labelled_(!labels.empty()) {
  build(y, labels, context);
}

ScoreTree::ScoreTree(MatrixView<const float> y, VectorView<const std::int32_t> labels, const Context& context)
    : labelled_(!labels.empty()) {
  build(y, labels, context);
}

template <class T>
void ScoreTree::build(MatrixView<const T> y, VectorView<const std::int32_t> labels, const Context& context) {
  place_.resize(static_cast<std::size_t>(y.rows));
  std::vector<std::int32_t> all(static_cast<std::size_t>(y.rows));
  for (Index j = 0; j < y.rows; ++j) all[static_cast<std::size_t>(j)] = static_cast<std::int32_t>(j);
  if (labelled_)
    std::stable_sort(all.begin(), all.end(), [&](std::int32_t a, std::int32_t b) { return labels[a] < labels[b]; });
  for (auto begin = all.begin(); begin != all.end();) {
    auto end = all.end();
    if (labelled_) end = std::find_if(begin, all.end(), [&](std::int32_t j) { return labels[j] != labels[*begin]; });
    parts_.push_back(make_part(labelled_ ? labels[*begin] : 0, {begin, end}, y, context));
    for (Index place = 0; const std::int32_t j : parts_.back().column) place_[static_cast<std::size_t>(j)] = place++;
    begin = end;
  }
}

void ScoreTree::set_biases(VectorView<const double> v, const Context& context) {
  for (Part& part : parts_) {
    const Index d = part.points.cols(), n = part.points.rows();
    std::vector<double> w;
    part.highest = 0;
    for (const std::int32_t j : part.column) {
      w.push_back(v[j]);
      if (w.back() > -HUGE_VAL) part.highest = std::max(part.highest, std::abs(w.back()));
    }
    part.tree.weigh(w, context);
    for (Index i = 0; i < (n + kBlock - 1) / kBlock * kBlock; ++i)
      part.blocks[place_in_blocks(i, d, d)] = i < n ? w[static_cast<std::size_t>(i)] : -HUGE_VAL;
  }
}

const ScoreTree::Part* ScoreTree::part_of(std::int32_t label) const {
  if (!labelled_) return &parts_.front();
  const auto at =
      std::lower_bound(parts_.begin(), parts_.end(), label, [](const Part& p, std::int32_t l) { return p.label < l; });
  return at != parts_.end() && at->label == label ? &*at : nullptr;
}

template <class T, class Search>
void ScoreTree::for_rows(MatrixView<const T> x, VectorView<const std::int32_t> row_labels, MatrixView<double> values,
                         MatrixView<std::int32_t> columns, const Context& context, const Search& search) const {
  constexpr Index tile = 64;
  parallel_for(threads_worth(context.threads, 200 * x.rows), (x.rows + tile - 1) / tile, [&](Index t, int) {
    if (context.stop) context.stop->look();
    for (Index i = t * tile; i < std::min(x.rows, (t + 1) * tile); ++i) {
      Best best{values.row(i), columns.row(i), values.cols};
      double at[detail::KdTree::most_dims];
      std::copy_n(x.row(i), x.cols, at);
      if (const Part* part = part_of(labelled_ ? row_labels[i] : 0))
        search(*part, at, best);
      else
        best.finish(HUGE_VAL);
    }
  });
}

void ScoreTree::find(MatrixView<const double> x, VectorView<const std::int32_t> row_labels, double window,
                     MatrixView<double> values, MatrixView<std::int32_t> columns, const Context& context) const {
  for_rows(x, row_labels, values, columns, context, [&](const Part& part, const double* at, Best& best) {
    HWY_DYNAMIC_DISPATCH(search)(part, at, x.cols, values.cols == 1 ? 0 : window, best);
  });
}

void ScoreTree::find(MatrixView<const float> x, VectorView<const std::int32_t> row_labels, double window,
                     MatrixView<double> values, MatrixView<std::int32_t> columns, const Context& context) const {
  for_rows(x, row_labels, values, columns, context, [&](const Part& part, const double* at, Best& best) {
    HWY_DYNAMIC_DISPATCH(search)(part, at, x.cols, values.cols == 1 ? 0 : window, best);
  });
}

void ScoreTree::find_near(MatrixView<const float> x, VectorView<const std::int32_t> row_labels, double width,
                          MatrixView<double> values, MatrixView<std::int32_t> columns, const Context& context) const {
  for_rows(x, row_labels, values, columns, context, [&](const Part& part, const double* at, Best& best) {
    HWY_DYNAMIC_DISPATCH(search)(part, at, x.cols, 0, {best.values, best.columns, 1});
    if (best.columns[0] < 0) return best.finish(width);
    const Index own = place_[static_cast<std::size_t>(best.columns[0])];
    HWY_DYNAMIC_DISPATCH(search_near)(part, at, part.points.view().row(own), x.cols, width, best);
  });
}

}  // namespace monge::ot
#endif
