#include "monge/ot/transport_tree.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace monge::ot::detail {

// With L bits for the number of nodes and C for a cost: paths cost less than 2^(C + L), half of what a forbidden arc
// costs; a potential holds at most a path of these, 2^(C + 2 L + 1), and 2^L shifts of as much until it is settled.
TransportTree::TransportTree(Index rows, const Basis& basis, double largest) : rows_(rows) {
  const std::size_t count = basis.links.size();
  const int node_bits = std::bit_width(count), cost_bits = 124 - 3 * node_bits;
  shift_ = cost_bits - (largest > 0 ? std::ilogb(largest) + 1 : 0);
  unit_ = std::ldexp(1.0, -shift_);
  far_bits_ = cost_bits + node_bits + 1;
  far_cost_ = std::ldexp(1.0, far_bits_ - shift_);
  nodes_.resize(count);
  potential_.assign(count, 0);
  price_.assign(count, 0);
  for (std::size_t x = 0; x < count; ++x) {
    const Basis::Link& from = basis.links[x];
    nodes_[x].arc = from.arc;
    nodes_[x].arc.cost = std::min(from.arc.cost, far_cost_);
    nodes_[x].mass = from.mass;
    if (from.parent < 0)
      root_ = static_cast<std::int32_t>(x);
    else
      link(static_cast<std::int32_t>(x), from.parent);
  }
  std::vector<std::int32_t> order;
  for_subtree(root_, -1, [&](std::int32_t x) {
    order.push_back(x);
    if (x != root_) potential_[x] = exact(nodes_[x].arc.cost) - potential_[nodes_[x].parent];
  });
  for (std::size_t k = count; k-- > 1;) nodes_[nodes_[order[k]].parent].size += nodes_[order[k]].size;
  settle();
}

// Rounded down, whatever the sign: what prices say is gained is gained.
Int128 TransportTree::exact(double cost) const {
  int exponent;
  const double digits = std::frexp(cost, &exponent);  // cost = digits 2^exponent
  const Int128 whole = static_cast<std::int64_t>(digits * 0x1p53);
  exponent += shift_ - 53;
  return exponent >= 0 ? whole * (static_cast<Int128>(1) << exponent) : whole >> std::min(-exponent, 64);
}

void TransportTree::add(const std::vector<Arc>& arcs) {
  for (const Arc& arc : arcs) {
    row_.push_back(arc.row);
    column_.push_back(arc.column);
    costs_.push_back(std::min(arc.cost, far_cost_));
  }
  exactly_ = false;
}

Basis TransportTree::basis() const {
  Basis basis;
  for (const Node& node : nodes_) {
    basis.links.push_back({node.parent, node.arc, node.mass});
    if (node.arc.cost == far_cost_) basis.links.back().arc.cost = HUGE_VAL;
  }
  return basis;
}

bool TransportTree::potentials(double apart, std::vector<double>& u, std::vector<double>& v) const {
  std::vector<double> own(nodes_.size()), lifts(nodes_.size());  // lifts: forbidden arcs crossed from the root
  double most_u = 0, most_v = 0;
  bool lifted = false;
  for (std::size_t x = 0; x < nodes_.size(); ++x) {
    const Int128 crossed = (potential_[x] + (static_cast<Int128>(1) << (far_bits_ - 1))) >> far_bits_;
    lifts[x] = static_cast<double>(static_cast<std::int64_t>(crossed));
    lifted = lifted || crossed != 0;
    own[x] = to_double(potential_[x] - crossed * (static_cast<Int128>(1) << far_bits_)) * unit_;
    double& most = is_row(static_cast<std::int32_t>(x)) ? most_u : most_v;
    most = std::max(most, std::abs(own[x]));
  }
  for (std::size_t x = 0; x < nodes_.size(); ++x) own[x] += lifts[x] * (most_u + most_v + apart);
  u.assign(own.begin(), own.begin() + rows_);
  v.assign(own.begin() + rows_, own.end());
  return lifted;
}

void TransportTree::link(std::int32_t x, std::int32_t parent) {
  Node& node = nodes_[x];
  node.parent = parent;
  node.previous = -1;
  node.next = nodes_[parent].child;
  if (node.next >= 0) nodes_[node.next].previous = x;
  nodes_[parent].child = x;
}

void TransportTree::unlink(std::int32_t x) {
  const Node& node = nodes_[x];
  (node.previous >= 0 ? nodes_[node.previous].next : nodes_[node.parent].child) = node.next;
  if (node.next >= 0) nodes_[node.next].previous = node.previous;
}

// In preorder, without the subtree of `without`.
template <class Visit>
void TransportTree::for_subtree(std::int32_t top, std::int32_t without, const Visit& visit) const {
  std::int32_t x = top;
  visit(x);
  for (;;) {
    std::int32_t to = nodes_[x].child;
    if (to == without && to >= 0) to = nodes_[to].next;
    while (to < 0) {
      if (x == top) return;
      to = nodes_[x].next;
      if (to == without && to >= 0) to = nodes_[to].next;
      x = nodes_[x].parent;
    }
    x = to;
    visit(x);
  }
}

