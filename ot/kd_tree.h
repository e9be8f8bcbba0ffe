#pragma once  // private: never installed
#include <cstdint>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/shortlists.h"

namespace monge::ot::detail {

// An order of points in which the points 0 .. s - 1, s .. 2 s - 1, ... lie close together for every power of two s.
std::vector<std::int32_t> kd_order(MatrixView<const double> points);

// Finds, among points in such an order, those of least |x - y_j|^2 - v_j. Few dimensions. A node knows a plane above
// v_j - |y_j|^2 of its points: good potentials are nearly concave there, so that planes lie close.
class KdTree {
 public:
  static constexpr Index most_dims = 3;

  struct Candidate {
    double reduced;
    Pair pair;
  };
  struct Finder {  // one search's memory
    std::vector<Candidate> pile;
  };

  explicit KdTree(MatrixView<const double> points);  // borrowed, rows next to each other

  // To be told of v before the first search, and whenever one of them rises.
  void raise(const std::vector<double>& v);
  // The k pairs of least reduced cost, in no order, if `most` is no less than the last of these; returns their largest,
  // +infinity if all points are listed. Of points that tie, `seed` has a say in which are listed.
  double nearest(const double* x, Index k, const std::vector<double>& v, std::uint64_t seed, double most,
                 Finder& finder, std::vector<Pair>& pairs) const;

 private:
  struct Node {
    double low[most_dims], high[most_dims], mean[most_dims];
    double slope[most_dims], top;  // w_j <= top + <slope, y_j - mean>
    Index first, count;
    Index right;  // 0: a leaf; the left child is the next node
  };
  template <int d>
  class Search;
  Index build(Index first, Index count);
  void lay_plane(Node& node, const std::vector<double>& w);

  MatrixView<const double> points_;
  std::vector<Node> nodes_;
  double slack_ = 0;  // of the bounds, for rounding
  double largest_square_ = 0;
};

}  // namespace monge::ot::detail
