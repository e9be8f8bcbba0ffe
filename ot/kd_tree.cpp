#include "monge/ot/kd_tree.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "monge/ot/core/parallel.h"

namespace monge::ot::detail {
namespace {

constexpr Index kTwig = 1024;  // points of nodes that are fitted one by one
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The largest power of two below count: what goes to the left.
Index left_of(Index count) {
  Index left = 1;
  while (2 * left < count) left *= 2;
  return left;
}

Index widest(MatrixView<const double> points, const std::int32_t* order, Index count) {
  Index best = 0;
  double range = -1;
  for (Index k = 0; k < points.cols; ++k) {
    double low = kInfinity, high = -kInfinity;
    for (Index p = 0; p < count; ++p) {
      low = std::min(low, points(order[p], k));
      high = std::max(high, points(order[p], k));
    }
    if (high - low > range) range = high - low, best = k;
  }
  return best;
}

void halve(MatrixView<const double> points, std::int32_t* order, Index count, Index left) {
  const Index k = widest(points, order, count);
  std::nth_element(order, order + left, order + count, [&](std::int32_t a, std::int32_t b) {
    return points(a, k) < points(b, k) || (points(a, k) == points(b, k) && a < b);
  });
}

void split(MatrixView<const double> points, std::int32_t* order, Index count, Index least) {
  if (count <= least) return;
  const Index left = left_of(count);
  halve(points, order, count, left);
  split(points, order, left, least);
  split(points, order + left, count - left, least);
}

}  // namespace

std::vector<std::int32_t> kd_order(MatrixView<const double> points, Index least, const Context& context) {
  constexpr Index alone = 16384;  // points that one thread puts in order
  std::vector<std::int32_t> order(points.rows);
  std::iota(order.begin(), order.end(), 0);
  std::vector<std::pair<Index, Index>> parts{{0, points.rows}};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto [first, count] = parts[i];
    if (count <= std::max(alone, least)) continue;
    const Index left = left_of(count);
    halve(points, order.data() + first, count, left);
    parts.push_back({first, left});
    parts.push_back({first + left, count - left});
    parts[i].second = 0;
  }
  parallel_for(threads_worth(context.threads, 20 * points.rows), static_cast<Index>(parts.size()),
               [&](Index i, int) { split(points, order.data() + parts[i].first, parts[i].second, least); });
  return order;
}

KdTree::KdTree(MatrixView<const double> points, Index leaf) : points_(points) {
  nodes_.reserve(static_cast<std::size_t>(4 * points.rows / leaf + 2));
  build(0, points.rows, leaf, false);
  for (Index j = 0; j < points.rows; ++j) {
    double square = 0;
    for (Index k = 0; k < points.cols; ++k) square += points(j, k) * points(j, k);
    largest_square_ = std::max(largest_square_, square);
  }
}

void KdTree::set_closed(Index j, bool closed) {
  closed_in_.resize(nodes_.size(), 0);
  is_closed_.resize(static_cast<std::size_t>(points_.rows), 0);
  is_closed_[j] = closed;
  for (Index node = 0;;) {
    closed_in_[node] += closed ? 1 : -1;
    const Index right = nodes_[node].right;
    if (right == 0) return;
    node = j < nodes_[right].first ? node + 1 : right;
  }
}

Index KdTree::build(Index first, Index count, Index leaf, bool in_twig) {
  const Index self = static_cast<Index>(nodes_.size()), d = points_.cols;
  nodes_.push_back({first, count, 0});
  numbers_.resize(numbers_.size() + static_cast<std::size_t>(4 * d + 3));
  double *mean = numbers(self), *low = mean + 2 * d, *high = low + d;
  std::fill_n(low, d, kInfinity);
  std::fill_n(high, d, -kInfinity);
  for (Index p = first; p < first + count; ++p)
    for (Index k = 0; k < d; ++k) {
      low[k] = std::min(low[k], points_(p, k));
      high[k] = std::max(high[k], points_(p, k));
      mean[k] += points_(p, k) / static_cast<double>(count);
    }
  for (Index k = 0; k < d; ++k) low[k] -= mean[k], high[k] -= mean[k];
  if (!in_twig && count <= kTwig) {
    twigs_.push_back(self);
    in_twig = true;
  }
  if (count > leaf) {
    const Index left = left_of(count);
    build(first, left, leaf, in_twig);
    nodes_[self].right = build(first + left, count - left, leaf, in_twig);
  }
  return self;
}

