#pragma once  // private: never installed
#include <cstdint>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::ot::detail {

__extension__ typedef __int128 Int128;

// Off by 2^-52 of it, however small: prices that are worse than that would see gains where there are none.
inline double to_double(Int128 x) {
  const Int128 size = x < 0 ? -x : x;
  const double value = static_cast<double>(static_cast<std::int64_t>(size >> 64)) * 0x1p64 +
                       static_cast<double>(static_cast<std::uint64_t>(size));
  return x < 0 ? -value : value;
}

// A pair that a plan may use.
struct Arc {
  std::int32_t row = 0, column = 0;
  double cost = 0;  // +infinity: forbidden, but without it there may be no plan at all
};

// A basis of a transport problem: a spanning tree of rows (nodes 0 to n - 1) and columns (n to n + m - 1).
struct Basis {
  struct Link {
    std::int32_t parent = -1;  // -1: the root
    Arc arc;                   // between the two
    Int128 mass = 0;           // on it
  };
  std::vector<Link> links;  // of each node
};

// The network simplex method for transport over some arcs. Masses and costs are integers of 128 bits, so that flows and
// potentials are exact, and trees are strongly feasible: an arc without flow points to the root, from a row to a
// column. With the leaving arc the last one that blocks, no basis comes twice (Cunningham, A network simplex method,
// Mathematical Programming 11, 1976), ties or not. A forbidden arc costs more than any path of others.
class TransportTree {
 public:
  // |costs| <= largest, of all arcs that will ever be seen. The basis is strongly feasible.
  TransportTree(Index rows, const Basis& basis, double largest);

  // Arcs to choose from besides those there were.
  void add(const std::vector<Arc>& arcs);
  // Pivots until no arc improves the plan, but `most` times at most; whether it came to that.
  bool optimise(Index most);

  Index pivots() const { return pivots_; }
  Index arcs() const { return static_cast<Index>(costs_.size()); }
  Basis basis() const;

  // Row and column potentials, u_i + v_j <= c_ij for all arcs once optimised. Forbidden arcs hold parts of the tree
  // together: these are `apart`, and as much as the potentials are, for each; true if there are any.
  bool potentials(double apart, std::vector<double>& u, std::vector<double>& v) const;

 private:
  struct Node {
    std::int32_t parent = -1, child = -1, next = -1, previous = -1;  // first child, siblings
    std::int32_t size = 1;                                           // of its subtree
    Arc arc;                                                         // to the parent
    Int128 mass = 0;                                                 // on it
  };

  bool is_row(std::int32_t x) const { return x < rows_; }
  Int128 exact(double cost) const;
  Int128 reduced(std::int32_t row, std::int32_t column, double cost) const {
    return exact(cost) - potential_[row] - potential_[rows_ + column];
  }
  void link(std::int32_t x, std::int32_t parent);
  void unlink(std::int32_t x);
  template <class Visit>
  void for_subtree(std::int32_t top, std::int32_t without, const Visit& visit) const;
  void raise(std::int32_t top, std::int32_t without, Int128 rows_by);
  Index entering();
  void pivot(const Arc& arc);
  void settle();
  void hang(std::int32_t top, std::int32_t bottom, std::int32_t under, const Arc& arc, Int128 mass);

  Index rows_;
  int shift_;        // a cost c is the integer c 2^shift
  double unit_;      // 2^-shift
  int far_bits_;     // a forbidden arc costs 2^that
  double far_cost_;  // the same in the unit of costs
  std::int32_t root_ = 0;
  double largest_price_ = 0;  // |prices| so far
  std::vector<Node> nodes_;
  std::vector<Int128> potential_;
  std::vector<double> price_;               // the potentials rounded, in the unit of costs
  std::vector<std::int32_t> row_, column_;  // of the arcs
  std::vector<double> costs_;
  Index next_ = 0;        // the arc to look at next
  bool exactly_ = false;  // what is left to gain is within the rounding of prices
  Index pivots_ = 0;
};

}  // namespace monge::ot::detail
