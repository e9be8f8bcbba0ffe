#include "monge/ot/tree_pairs.h"

#include <algorithm>
#include <limits>

#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"

namespace monge::ot::detail {

double TreePairs::cost(Index i, Index j) const {
  double sum = 0;
  for (Index k = 0; k < x_.cols; ++k) sum += (x_(i, k) - y_(j, k)) * (x_(i, k) - y_(j, k));
  return sum;
}

Shortlists TreePairs::shortlists(Index k, const std::vector<double>& v) {
  constexpr Index tile = 64;
  tree_.raise(v);
  Shortlists lists(rows(), k);
  parallel_for(threads_worth(context_.threads, 100 * rows()), (rows() + tile - 1) / tile, [&](Index t, int) {
    if (context_.stop) context_.stop->look();
    std::vector<Pair> pairs;
    KdTree::Finder finder;
    for (Index i = t * tile; i < std::min(rows(), (t + 1) * tile); ++i) {
      // What the row before lists is near this one too.
      double most = static_cast<Index>(pairs.size()) < k ? std::numeric_limits<double>::infinity()
                                                         : -std::numeric_limits<double>::infinity();
      for (const Pair& pair : pairs) most = std::max(most, cost(i, pair.column) - v[pair.column]);
      const double rest = tree_.nearest(x_.row(i), k, v, static_cast<std::uint64_t>(i), most, finder, pairs);
      lists.set(i, pairs.data(), static_cast<Index>(pairs.size()), rest);
    }
  });
  return lists;
}

double TreePairs::shortlist(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) {
  // What has fallen since makes bounds less sharp: where prices fall far, searches look at whole regions in vain.
  constexpr Index worth = 128;  // points looked at cost as much as one in a new bound
  if (finder_.looked_at > worth * cols()) {
    tree_.raise(v);
    finder_.looked_at = 0;
  }
  return tree_.nearest(x_.row(i), k, v, static_cast<std::uint64_t>(i), std::numeric_limits<double>::infinity(), finder_,
                       pairs);
}

void TreePairs::find_open(Index k, const std::vector<double>& v, std::vector<OpenList>& lists) {
  const Index count = static_cast<Index>(lists.size());
  const int threads = threads_worth(context_.threads, 4000 * count);
  finders_.resize(static_cast<std::size_t>(std::max(1, threads)));
  parallel_for(threads, count, [&](Index l, int thread) {
    OpenList& list = lists[l];
    list.rest = tree_.nearest_open(x_.row(list.row), k, v, list.most, finders_[thread], list.pairs);
  });
}

}  // namespace monge::ot::detail