// Raises rows and lowers columns.
void TransportTree::raise(std::int32_t top, std::int32_t without, Int128 by) {
  for_subtree(top, without, [&](std::int32_t x) {
    potential_[x] += is_row(x) ? by : -by;
    price_[x] = to_double(potential_[x]) * unit_;
    largest_price_ = std::max(largest_price_, std::abs(price_[x]));
  });
}

bool TransportTree::optimise(Index most) {
  for (Index k = 0; k < most; ++k) {
    const Index e = entering();
    if (e < 0) {
      settle();
      return true;
    }
    pivot({row_[e], column_[e], costs_[e]});
    if (++pivots_ % static_cast<Index>(nodes_.size()) == 0) settle();
  }
  settle();
  return false;
}

// Brings the root's potential back to zero.
void TransportTree::settle() {
  largest_price_ = 0;
  raise(root_, -1, is_row(root_) ? -potential_[root_] : potential_[root_]);
}

// The best arc of the next block that has one; -1 if there is none in all of them.
Index TransportTree::entering() {
  const Index count = arcs();
  const Index block = std::max<Index>(64, static_cast<Index>(std::sqrt(static_cast<double>(count))));
  for (;;) {
    const double noise = 0x1p-48 * largest_price_;
    for (Index seen = 0; seen < count; seen += block) {
      const Index end = std::min(count, next_ + block);
      Index best = -1;
      if (!exactly_) {
        double least = -noise;
        for (Index e = next_; e < end; ++e) {
          const double rest = costs_[e] - price_[row_[e]] - price_[rows_ + column_[e]];
          if (rest < least) least = rest, best = e;
        }
      } else {
        Int128 least = 0;
        for (Index e = next_; e < end; ++e) {
          if (costs_[e] - price_[row_[e]] - price_[rows_ + column_[e]] >= noise) continue;
          const Int128 rest = reduced(row_[e], column_[e], costs_[e]);
          if (rest < least) least = rest, best = e;
        }
      }
      next_ = end < count ? end : 0;
      if (best >= 0) return best;
    }
    if (exactly_) return -1;
    exactly_ = true;
  }
}

// Sends mass around the circle that `arc` closes: from the join of its ends' paths to the root down to its row, over it
// to its column, and up again.
void TransportTree::pivot(const Arc& arc) {
  const std::int32_t i = arc.row, j = static_cast<std::int32_t>(rows_) + arc.column;
  std::int32_t a = i, b = j;
  while (a != b) {
    if (nodes_[a].size < nodes_[b].size)
      a = nodes_[a].parent;
    else
      b = nodes_[b].parent;
  }
  const std::int32_t join = a;

  std::int32_t out = -1;
  Int128 mass = 0;
  bool out_above_row = false;
  for (std::int32_t x = i; x != join; x = nodes_[x].parent)
    if (is_row(x) && (out < 0 || nodes_[x].mass < mass)) mass = nodes_[x].mass, out = x, out_above_row = true;
  for (std::int32_t x = j; x != join; x = nodes_[x].parent)
    if (!is_row(x) && (out < 0 || nodes_[x].mass <= mass)) mass = nodes_[x].mass, out = x, out_above_row = false;
  if (mass != 0) {
    for (std::int32_t x = i; x != join; x = nodes_[x].parent) nodes_[x].mass += is_row(x) ? -mass : mass;
    for (std::int32_t x = j; x != join; x = nodes_[x].parent) nodes_[x].mass += is_row(x) ? mass : -mass;
  }

  const Int128 rest = reduced(arc.row, arc.column, arc.cost);
  const std::int32_t top = out_above_row ? i : j, under = out_above_row ? j : i;
  const std::int32_t moved = nodes_[out].size;
  for (std::int32_t x = nodes_[out].parent; x != join; x = nodes_[x].parent) nodes_[x].size -= moved;
  for (std::int32_t x = under; x != join; x = nodes_[x].parent) nodes_[x].size += moved;
  hang(top, out, under, arc, mass);

  // The smaller part of the tree moves: only sums of a row's and a column's potential mean anything.
  const Int128 by = out_above_row ? rest : -rest;
  if (2 * static_cast<std::size_t>(moved) <= nodes_.size()) {
    raise(top, -1, by);
  } else {
    raise(root_, top, -by);
  }
}

// Turns the path from `top` up to `bottom`, whose arc upwards leaves, and hangs it under another node.
void TransportTree::hang(std::int32_t top, std::int32_t bottom, std::int32_t under, const Arc& arc, Int128 mass) {
  const std::int32_t moved = nodes_[bottom].size;
  Basis::Link to{under, arc, mass};
  std::int32_t below = 0;  // nodes that have gone
  for (std::int32_t x = top;;) {
    Node& node = nodes_[x];
    const std::int32_t parent = node.parent, size = node.size;
    unlink(x);
    link(x, to.parent);
    std::swap(node.arc, to.arc);
    std::swap(node.mass, to.mass);
    node.size = moved - below;
    if (x == bottom) return;
    below = size;
    to.parent = x;
    x = parent;
  }
}

}  // namespace monge::ot::detail
