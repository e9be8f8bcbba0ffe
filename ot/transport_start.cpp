#include "monge/ot/transport_start.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace monge::ot::detail {
namespace {

// Trees of arcs with mass.
class Forest {
 public:
  Forest(Index rows, Index cols)
      : rows_(static_cast<std::int32_t>(rows)),
        links_(static_cast<std::size_t>(rows + cols)),
        part_(links_.size()),
        size_(links_.size(), 1),
        seen_(links_.size()) {
    std::iota(part_.begin(), part_.end(), 0);
  }

  void add(const Arc& arc, Int128 mass) {
    const std::int32_t i = arc.row, j = rows_ + arc.column;
    const std::int32_t a = part(i), b = part(j);
    if (a == b) return close_circle(arc, mass);
    const bool row_moves = size_[a] < size_[b];
    turn(row_moves ? i : j, {row_moves ? j : i, arc, mass});
    part_[row_moves ? a : b] = row_moves ? b : a;
    size_[row_moves ? b : a] += size_[row_moves ? a : b];
  }

  // Arcs without mass are left out; parts are those that others hold together.
  void drop_empty() {
    for (Link& link : links_)
      if (link.parent >= 0 && link.mass == 0) link = {};
    std::fill(part_.begin(), part_.end(), -1);
    std::vector<std::int32_t> below;  // whose roots are not known yet
    for (std::int32_t x = 0; x < static_cast<std::int32_t>(links_.size()); ++x) {
      std::int32_t top = x;
      for (; part_[top] < 0 && links_[top].parent >= 0; top = links_[top].parent) below.push_back(top);
      const std::int32_t root = part_[top] < 0 ? top : part_[top];
      part_[top] = root;
      for (; !below.empty(); below.pop_back()) part_[below.back()] = root;
    }
    tree_ = part_;
  }
  // The part of the row hangs under no other yet, and the column is not below it.
  bool may_join(const Arc& arc) {
    const std::int32_t own = part_[arc.row];
    return tree_[own] == own && tree(part_[rows_ + arc.column]) != own;
  }
  // Through an arc without mass, from a row up.
  void join(const Arc& arc) {
    tree_[part_[arc.row]] = part_[rows_ + arc.column];
    turn(arc.row, {rows_ + arc.column, arc, 0});
  }
  bool is_part(std::int32_t row) const { return part_[row] == row; }

  Basis take() { return {std::move(links_)}; }

 private:
  using Link = Basis::Link;

  std::int32_t part(std::int32_t x) {
    while (part_[x] != x) x = part_[x] = part_[part_[x]];
    return x;
  }
  std::int32_t tree(std::int32_t x) {
    while (tree_[x] != x) x = tree_[x] = tree_[tree_[x]];
    return x;
  }

  // Makes x the root of its tree, or what was cut off with it, and hangs it.
  void turn(std::int32_t x, Link to) {
    while (x >= 0) {
      std::swap(links_[x], to);
      std::swap(x, to.parent);
    }
  }

  static double cost_of(const Arc& arc) { return std::min(arc.cost, 1e300); }

  void close_circle(const Arc& arc, Int128 mass) {
    const std::int32_t i = arc.row, j = rows_ + arc.column;
    ++now_;
    for (std::int32_t x = i; x >= 0; x = links_[x].parent) seen_[x] = now_;
    std::int32_t join = j;
    while (seen_[join] != now_) join = links_[join].parent;
    // Mass sent over the arc comes back through the tree: up from j, down to i.
    double price = cost_of(arc);
    for (std::int32_t x = i; x != join; x = links_[x].parent) price += (x < rows_ ? -1 : 1) * cost_of(links_[x].arc);
    for (std::int32_t x = j; x != join; x = links_[x].parent) price += (x < rows_ ? 1 : -1) * cost_of(links_[x].arc);
    const bool more = price < 0;
    Int128 most = more ? -1 : mass;
    std::int32_t out = -1;
    const auto falls = [&](std::int32_t x, bool above_row) { return ((x < rows_) == above_row) == more; };
    const auto limit = [&](std::int32_t from, bool above_row) {
      for (std::int32_t x = from; x != join; x = links_[x].parent)
        if (falls(x, above_row) && (most < 0 || links_[x].mass < most)) most = links_[x].mass, out = x;
    };
    const auto send = [&](std::int32_t from, bool above_row) {
      for (std::int32_t x = from; x != join; x = links_[x].parent) links_[x].mass += falls(x, above_row) ? -most : most;
    };
    limit(i, true), limit(j, false);
    send(i, true), send(j, false);
    mass += more ? most : -most;
    if (out < 0) return;
    bool above_i = false;
    for (std::int32_t x = i; x != join; x = links_[x].parent) above_i = above_i || x == out;
    links_[out].parent = -1;
    turn(above_i ? i : j, {above_i ? j : i, arc, mass});
  }

  std::int32_t rows_;
  std::vector<Link> links_;
  std::vector<std::int32_t> part_, size_;  // trees, by leaps
  std::vector<std::int32_t> tree_;         // of parts, once these are joined
  std::vector<std::int32_t> seen_;
  std::int32_t now_ = 0;
};

}  // namespace

void place_rest(std::vector<Int128> supply, std::vector<Int128> demand, const std::vector<Arc>& arcs,
                const PairCost& cost, std::vector<MassOnArc>& plan) {
  const auto send = [&](const Arc& arc) {
    const Int128 mass = std::min(supply[arc.row], demand[arc.column]);
    supply[arc.row] -= mass, demand[arc.column] -= mass;
    plan.push_back({arc, mass});
  };
  for (MassOnArc& used : plan) {
    const Int128 over = std::clamp<Int128>(-demand[used.arc.column], 0, used.mass);
    used.mass -= over, supply[used.arc.row] += over, demand[used.arc.column] += over;
  }
  for (const Arc& arc : arcs)
    if (supply[arc.row] > 0 && demand[arc.column] > 0) send(arc);
  std::int32_t i = 0;
  for (std::int32_t j = 0; j < static_cast<std::int32_t>(demand.size()); ++j) {
    while (demand[j] > 0) {
      while (supply[i] == 0) ++i;
      send({i, j, cost(i, j)});
    }
  }
}

Basis basis_of(Index rows, Index cols, const std::vector<MassOnArc>& plan, const std::vector<Arc>& arcs,
               const PairCost& cost) {
  Forest forest(rows, cols);
  for (const MassOnArc& used : plan)
    if (used.mass > 0) forest.add(used.arc, used.mass);
  forest.drop_empty();
  for (const Arc& arc : arcs)
    if (forest.may_join(arc)) forest.join(arc);
  for (std::int32_t r = 0; r < rows; ++r)
    if (forest.may_join({r, 0, 0})) forest.join({r, 0, cost(r, 0)});
  return forest.take();
}

}  // namespace monge::ot::detail
