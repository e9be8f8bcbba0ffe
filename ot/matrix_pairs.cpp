#include "monge/ot/matrix_pairs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "monge/ot/assignment_start.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/grouped_start.h"
#include "monge/ot/point_groups.h"
#include "monge/ot/score_blocks.h"

namespace monge::ot::detail {
namespace {

constexpr Index kTile = 32;         // rows of a task
constexpr Index kSampledRows = 64;  // that say what columns are like
constexpr double kFirst = 0.8;      // epsilon of the first pass, in units of the scores' size

template <class Body>
void for_tiles(Index rows, Index cols, const Context& context, const Body& body) {
  parallel_for(threads_worth(context.threads, rows * cols), (rows + kTile - 1) / kTile, [&](Index t, int worker) {
    if (context.stop) context.stop->look();
    for (Index i = t * kTile; i < std::min(rows, (t + 1) * kTile); ++i) body(i, worker);
  });
}

}  // namespace

template <class T>
double MatrixPairs<T>::list(Finder& finder, Index i, Index k, const double* v, std::vector<Pair>& pairs) const {
  const Index m = cols();
  const double* row;
  if constexpr (std::is_same_v<T, double>) {
    row = cost_.row(i);
  } else {
    finder.row.assign(cost_.row(i), cost_.row(i) + m);
    row = finder.row.data();
  }
  const auto found = finder.largest.find(row, -1.0, v, m, std::min(k, m), spread(i, m));
  pairs.resize(found.size());
  for (std::size_t p = 0; p < found.size(); ++p) pairs[p] = {row[found[p].column], found[p].column};
  if (static_cast<Index>(found.size()) < k || k >= m) return std::numeric_limits<double>::infinity();
  return -found.back().score;
}

template <class T>
Shortlists MatrixPairs<T>::shortlists(Index k, const std::vector<double>& v) {
  Shortlists lists(rows(), k);
  std::vector<Finder> finders(static_cast<std::size_t>(resolve_threads(context_.threads)));
  std::vector<std::vector<Pair>> pairs(finders.size());
  for_tiles(rows(), cols(), context_, [&](Index i, int worker) {
    std::vector<Pair>& found = pairs[static_cast<std::size_t>(worker)];
    const double rest = list(finders[static_cast<std::size_t>(worker)], i, k, v.data(), found);
    lists.set(i, found.data(), static_cast<Index>(found.size()), rest);
  });
  return lists;
}

template <class T>
double MatrixPairs<T>::shortlist(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) {
  return list(finder_, i, k, v.data(), pairs);
}

// Costs minus what is common to a row, and roughly to a column: what is left is what there is to choose.
template <class T>
MatrixPairs<T>::Centred MatrixPairs<T>::centred(const std::vector<RowSummary>& summaries) const {
  const Index n = rows(), m = cols();
  double largest = 0;
  std::vector<double> mean(n);
  for (Index i = 0; i < n; ++i) {
    largest = std::max(largest, summaries[i].largest);
    mean[i] = summaries[i].sum / static_cast<double>(summaries[i].finite);
  }
  Centred c{.v = std::vector<double>(m, 0.0)};
  if (!(largest > 0)) return c;
  c.scale = std::ldexp(1.0, -std::ilogb(largest));  // no cost overflows float
  std::vector<double> asked(m, 0.0);
  for (Index i = 0; i < n; i += std::max<Index>(1, n / kSampledRows)) {
    for (Index j = 0; j < m; ++j) {
      const double cost = static_cast<double>(cost_(i, j));
      if (std::isfinite(cost)) c.v[j] += cost - mean[i], asked[j] += 1;
    }
  }
  for (Index j = 0; j < m; ++j) c.v[j] /= std::max(1.0, asked[j]);

  c.scores = Matrix<float>(n, m);
  cpu::prefer_huge_pages(c.scores.data(), sizeof(float) * static_cast<std::size_t>(n * m));
  std::vector<double> squares(n);
  for_tiles(n, m, context_, [&](Index i, int) {
    squares[i] = centred_scores(cost_.row(i), c.v.data(), mean[i], c.scale, c.scores.view().row(i), m);
  });
  double total = 0, count = 0;
  for (Index i = 0; i < n; ++i) total += squares[i], count += static_cast<double>(summaries[i].finite);
  c.size = std::sqrt(total / count);
  return c;
}

template <class T>
std::vector<double> MatrixPairs<T>::start(const std::vector<RowSummary>& summaries) const {
  Centred c = centred(summaries);
  if (!(c.size > 0)) return c.v;
  ScoreBlocks blocks(std::move(c.scores), context_);
  std::vector<double> w(c.v.size(), 0.0);
  // Nothing is known of the dimension: a schedule that is good enough in any.
  sinkhorn_start(blocks, {.first = kFirst * c.size, .last = 4, .fall = 0.65, .omega = 1.7}, w);
  for (std::size_t j = 0; j < w.size(); ++j) c.v[j] += w[j] / c.scale;
  return c.v;
}

// Columns that some rows score alike are close.
template <class T>
std::vector<double> MatrixPairs<T>::start_in_groups(const std::vector<RowSummary>& summaries) const {
  Centred c = centred(summaries);
  if (!(c.size > 0)) return c.v;
  const Index n = rows(), m = cols();
  const double forbidden = -8 * c.size;  // rather than -infinity
  Matrix<float> seen(m, std::min(n, kSampledRows));
  for (Index s = 0; s < seen.cols(); ++s) {
    const float* row = c.scores.view().row(s * n / seen.cols());
    for (Index j = 0; j < m; ++j) seen(j, s) = std::max(row[j], static_cast<float>(forbidden));
  }
  const PointGroups groups = group_points(std::as_const(seen).view(), column_groups, context_);
  for_tiles(n, m, context_, [&](Index i, int) {
    float* row = c.scores.view().row(i);
    const std::vector<float> before(row, row + m);
    for (Index p = 0; p < m; ++p) row[p] = before[groups.order[p]];
  });
  ScoreBlocks blocks(std::move(c.scores), context_);
  const std::vector<double> w =
      grouped_start(groups.first, blocks, kFirst * c.size, std::vector<double>(c.v.size(), 0.0));
  for (Index p = 0; p < m; ++p) c.v[groups.order[p]] += w[p] / c.scale;
  return c.v;
}

template class MatrixPairs<float>;
template class MatrixPairs<double>;

}  // namespace monge::ot::detail