// Least squares for its slope and bend, the highest point for its height; returns the size of the numbers that enter.
double KdTree::lay_over_points(Index node, VectorView<const double> w) {
  const Index d = points_.cols, first = nodes_[node].first, end = first + nodes_[node].count;
  double *mean = numbers(node), *slope = mean + d, &top = mean[4 * d];
  constexpr Index most = most_dims + 1;
  double a[most][most] = {}, b[most] = {}, s[most], level = 0, mean_bowl = 0, heavy = 0;
  // s = y_j - mean and the bowl |s|^2 / 2, less its mean.
  const auto step_to = [&](Index j) {
    s[d] = -mean_bowl;
    for (Index k = 0; k < d; ++k) s[k] = points_(j, k) - mean[k], s[d] += 0.5 * s[k] * s[k];
  };
  for (Index j = first; j < end; ++j) {
    if (w[j] == -kInfinity) continue;
    mean_bowl = 0, step_to(j);
    level += w[j], b[0] += s[d], ++heavy;
  }
  level /= std::max(1.0, heavy), mean_bowl = b[0] / std::max(1.0, heavy), b[0] = 0;
  for (Index j = first; j < end; ++j) {
    if (w[j] == -kInfinity) continue;
    step_to(j);
    for (Index k = 0; k <= d; ++k) {
      b[k] += s[k] * (w[j] - level);
      for (Index l = 0; l <= d; ++l) a[k][l] += s[k] * s[l];
    }
  }
  for (Index k = 0; k <= d; ++k) a[k][k] = a[k][k] * (1 + 1e-6) + std::numeric_limits<double>::min();  // never singular
  for (Index k = 0; k <= d; ++k)  // elimination; the matrix is positive
    for (Index l = k + 1; l <= d; ++l) {
      const double times = a[l][k] / a[k][k];
      for (Index c = k; c <= d; ++c) a[l][c] -= times * a[k][c];
      b[l] -= times * b[k];
    }
  const double found = a[d][d] > 0 ? -b[d] / a[d][d] : 0.0, bend = found > 0 && found < 1e6 ? found : 0.0;
  bend_by(node, bend);
  for (Index k = d; k-- > 0;) {
    b[k] += a[k][d] * bend;
    for (Index c = k + 1; c < d; ++c) b[k] -= a[k][c] * slope[c];
    slope[k] = a[k][k] > 0 ? b[k] / a[k][k] : 0.0;
    if (!(std::abs(slope[k]) < 1e6)) slope[k] = 0;
  }
  top = -kInfinity;
  mean_bowl = 0;
  double size = 0;
  for (Index j = first; j < end; ++j) {
    if (w[j] == -kInfinity) continue;
    step_to(j);
    double plane = 0;
    for (Index k = 0; k < d; ++k) plane += slope[k] * s[k];
    top = std::max(top, w[j] - plane + bend * s[d]);
    size = std::max(size, std::abs(plane) + std::abs(w[j]) + bend * s[d]);
  }
  return size;
}

void KdTree::bend_by(Index node, double bend) {
  double* numbers_of_bend = numbers(node) + 4 * points_.cols + 1;
  numbers_of_bend[0] = bend;
  numbers_of_bend[1] = bend > 0 ? 1 / bend : 1e300;
}

// Above those of the children, of the smaller bend and of their mean slope.
double KdTree::lay_above_children(Index node) {
  const Index d = points_.cols, children[] = {node + 1, nodes_[node].right};
  double *mean = numbers(node), *slope = mean + d, &top = mean[4 * d];
  const double bend = std::min(numbers(children[0])[4 * d + 1], numbers(children[1])[4 * d + 1]);
  bend_by(node, bend);
  // A child's slope, at the mean of this node.
  const auto slope_of = [&](Index child, Index k) {
    const double* m = numbers(child);
    return m[d + k] + bend * (m[k] - mean[k]);
  };
  std::fill_n(slope, d, 0.0);
  for (const Index child : children)
    for (Index k = 0; k < d; ++k)
      slope[k] +=
          slope_of(child, k) * static_cast<double>(nodes_[child].count) / static_cast<double>(nodes_[node].count);
  top = -kInfinity;
  double size = 0;
  for (const Index child : children) {
    const double *m = numbers(child), *low = m + 2 * d, *high = low + d;
    double above = m[4 * d], moved = std::abs(m[4 * d]);
    if (above == -kInfinity) continue;
    for (Index k = 0; k < d; ++k) {
      const double turn = slope_of(child, k) - slope[k], off = m[k] - mean[k],
                   lift = (slope[k] - 0.5 * bend * off) * off;
      above += std::max(turn * low[k], turn * high[k]) - lift;
      moved +=
          std::abs(turn) * std::max(-low[k], high[k]) + (std::abs(slope[k]) + bend * std::abs(off)) * std::abs(off);
    }
    top = std::max(top, above);
    size = std::max(size, moved);
  }
  return size;
}

