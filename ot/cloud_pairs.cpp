#include "monge/ot/cloud_pairs.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "monge/ot/assignment_start.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/grouped_start.h"
#include "monge/ot/product_error.h"

namespace monge::ot::detail {

CloudPairs::CloudPairs(const CentredClouds& clouds, double stored_bytes, const Context& context,
                       std::vector<Index> groups)
    : CentredPairs(clouds, product_error(clouds.x.cols())),
      context_(context),
      scores_(std::as_const(x_).view(), std::as_const(y_).view(), stored_bytes, context),
      groups_(std::move(groups)) {
  constexpr Index many = 10000;  // of fewer that are kept all are as fast
  if (!groups_.empty() && (!is_stored() || cols() >= many))
    tops_ = Matrix<float>(rows(), static_cast<Index>(groups_.size()) - 1);
}

void CloudPairs::set_tops(LargestScores<float>& largest, const float* scores, Index i) {
  for (Index g = 0; g < tops_.cols(); ++g) {
    const auto top = largest.find(scores + groups_[g], 1.0f, bias_.data() + groups_[g], group_size(g), 1, 0);
    tops_(i, g) = top.empty() ? -std::numeric_limits<float>::infinity() : top.front().score;
  }
}

double CloudPairs::list_row(LargestScores<float>& largest, const float* scores, Index i, Index k,
                            std::vector<Pair>& pairs) {
  const auto found = largest.find(scores, 1.0f, bias_.data(), cols(), std::max(k, aside()), spread(i, cols()));
  set_aside(i, found, [&](Index p) { return scores[found[p].column]; });
  return list(i, k, found, pairs);
}

Shortlists CloudPairs::shortlists(Index k, const std::vector<double>& v) {
  set_biases(v);
  constexpr Index low_dims = 8;  // in which wars look farther
  if (!is_stored()) lay_aside(clouds_.x.cols() <= low_dims ? 1024 : 256);
  in_groups_.assign(static_cast<std::size_t>(rows()), tops_.cols() > 0);
  Shortlists lists(rows(), k);
  std::vector<LargestScores<float>> largest(static_cast<std::size_t>(resolve_threads(context_.threads)));
  constexpr Index tile = 32;
  scores_.each([&](Index first, MatrixView<const float> block) {
    parallel_for(threads_worth(context_.threads, block.rows * block.cols), (block.rows + tile - 1) / tile,
                 [&](Index t, int worker) {
                   if (context_.stop) context_.stop->look();
                   std::vector<Pair> pairs;
                   for (Index i = t * tile; i < std::min(block.rows, (t + 1) * tile); ++i) {
                     LargestScores<float>& own = largest[static_cast<std::size_t>(worker)];
                     set_tops(own, block.row(i), first + i);
                     const double rest = list_row(own, block.row(i), first + i, k, pairs);
                     lists.set(first + i, pairs.data(), static_cast<Index>(pairs.size()), rest);
                   }
                 });
  });
  return lists;
}

double CloudPairs::look_again(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) {
  if (in_groups_[i]) {
    in_groups_[i] = look_at_groups(i, k, v);
    if (in_groups_[i]) return list(i, k, best_, pairs);
  }
  set_biases(v);
  return list_row(largest_, scores_.part_of_row(i, 0, cols()), i, k, pairs);
}

// The group that promises most comes first; once no other promises more than the k-th best pair, these are the best.
// False if that took too many.
bool CloudPairs::look_at_groups(Index i, Index k, const std::vector<double>& v) {
  constexpr int most = 16;
  const auto better = [](const ScoredColumn<float>& a, const ScoredColumn<float>& b) { return a.score > b.score; };
  float* tops = tops_.view().row(i);
  best_.clear();
  looked_at_.assign(static_cast<std::size_t>(tops_.cols()), false);
  for (int looked = 0;; ++looked) {
    Index g = -1;
    for (Index h = 0; h < tops_.cols(); ++h)
      if (!looked_at_[h] && (g < 0 || tops[h] > tops[g])) g = h;
    if (g < 0 || (static_cast<Index>(best_.size()) == k && tops[g] <= best_.back().score)) return true;
    if (looked == most) return false;
    looked_at_[g] = true;
    const Index first = groups_[g], size = group_size(g);
    set_biases(v, first, size);
    const auto found = largest_.find(scores_.part_of_row(i, first, size), 1.0f, bias_.data() + first, size,
                                     std::min(k, size), spread(i, size));
    tops[g] = found.empty() ? -std::numeric_limits<float>::infinity() : found.front().score;
    const auto middle = static_cast<std::ptrdiff_t>(best_.size());
    for (const ScoredColumn<float>& pair : found)
      best_.push_back({pair.score, pair.column + static_cast<std::int32_t>(first)});
    std::inplace_merge(best_.begin(), best_.begin() + middle, best_.end(), better);
    if (static_cast<Index>(best_.size()) > k) best_.resize(static_cast<std::size_t>(k));
  }
}

std::vector<double> CloudPairs::start() {
  return start_from([&](double first, std::vector<double>& w) {
    if (groups_.empty())
      sinkhorn_start(scores_, {.first = first}, w);
    else
      w = grouped_start(std::as_const(x_).view(), std::as_const(y_).view(), groups_, scores_, first, std::move(w));
  });
}

}  // namespace monge::ot::detail
