#include "monge/ot/shortlists.h"

#include <algorithm>

namespace monge::ot::detail {

void Shortlists::set(Index row, const Pair* pairs, Index count, double rest) {
  Shortlist& list = lists_[row];
  if (count > list.capacity) {
    more_.emplace_back(static_cast<std::size_t>(count));
    list.pairs = more_.back().data();
    list.capacity = count;
  }
  std::copy_n(pairs, count, list.pairs);
  list.count = count;
  list.rest = rest;
}

}  // namespace monge::ot::detail
