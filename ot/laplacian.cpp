#include "monge/ot/laplacian.h"

#include <algorithm>
#include <utility>

#include "monge/ot/blocks.h"

namespace monge::ot::detail {
namespace {

constexpr std::int32_t kGroup = 4;
constexpr double kSmoothing = 0.7;  // of a sweep of Jacobi's
constexpr double kOvercorrection =
    1.6;  // a correction that jumps between groups meets more resistance than a smooth one

double product(const std::vector<double>& a, const std::vector<double>& b) {
  return dot(a.data(), b.data(), static_cast<Index>(a.size()));
}

}  // namespace

void merge_links(std::vector<Link>& links, Index n) {
  std::vector<Index> first(static_cast<std::size_t>(n) + 1, 0), kept(static_cast<std::size_t>(n));
  for (const Link& link : links) ++first[static_cast<std::size_t>(link.j) + 1];
  for (Index j = 0; j < n; ++j) first[j + 1] += first[j];
  std::vector<Link> rows(links.size());
  std::vector<Index> next(first);
  for (const Link& link : links) rows[static_cast<std::size_t>(next[static_cast<std::size_t>(link.j)]++)] = link;
  for_blocks(n, 64, [&](Index, Index begin, Index end) {
    for (Index j = begin; j < end; ++j) {
      Link* row = rows.data() + first[j];
      const Index count = first[j + 1] - first[j];
      std::stable_sort(row, row + count, [](const Link& a, const Link& b) { return a.k < b.k; });
      Index& k = kept[j] = 0;
      for (Index i = 0; i < count; ++i) {
        if (k > 0 && row[k - 1].k == row[i].k)
          row[k - 1].weight += row[i].weight;
        else
          row[k++] = row[i];
      }
    }
  });
  links.clear();
  for (Index j = 0; j < n; ++j) links.insert(links.end(), rows.data() + first[j], rows.data() + first[j] + kept[j]);
}

Laplacian::Laplacian(const std::vector<double>& own, const std::vector<Link>& merged)
    : diagonal(own), first(own.size() + 1, 0), column(2 * merged.size()), weight(2 * merged.size()) {
  for (const Link& link : merged)
    for (const std::int32_t j : {link.j, link.k}) {
      diagonal[static_cast<std::size_t>(j)] += link.weight;
      ++first[static_cast<std::size_t>(j) + 1];
    }
  for (std::size_t j = 0; j < own.size(); ++j) first[j + 1] += first[j];
  std::vector<Index> next(first);
  for (const Link& link : merged)
    for (const auto& [j, k] : {std::pair{link.j, link.k}, {link.k, link.j}}) {
      const Index at = next[static_cast<std::size_t>(j)]++;
      column[static_cast<std::size_t>(at)] = k;
      weight[static_cast<std::size_t>(at)] = link.weight;
    }
}

void Laplacian::multiply(const std::vector<double>& x, std::vector<double>& out) const {
  for_blocks(size(), 16, [&](Index, Index begin, Index end) {
    for (Index j = begin; j < end; ++j) {
      double sum = diagonal[j] * x[j];
      for (Index at = first[j]; at < first[j + 1]; ++at) sum -= weight[at] * x[column[at]];
      out[j] = sum;
    }
  });
}

Multigrid::Multigrid(std::vector<double> own, std::vector<Link> merged) {
  for (;;) {
    levels_.emplace_back(own, merged);
    if (own.size() == 1) return;
    std::vector<double> sums((own.size() + kGroup - 1) / kGroup, 0.0);
    for (std::size_t j = 0; j < own.size(); ++j) sums[j / kGroup] += own[j];
    own = std::move(sums);
    std::erase_if(merged, [](const Link& l) { return l.j / kGroup == l.k / kGroup; });
    for (Link& link : merged) link.j /= kGroup, link.k /= kGroup;
    merge_links(merged, static_cast<Index>(own.size()));
  }
}

void Multigrid::cycle(std::size_t level, const std::vector<double>& b, std::vector<double>& x) const {
  const Laplacian& a = levels_[level];
  const std::size_t n = b.size();
  for (std::size_t j = 0; j < n; ++j) x[j] = kSmoothing * b[j] / a.diagonal[j];
  if (level + 1 == levels_.size()) return;
  std::vector<double> product(n), sums((n + kGroup - 1) / kGroup, 0.0), coarse(sums.size());
  a.multiply(x, product);
  for (std::size_t j = 0; j < n; ++j) sums[j / kGroup] += b[j] - product[j];
  cycle(level + 1, sums, coarse);
  for (std::size_t j = 0; j < n; ++j) x[j] += kOvercorrection * coarse[j / kGroup];
  a.multiply(x, product);
  for (std::size_t j = 0; j < n; ++j) x[j] += kSmoothing * (b[j] - product[j]) / a.diagonal[j];
}

std::vector<double> Multigrid::solve(const std::vector<double>& b, double tolerance, int most) const {
  const Laplacian& a = levels_.front();
  const std::size_t n = b.size();
  std::vector<double> x(n, 0.0), rest(b), z(n), along(n), image(n);
  double goal = 0, size = 0;
  for (int k = 0; k < most; ++k) {
    cycle(0, rest, z);
    const double before = std::exchange(size, product(rest, z));
    if (k == 0) goal = tolerance * tolerance * size;
    if (!(size > goal)) break;
    for (std::size_t j = 0; j < n; ++j) along[j] = z[j] + (k > 0 ? size / before : 0.0) * along[j];
    a.multiply(along, image);
    const double step = size / product(along, image);
    for (std::size_t j = 0; j < n; ++j) x[j] += step * along[j], rest[j] -= step * image[j];
  }
  return x;
}

}  // namespace monge::ot::detail
