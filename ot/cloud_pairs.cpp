#include "monge/ot/cloud_pairs.h"

#include <algorithm>
#include <utility>

#include "monge/ot/assignment_start.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/grouped_start.h"
#include "monge/ot/product_error.h"

namespace monge::ot::detail {

CloudPairs::CloudPairs(const CentredClouds& clouds, double stored_bytes, const Context& context)
    : CentredPairs(clouds, product_error(clouds.x.cols())),
      context_(context),
      scores_(std::as_const(x_).view(), std::as_const(y_).view(), stored_bytes, context) {}

double CloudPairs::list_row(LargestScores<float>& largest, const float* scores, Index i, Index k,
                            std::vector<Pair>& pairs) {
  const auto found = largest.find(scores, 1.0f, bias_.data(), cols(), std::max(k, aside()), spread(i, cols()));
  return list(
      i, k, found, [&](Index p) { return scores[found[p].column]; }, pairs);
}

Shortlists CloudPairs::shortlists(Index k, const std::vector<double>& v) {
  set_biases(v);
  if (!is_stored()) lay_aside();
  Shortlists lists(rows(), k);
  std::vector<LargestScores<float>> largest(static_cast<std::size_t>(resolve_threads(context_.threads)));
  constexpr Index tile = 32;
  scores_.each([&](Index first, MatrixView<const float> block) {
    parallel_for(threads_worth(context_.threads, block.rows * block.cols), (block.rows + tile - 1) / tile,
                 [&](Index t, int worker) {
                   if (context_.stop) context_.stop->look();
                   std::vector<Pair> pairs;
                   for (Index i = t * tile; i < std::min(block.rows, (t + 1) * tile); ++i) {
                     const double rest =
                         list_row(largest[static_cast<std::size_t>(worker)], block.row(i), first + i, k, pairs);
                     lists.set(first + i, pairs.data(), static_cast<Index>(pairs.size()), rest);
                   }
                 });
  });
  return lists;
}

double CloudPairs::look_again(Index i, Index k, std::vector<Pair>& pairs) {
  return list_row(largest_, scores_.is_stored() ? scores_.row(i) : scores_.make_row(i), i, k, pairs);
}

std::vector<double> CloudPairs::start() {
  return start_from([&](double first, std::vector<double>& w) { sinkhorn_start(scores_, {.first = first}, w); });
}

std::vector<double> CloudPairs::start_in_groups() const {
  return start_from([&](double first, std::vector<double>& w) {
    w = grouped_start(x_.view(), y_.view(), first, std::move(w), context_);
  });
}

}  // namespace monge::ot::detail
