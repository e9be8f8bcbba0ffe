#include "monge/ot/listed_dual.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"

namespace monge::ot::detail {
namespace {

constexpr Index kWidth = ListedDual::most_listed;
constexpr Index kTile = 1024;
constexpr Index kGroup = 32;  // columns of the coarse problem's

}  // namespace

template <class Body>
void ListedDual::for_tiles(Index count, const Body& body) const {
  parallel_for(threads_worth(context_.threads, 8 * count * kWidth), (count + kTile - 1) / kTile, [&](Index t, int) {
    if (context_.stop) context_.stop->look();
    body(t, t * kTile, std::min(count, (t + 1) * kTile));
  });
}

ListedDual::ListedDual(const Shortlists& lists, const std::vector<double>& a, const std::vector<double>& b,
                       std::vector<double> epsilon, const Context& context)
    : lists_(lists),
      a_(a),
      b_(b),
      epsilon_(std::move(epsilon)),
      context_(context),
      n_(static_cast<Index>(a.size())),
      m_(static_cast<Index>(b.size())),
      column_(static_cast<std::size_t>(n_ * kWidth)),
      first_(static_cast<std::size_t>(m_ + 1), 0),
      plan_(static_cast<std::size_t>(n_ * kWidth)),
      mass_(b.size()),
      heat_(b.size()),
      own_(b.size()),
      row_sum_(a.size()) {
  Index listed = 0;
  for (Index i = 0; i < n_; ++i) {
    usual_ += epsilon_[i] / static_cast<double>(n_);
    for (Index p = 0; p < lists[i].count; ++p) {
      const std::int32_t j = column_[i * kWidth + p] = lists[i].pairs[p].column;
      ++first_[j + 1];
    }
    listed += lists[i].count;
  }
  for (Index j = 0; j < m_; ++j) first_[j + 1] += first_[j];
  entry_.resize(static_cast<std::size_t>(listed));
  std::vector<Index> next(first_.begin(), first_.end() - 1);
  for (Index i = 0; i < n_; ++i)
    for (Index p = 0; p < lists[i].count; ++p)
      entry_[next[column_[i * kWidth + p]]++] = static_cast<std::uint32_t>(i * kWidth + p);
}

double ListedDual::evaluate(const std::vector<double>& v) {
  std::vector<double> parts(static_cast<std::size_t>((n_ + kTile - 1) / kTile), 0.0);
  for_tiles(n_, [&](Index tile, Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Shortlist& list = lists_[i];
      float* plan = plan_.data() + i * kWidth;
      const double rate = 1 / epsilon_[i];
      double least = std::numeric_limits<double>::infinity();
      for (const Pair& pair : list) least = std::min(least, pair.cost - v[pair.column]);
      float sum = 0;
      for (Index p = 0; p < list.count; ++p) {
        const Pair& pair = list.pairs[p];
        sum += plan[p] = std::exp(static_cast<float>((least - (pair.cost - v[pair.column])) * rate));
      }
      const float share = static_cast<float>(a_[i]) / sum;
      for (Index p = 0; p < list.count; ++p) plan[p] *= share;
      parts[tile] += a_[i] * (least - epsilon_[i] * static_cast<double>(std::log(sum)));
    }
  });
  for_tiles(m_, [&](Index, Index begin, Index end) {
    for (Index j = begin; j < end; ++j) {
      double sum = 0, cold = 0;
      for (Index e = first_[j]; e < first_[j + 1]; ++e) {
        const double sent = static_cast<double>(plan_[entry_[e]]);
        sum += sent;
        cold += sent / epsilon_[entry_[e] / kWidth];
      }
      mass_[j] = sum;
      heat_[j] = cold > 0 ? sum / cold : usual_;
    }
  });
  double value = 0;
  for (const double part : parts) value += part;
  for (Index j = 0; j < m_; ++j) value += b_[j] * v[j];
  return value;
}

void ListedDual::sinkhorn(int passes, double omega, std::vector<double>& v) {
  for (int pass = 0; pass < passes; ++pass) {
    evaluate(v);
    // Lists know little of a column that is in few of them: one step never goes far.
    for (Index j = 0; j < m_; ++j)
      v[j] -= omega * heat_[j] * std::clamp(std::log(std::max(mass_[j], 1e-30) / b_[j]), -3.0, 3.0);
  }
}

// The curvature sum_i (diag(P_i) - P_i P_i^T / a_i) / epsilon_i.
void ListedDual::multiply(const std::vector<double>& z, std::vector<double>& out) {
  for_tiles(n_, [&](Index, Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      double sum = 0;
      for (Index p = i * kWidth; p < i * kWidth + lists_[i].count; ++p)
        sum += static_cast<double>(plan_[p]) * z[column_[p]];
      row_sum_[i] = sum / a_[i];
    }
  });
  for_tiles(m_, [&](Index, Index begin, Index end) {
    for (Index j = begin; j < end; ++j) {
      double sum = own_[j] * z[j];
      for (Index e = first_[j]; e < first_[j + 1]; ++e) {
        const Index i = entry_[e] / kWidth;
        sum += static_cast<double>(plan_[entry_[e]]) * (z[j] - row_sum_[i]) / epsilon_[i];
      }
      out[j] = sum;
    }
  });
}

