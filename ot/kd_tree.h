#pragma once  // private: never installed
#include <algorithm>
#include <cstdint>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/device.h"
#include "monge/ot/shortlists.h"

namespace monge::ot::detail {

// An order of points in which the points 0 .. s - 1, s .. 2 s - 1, ... lie close together for every power of two s, of
// `least` at least.
std::vector<std::int32_t> kd_order(MatrixView<const double> points, Index least = 2, const Context& context = {});

// Points in such an order, of few dimensions, of which those are sought whose <x, y_j> + w_j is large. A node knows a
// paraboloid above the w_j of its points, which lies close: good potentials are smooth and nearly concave.
class KdTree {
 public:
  static constexpr Index most_dims = 8;

  struct Candidate {
    double reduced;
    Pair pair;
  };
  struct Finder {  // one search's memory
    std::vector<Candidate> pile;
    Index looked_at = 0;  // points, of all searches
  };

  // points: borrowed, rows next to each other. leaf: a power of two, most points of one.
  explicit KdTree(MatrixView<const double> points, Index leaf = 8);

  // To be told of w before the first search, and whenever one of them rises; -infinity: never to be found.
  void weigh(VectorView<const double> w, const Context& context = {});
  // The same for |x - y_j|^2 - v_j = |x|^2 - (<2 x, y_j> + v_j - |y_j|^2).
  void raise(const std::vector<double>& v);

  // Calls visitor.look_at(first, count) for leaves, the most promising branch first, whose bound on <x, y_j> + w_j is
  // no less than visitor.least, which may rise; or for which visitor.may_be(node, bound), if it has that. Of branches
  // that tie, `seed` has a say in which is first.
  template <int d, class Visitor>
  [[gnu::always_inline]] void walk(const double* x, std::uint64_t seed, Visitor& visitor) const;

  // The square of a distance from x that no point of the node exceeds.
  template <int d>
  double farthest_square(const double* x, Index node) const;

  // Takes a point out of what nearest_open() finds, and puts it back.
  void close(Index j) { set_closed(j, true); }
  void open(Index j) { set_closed(j, false); }

  // How far bounds may be off by rounding, where x is zero.
  double slack() const { return slack_; }

  // The k pairs of least |x - y_j|^2 - v_j, in no order, if `most` is no less than the last of these; returns their
  // largest, +infinity if all points are listed. Of points that tie, `seed` has a say in which are listed.
  double nearest(const double* x, Index k, const std::vector<double>& v, std::uint64_t seed, double most,
                 Finder& finder, std::vector<Pair>& pairs) const;
  // The same among open points; returns +infinity if there are fewer than k of them up to `most`.
  double nearest_open(const double* x, Index k, const std::vector<double>& v, double most, Finder& finder,
                      std::vector<Pair>& pairs) const;

 private:
  struct Node {
    Index first, count;
    Index right;  // 0: a leaf; the left child is the next node
  };
  template <int d, bool open_only>
  class Search;
  template <bool open_only>
  double search(const double* x, Index k, const std::vector<double>& v, std::uint64_t seed, double most, Finder& finder,
                std::vector<Pair>& pairs) const;

  void set_closed(Index j, bool closed);
  Index build(Index first, Index count, Index leaf, bool in_twig);
  double* numbers(Index node) { return numbers_.data() + node * (4 * points_.cols + 3); }
  double lay_over_points(Index node, VectorView<const double> w);
  void bend_by(Index node, double bend);
  double lay_above_children(Index node);
  template <int d>
  [[gnu::always_inline]] double bound(const double* x, Index node) const;

  MatrixView<const double> points_;
  std::vector<Node> nodes_;
  std::vector<Index> closed_in_;         // points of each node; empty before the first one is closed
  std::vector<std::uint8_t> is_closed_;  // of points
  std::vector<Index> twigs_;             // roots of the parts whose nodes are fitted one by one
  std::vector<double> numbers_;  // of each node: mean, slope, low - mean, high - mean, top, bend and its inverse, with
                                 // s = y_j - mean: w_j <= top + <slope, s> - bend |s|^2 / 2
  double slack_ = 0;
  double largest_square_ = 0;
};

template <int d>
inline double KdTree::bound(const double* x, Index node) const {
  const double* mean = numbers_.data() + node * (4 * d + 3);
  const double *slope = mean + d, *low = slope + d, *high = low + d;
  const double bend = high[d + 1], inverse = high[d + 2];
  double sum = high[d];
  for (int c = 0; c < d; ++c) {
    const double s = x[c] + slope[c], at = std::min(std::max(s * inverse, low[c]), high[c]);
    sum += x[c] * mean[c] + at * (s - 0.5 * bend * at);
  }
  return sum;
}

template <int d>
inline double KdTree::farthest_square(const double* x, Index node) const {
  const double *mean = numbers_.data() + node * (4 * d + 3), *low = mean + 2 * d, *high = low + d;
  double square = 0;
  for (int c = 0; c < d; ++c) {
    const double s = x[c] - mean[c], most = std::max(s - low[c], high[c] - s);
    square += most * most;
  }
  return square;
}

template <int d, class Visitor>
inline void KdTree::walk(const double* x, std::uint64_t seed, Visitor& visitor) const {
  struct Visit {
    Index node;
    double bound;
  };
  Visit stack[128];  // at most one for each level waits
  Index depth = 0;
  stack[depth++] = {0, bound<d>(x, 0)};
  while (depth > 0) {
    const Visit visit = stack[--depth];
    if constexpr (requires { visitor.may_be(visit.node, visit.bound); }) {
      if (!visitor.may_be(visit.node, visit.bound)) continue;
    } else {
      if (visit.bound < visitor.least) continue;
    }
    if constexpr (requires { visitor.skips(visit.node); })
      if (visitor.skips(visit.node)) continue;
    const Node& node = nodes_[visit.node];
    if (node.right == 0) {
      visitor.look_at(node.first, node.count);
      continue;
    }
    const Visit a{visit.node + 1, bound<d>(x, visit.node + 1)}, b{node.right, bound<d>(x, node.right)};
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    const bool a_first = a.bound > b.bound || (a.bound == b.bound && (seed >> 63) != 0);
    stack[depth++] = a_first ? b : a;
    stack[depth++] = a_first ? a : b;
  }
}

}  // namespace monge::ot::detail