void KdTree::weigh(VectorView<const double> w, const Context& context) {
  std::vector<double> size(twigs_.size(), 0.0);
  parallel_for(threads_worth(context.threads, 20 * points_.rows), static_cast<Index>(twigs_.size()), [&](Index t, int) {
    const auto next = static_cast<std::size_t>(t + 1);
    const Index end = next < twigs_.size() ? twigs_[next] : static_cast<Index>(nodes_.size());
    for (Index node = twigs_[t]; node < end && nodes_[node].count <= kTwig; ++node)
      size[t] = std::max(size[t], lay_over_points(node, w));
  });
  slack_ = *std::max_element(size.begin(), size.end());
  for (Index node = static_cast<Index>(nodes_.size()); node-- > 0;)
    if (nodes_[node].count > kTwig) slack_ = std::max(slack_, lay_above_children(node));
  slack_ = 0x1p-46 * (slack_ + largest_square_);
}

void KdTree::raise(const std::vector<double>& v) {
  std::vector<double> w(v);
  for (Index j = 0; j < points_.rows; ++j)
    for (Index k = 0; k < points_.cols; ++k) w[j] -= points_(j, k) * points_(j, k);
  weigh(w);
}

// One search: candidates pile up, and the k best of the pile are kept when it is full.
template <int d, bool open_only>
class KdTree::Search {
 public:
  Search(const KdTree& tree, const double* x, Index k, const double* v, std::uint64_t seed, double most, Finder& finder)
      : tree_(tree),
        k_(static_cast<std::size_t>(k)),
        v_(v),
        seed_(seed),
        worst_(std::nextafter(most, kInfinity)),
        pile_(finder.pile),
        looked_at_(finder.looked_at) {
    for (int c = 0; c < d; ++c) x_[c] = x[c], twice_[c] = 2 * x[c], square_ += x[c] * x[c];
    slack_ = tree.slack_ + 0x1p-46 * square_;
    least = square_ - slack_ - worst_;
    pile_.clear();
  }

  double run() {
    tree_.template walk<d>(twice_, seed_, *this);
    if (pile_.size() >= k_) keep_best();
    return worst_;
  }

  bool skips(Index node) const requires open_only { return tree_.closed_in_[node] == tree_.nodes_[node].count; }

  void look_at(Index first, Index count) {
    const double* y = tree_.points_.row(first);
    for (Index j = first; j < first + count; ++j, y += d) {
      if (open_only && tree_.is_closed_[j]) continue;
      double cost = 0;
      for (int c = 0; c < d; ++c) cost += (x_[c] - y[c]) * (x_[c] - y[c]);
      const double reduced = cost - v_[j];
      if (reduced < worst_) pile_.push_back({reduced, {cost, static_cast<std::int32_t>(j)}});
    }
    looked_at_ += count;
    if (pile_.size() >= 2 * k_) keep_best();
  }

  double least;  // |x|^2 - (<2 x, y_j> + w_j) is the reduced cost

 private:
  void keep_best() {
    const auto last = pile_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
    std::nth_element(pile_.begin(), last, pile_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.reduced < b.reduced; });
    pile_.resize(k_);
    worst_ = pile_.back().reduced;
    least = square_ - slack_ - worst_;
  }

  const KdTree& tree_;
  std::size_t k_;
  const double* v_;
  std::uint64_t seed_;
  double worst_, square_ = 0, slack_, x_[d], twice_[d];
  std::vector<Candidate>& pile_;
  Index& looked_at_;
};

// run<dims>()
template <int d = 1, class Run>
double in_dims(Index dims, const Run& run) {
  if constexpr (d < KdTree::most_dims) {
    if (dims > d) return in_dims<d + 1>(dims, run);
  }
  return run.template operator()<d>();
}

template <bool open_only>
double KdTree::search(const double* x, Index k, const std::vector<double>& v, std::uint64_t seed, double most,
                      Finder& finder, std::vector<Pair>& pairs) const {
  const auto run = [&]<int d>() { return Search<d, open_only>(*this, x, k, v.data(), seed, most, finder).run(); };
  const double worst = in_dims(points_.cols, run);
  pairs.clear();
  for (const Candidate& candidate : finder.pile) pairs.push_back(candidate.pair);
  return worst;
}

double KdTree::nearest(const double* x, Index k, const std::vector<double>& v, std::uint64_t seed, double most,
                       Finder& finder, std::vector<Pair>& pairs) const {
  const double worst = search<false>(x, k, v, seed, most, finder, pairs);
  return static_cast<Index>(pairs.size()) == points_.rows ? kInfinity : worst;
}

double KdTree::nearest_open(const double* x, Index k, const std::vector<double>& v, double most, Finder& finder,
                            std::vector<Pair>& pairs) const {
  const double worst = search<true>(x, k, v, 0, most, finder, pairs);
  return static_cast<Index>(pairs.size()) < k ? kInfinity : worst;
}

}  // namespace monge::ot::detail
