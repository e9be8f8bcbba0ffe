#include "monge/ot/kd_tree.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace monge::ot::detail {
namespace {

constexpr Index kLeaf = 8;
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

void split(MatrixView<const double> points, std::int32_t* order, Index count) {
  if (count <= 2) return;
  const Index left = left_of(count), k = widest(points, order, count);
  std::nth_element(order, order + left, order + count, [&](std::int32_t a, std::int32_t b) {
    return points(a, k) < points(b, k) || (points(a, k) == points(b, k) && a < b);
  });
  split(points, order, left);
  split(points, order + left, count - left);
}

}  // namespace

std::vector<std::int32_t> kd_order(MatrixView<const double> points) {
  std::vector<std::int32_t> order(points.rows);
  std::iota(order.begin(), order.end(), 0);
  split(points, order.data(), points.rows);
  return order;
}

KdTree::KdTree(MatrixView<const double> points) : points_(points) {
  nodes_.reserve(static_cast<std::size_t>(points.rows / 2 + 2));
  build(0, points.rows);
  for (Index j = 0; j < points.rows; ++j) {
    double square = 0;
    for (Index k = 0; k < points.cols; ++k) square += points(j, k) * points(j, k);
    largest_square_ = std::max(largest_square_, square);
  }
}

Index KdTree::build(Index first, Index count) {
  const Index self = static_cast<Index>(nodes_.size());
  nodes_.push_back({});
  Node node{};
  node.first = first;
  node.count = count;
  std::fill_n(node.low, points_.cols, kInfinity);
  std::fill_n(node.high, points_.cols, -kInfinity);
  for (Index p = first; p < first + count; ++p)
    for (Index k = 0; k < points_.cols; ++k) {
      node.low[k] = std::min(node.low[k], points_(p, k));
      node.high[k] = std::max(node.high[k], points_(p, k));
      node.mean[k] += points_(p, k) / static_cast<double>(count);
    }
  if (count > kLeaf) {
    const Index left = left_of(count);
    build(first, left);
    node.right = build(first + left, count - left);
  }
  nodes_[self] = node;
  return self;
}

// Least squares for its slope, the highest point for its height.
void KdTree::lay_plane(Node& node, const std::vector<double>& w) {
  const Index d = points_.cols, end = node.first + node.count;
  double a[most_dims][most_dims] = {}, b[most_dims] = {}, mean = 0;
  for (Index j = node.first; j < end; ++j) mean += w[j] / static_cast<double>(node.count);
  for (Index j = node.first; j < end; ++j)
    for (Index k = 0; k < d; ++k) {
      const double step = points_(j, k) - node.mean[k];
      b[k] += step * (w[j] - mean);
      for (Index l = 0; l < d; ++l) a[k][l] += step * (points_(j, l) - node.mean[l]);
    }
  for (Index k = 0; k < d; ++k) a[k][k] = a[k][k] * (1 + 1e-6) + std::numeric_limits<double>::min();  // never singular
  for (Index k = 0; k < d; ++k)  // elimination; the matrix is positive
    for (Index l = k + 1; l < d; ++l) {
      const double times = a[l][k] / a[k][k];
      for (Index c = k; c < d; ++c) a[l][c] -= times * a[k][c];
      b[l] -= times * b[k];
    }
  for (Index k = d; k-- > 0;) {
    for (Index c = k + 1; c < d; ++c) b[k] -= a[k][c] * node.slope[c];
    node.slope[k] = a[k][k] > 0 ? b[k] / a[k][k] : 0.0;
    if (!(std::abs(node.slope[k]) < 1e6)) node.slope[k] = 0;
  }
  node.top = -kInfinity;
  for (Index j = node.first; j < end; ++j) {
    double plane = 0;
    for (Index k = 0; k < d; ++k) plane += node.slope[k] * (points_(j, k) - node.mean[k]);
    node.top = std::max(node.top, w[j] - plane);
    slack_ = std::max(slack_, std::abs(plane) + std::abs(w[j]));
  }
}