// The curvature for steps that are the same throughout each group.
Multigrid ListedDual::between_groups() const {
  const Index groups = (m_ + kGroup - 1) / kGroup;
  std::vector<double> own(static_cast<std::size_t>(groups), 0.0);
  for (Index j = 0; j < m_; ++j) own[j / kGroup] += own_[j];
  std::vector<std::vector<Link>> parts(static_cast<std::size_t>((n_ + kTile - 1) / kTile));
  for_tiles(n_, [&](Index tile, Index begin, Index end) {
    std::vector<Link>& links = parts[tile];
    for (Index i = begin; i < end; ++i) {
      std::int32_t group[kWidth];
      double share[kWidth];
      int count = 0;
      for (Index p = i * kWidth; p < i * kWidth + lists_[i].count; ++p) {
        const std::int32_t g = column_[p] / static_cast<std::int32_t>(kGroup);
        int q = 0;
        while (q < count && group[q] != g) ++q;
        if (q == count) group[count] = g, share[count++] = 0;
        share[q] += static_cast<double>(plan_[p]);
      }
      const double rate = 1 / (a_[i] * epsilon_[i]);
      for (int p = 0; p < count; ++p)
        for (int q = p + 1; q < count; ++q)
          links.push_back({std::min(group[p], group[q]), std::max(group[p], group[q]), share[p] * share[q] * rate});
    }
    const auto before = [](const Link& x, const Link& y) { return x.j < y.j || (x.j == y.j && x.k < y.k); };
    std::stable_sort(links.begin(), links.end(), before);
    std::size_t kept = 0;
    for (std::size_t l = 0; l < links.size(); ++l) {
      if (kept > 0 && links[kept - 1].j == links[l].j && links[kept - 1].k == links[l].k)
        links[kept - 1].weight += links[l].weight;
      else
        links[kept++] = links[l];
    }
    links.resize(kept);
  });
  std::vector<Link> links;
  for (const std::vector<Link>& part : parts) links.insert(links.end(), part.begin(), part.end());
  merge_links(links, groups);
  return Multigrid(std::move(own), std::move(links));
}

// Conjugate gradients; what a column's own curvature and that between groups say is added up to precondition them.
std::vector<double> ListedDual::newton_step() {
  constexpr double smoothing = 0.5, overcorrection = 1.6, tolerance = 0.1;
  constexpr int most = 30;
  for (Index j = 0; j < m_; ++j) {
    // So that a column which hardly any list knows takes a short step.
    own_[j] = (1e-5 * b_[j] + std::max(0.0, 0.2 * b_[j] - mass_[j])) / heat_[j];
  }
  const Multigrid grid = between_groups();
  std::vector<double> diagonal(b_.size()), rest(b_.size()), z(b_.size()), step(b_.size(), 0.0), along(b_.size(), 0.0),
      image(b_.size()), sums(static_cast<std::size_t>((m_ + kGroup - 1) / kGroup)), coarse(sums.size());
  for (Index j = 0; j < m_; ++j) {
    diagonal[j] = own_[j] + mass_[j] / heat_[j];
    rest[j] = b_[j] - mass_[j];
  }
  double size = 0, goal = 0;
  for (int k = 0; k < most; ++k) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (Index j = 0; j < m_; ++j) sums[j / kGroup] += rest[j];
    grid.precondition(sums, coarse);
    const double before = std::exchange(size, 0.0);
    for (Index j = 0; j < m_; ++j) {
      z[j] = smoothing * rest[j] / diagonal[j] + overcorrection * coarse[j / kGroup];
      size += z[j] * rest[j];
    }
    if (k == 0) goal = tolerance * tolerance * size;
    if (!(size > goal)) break;
    for (Index j = 0; j < m_; ++j) along[j] = z[j] + (k > 0 ? size / before : 0.0) * along[j];
    multiply(along, image);
    double bent = 0;
    for (Index j = 0; j < m_; ++j) bent += along[j] * image[j];
    const double by = size / bent;
    for (Index j = 0; j < m_; ++j) step[j] += by * along[j], rest[j] -= by * image[j];
  }
  return step;
}

double ListedDual::imbalance(const std::vector<double>& v) {
  evaluate(v);
  double total = 0, off = 0;
  for (Index j = 0; j < m_; j += kGroup) {
    double sum = 0;
    for (Index k = j; k < std::min(m_, j + kGroup); ++k) sum += mass_[k] - b_[k], total += b_[k];
    off += std::abs(sum);
  }
  return off / total;
}

void ListedDual::newton(int passes, double omega, double farthest, std::vector<double>& v) {
  const double value = evaluate(v);
  std::vector<double> step = newton_step(), trial;
  for (Index j = 0; j < m_; ++j) step[j] = std::clamp(step[j], -farthest * heat_[j], farthest * heat_[j]);
  for (double share = 1; share > 0.01; share /= 4) {
    trial = v;
    for (Index j = 0; j < m_; ++j) trial[j] += share * step[j];
    sinkhorn(passes, omega, trial);
    if (!(evaluate(trial) > value)) continue;
    v.swap(trial);
    return;
  }
}

}  // namespace monge::ot::detail