void KdTree::raise(const std::vector<double>& v) {
  std::vector<double> w(v);
  for (Index j = 0; j < points_.rows; ++j)
    for (Index k = 0; k < points_.cols; ++k) w[j] -= points_(j, k) * points_(j, k);
  slack_ = 0;
  for (Node& node : nodes_) lay_plane(node, w);
  slack_ = 0x1p-46 * (slack_ + largest_square_);
}

// One search: candidates pile up, and the k best of the pile are kept when it is full.
template <int d>
class KdTree::Search {
 public:
  Search(const KdTree& tree, const double* x, Index k, const double* v, std::uint64_t seed, double most,
         std::vector<Candidate>& pile)
      : tree_(tree),
        k_(static_cast<std::size_t>(k)),
        v_(v),
        seed_(seed),
        worst_(std::nextafter(most, kInfinity)),
        pile_(pile) {
    for (int c = 0; c < d; ++c) x_[c] = x[c], square_ += x[c] * x[c];
    slack_ = tree.slack_ + 0x1p-46 * square_;
    pile_.clear();
  }

  double run() {
    struct Visit {
      Index node;
      double bound;
    };
    Visit stack[128];  // at most one for each level waits
    Index depth = 0;
    stack[depth++] = {0, -kInfinity};
    while (depth > 0) {
      const Visit visit = stack[--depth];
      if (visit.bound >= worst_) continue;
      const Node& node = tree_.nodes_[visit.node];
      if (node.right == 0) {
        look_at(node);
        continue;
      }
      const Visit a{visit.node + 1, bound(tree_.nodes_[visit.node + 1])},
          b{node.right, bound(tree_.nodes_[node.right])};
      seed_ = seed_ * 6364136223846793005u + 1442695040888963407u;
      const bool a_first = a.bound < b.bound || (a.bound == b.bound && (seed_ >> 63) != 0);
      const Visit &nearer = a_first ? a : b, &farther = a_first ? b : a;
      if (farther.bound < worst_) stack[depth++] = farther;
      if (nearer.bound < worst_) stack[depth++] = nearer;
    }
    if (pile_.size() >= k_) keep_best();
    return worst_;
  }

 private:
  // What |x - y|^2 - v is at least, over the node's box.
  double bound(const Node& node) const {
    double sum = square_ - slack_ - node.top;
    for (int c = 0; c < d; ++c) {
      const double slope = 2 * x_[c] + node.slope[c];
      sum -= 2 * x_[c] * node.mean[c] +
             std::max(slope * (node.high[c] - node.mean[c]), slope * (node.low[c] - node.mean[c]));
    }
    return sum;
  }

  void look_at(const Node& node) {
    const double* y = tree_.points_.row(node.first);
    for (Index j = node.first; j < node.first + node.count; ++j, y += d) {
      double cost = 0;
      for (int c = 0; c < d; ++c) cost += (x_[c] - y[c]) * (x_[c] - y[c]);
      const double reduced = cost - v_[j];
      if (reduced < worst_) pile_.push_back({reduced, {cost, static_cast<std::int32_t>(j)}});
    }
    if (pile_.size() >= 2 * k_) keep_best();
  }

  void keep_best() {
    const auto last = pile_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
    std::nth_element(pile_.begin(), last, pile_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.reduced < b.reduced; });
    pile_.resize(k_);
    worst_ = pile_.back().reduced;
  }

  const KdTree& tree_;
  std::size_t k_;
  const double* v_;
  std::uint64_t seed_;
  double worst_, square_ = 0, slack_, x_[d];
  std::vector<Candidate>& pile_;
};

double KdTree::nearest(const double* x, Index k, const std::vector<double>& v, std::uint64_t seed, double most,
                       Finder& finder, std::vector<Pair>& pairs) const {
  const auto search = [&]<int d>() { return Search<d>(*this, x, k, v.data(), seed, most, finder.pile).run(); };
  const double worst = points_.cols == 1   ? search.template operator()<1>()
                       : points_.cols == 2 ? search.template operator()<2>()
                                           : search.template operator()<3>();
  pairs.clear();
  for (const Candidate& candidate : finder.pile) pairs.push_back(candidate.pair);
  return static_cast<Index>(pairs.size()) == points_.rows ? kInfinity : worst;
}

}  // namespace monge::ot::detail
