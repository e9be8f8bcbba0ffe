#include "monge/ot/multilevel_start.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "monge/ot/clipped_mean.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/tree_pairs.h"

namespace monge::ot::detail {
namespace {

constexpr Index kCoarsest = 64;  // groups of the first level
constexpr Index kFiner = 4;      // groups of the next for each
constexpr Index kListed = 16;    // pairs of a row's list
constexpr double kOmega = 1.7;   // over-relaxation
constexpr int kPasses = 8;       // at one epsilon

// Groups of `size` neighbours.
struct Groups {
  Matrix<double> centroids;
  std::vector<double> masses;
};

Groups groups(MatrixView<const double> points, Index size) {
  const Index count = (points.rows + size - 1) / size;
  Groups g{Matrix<double>(count, points.cols), std::vector<double>(count)};
  for (Index c = 0; c < count; ++c) {
    const Index first = c * size, end = std::min(points.rows, first + size);
    g.masses[c] = static_cast<double>(end - first);
    for (Index k = 0; k < points.cols; ++k) {
      double sum = 0;
      for (Index p = first; p < end; ++p) sum += points(p, k);
      g.centroids(c, k) = sum / g.masses[c];
    }
  }
  return g;
}

// f_i = softmin_j c_ij - v_j over the lists.
std::vector<double> softmin(const Shortlists& lists, double epsilon, const std::vector<double>& v, Index rows) {
  std::vector<double> f(rows);
  for (Index i = 0; i < rows; ++i) {
    double least = std::numeric_limits<double>::infinity(), sum = 0;
    for (const Pair& pair : lists[i]) least = std::min(least, pair.cost - v[pair.column]);
    for (const Pair& pair : lists[i]) sum += std::exp((least - (pair.cost - v[pair.column])) / epsilon);
    f[i] = epsilon > 0 ? least - epsilon * std::log(sum) : least;
  }
  return f;
}

// Some passes over all pairs: epsilon falls from the clouds' own size to what lists can see.
std::vector<double> coarsest(const Groups& x, const Groups& y, const Context& context) {
  const Index n = x.centroids.rows(), m = y.centroids.rows();
  std::vector<double> v(m, 0.0), least(n), mass(m);
  const TreePairs pairs(x.centroids.view(), y.centroids.view(), context);
  Matrix<double> cost(n, m), plan(n, m);
  double total = 0;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < m; ++j) total += cost(i, j) = pairs.cost(i, j);
  const double size = total / static_cast<double>(n * m);
  for (double epsilon = size / 4; epsilon > size / static_cast<double>(n) && epsilon > 0; epsilon *= 0.7) {
    parallel_for(threads_worth(context.threads, 8 * n * m), n, [&](Index i, int) {
      double top = std::numeric_limits<double>::infinity(), sum = 0;
      for (Index j = 0; j < m; ++j) top = std::min(top, cost(i, j) - v[j]);
      for (Index j = 0; j < m; ++j)
        sum += plan(i, j) = static_cast<double>(std::exp(static_cast<float>((top - (cost(i, j) - v[j])) / epsilon)));
      for (Index j = 0; j < m; ++j) plan(i, j) *= x.masses[i] / sum;
    });
    std::fill(mass.begin(), mass.end(), 0.0);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < m; ++j) mass[j] += plan(i, j);
    for (Index j = 0; j < m; ++j) v[j] -= 1.5 * epsilon * std::log(std::max(mass[j], 1e-30) / y.masses[j]);
  }
  return v;
}

}  // namespace

double usual_spacing(const Shortlists& lists, const std::vector<double>& v, Index rows) {
  std::vector<double> all;
  for (Index i = 0; i < rows; ++i) {
    double first = lists[i].rest;
    for (const Pair& pair : lists[i]) first = std::min(first, pair.cost - v[pair.column]);
    const double between = (lists[i].rest - first) / static_cast<double>(lists[i].count);
    if (between > 0 && std::isfinite(between)) all.push_back(between);
  }
  return clipped_mean(std::move(all));
}

void list_passes(const Shortlists& lists, const std::vector<double>& a, const std::vector<double>& b, double epsilon,
                 int passes, double omega, std::vector<double>& v, const Context& context) {
  constexpr Index tile = 1024;
  const Index n = static_cast<Index>(a.size()), width = kListed;
  std::vector<float> sent(static_cast<std::size_t>(n * width));
  std::vector<double> mass(b.size());
  const double rate = 1 / epsilon;
  for (int pass = 0; pass < passes; ++pass) {
    parallel_for(threads_worth(context.threads, 8 * n * width), (n + tile - 1) / tile, [&](Index t, int) {
      if (context.stop) context.stop->look();
      for (Index i = t * tile; i < std::min(n, (t + 1) * tile); ++i) {
        float reduced[kListed];
        double least = std::numeric_limits<double>::infinity();
        const Shortlist& list = lists[i];
        for (const Pair& pair : list) least = std::min(least, pair.cost - v[pair.column]);
        float sum = 0;
        for (Index p = 0; p < list.count; ++p) {
          const Pair& pair = list.pairs[p];
          sum += reduced[p] = std::exp(static_cast<float>((least - (pair.cost - v[pair.column])) * rate));
        }
        const float share = static_cast<float>(a[i]) / sum;
        for (Index p = 0; p < list.count; ++p) sent[i * width + p] = share * reduced[p];
      }
    });
    std::fill(mass.begin(), mass.end(), 0.0);
    for (Index i = 0; i < n; ++i)
      for (Index p = 0; p < lists[i].count; ++p)
        mass[lists[i].pairs[p].column] += static_cast<double>(sent[i * width + p]);
    // Lists know little of a column that is in few of them: one step never goes far.
    for (std::size_t j = 0; j < v.size(); ++j)
      v[j] -= omega * epsilon * std::clamp(std::log(std::max(mass[j], 1e-30) / b[j]), -3.0, 3.0);
  }
}

std::vector<double> multilevel_start(MatrixView<const double> x, MatrixView<const double> y, const Context& context) {
  Index size = 1;
  while (x.rows / size > 4 * kCoarsest) size *= kFiner;
  Groups xs = groups(x, size), ys = groups(y, size);
  std::vector<double> v = coarsest(xs, ys, context);
  // Epsilons of a level, in units of its spacing. What a coarse level leaves undone makes for long paths, which cost
  // many points more than another round.
  constexpr Index many = 20000;
  const std::vector<double> rounds = x.rows < many ? std::vector<double>{3, 1} : std::vector<double>{6, 2.5, 1};
  double epsilon = 0;
  for (;; size /= kFiner) {
    const Index n = xs.centroids.rows();
    TreePairs pairs(std::as_const(xs.centroids).view(), std::as_const(ys.centroids).view(), context);
    Shortlists lists = pairs.shortlists(std::min<Index>(kListed, n), v);
    double spacing = usual_spacing(lists, v, n);
    for (const double times : rounds) {
      epsilon = times * spacing;
      if (!(epsilon > 0)) break;
      list_passes(lists, xs.masses, ys.masses, epsilon, kPasses, kOmega, v, context);
      lists = pairs.shortlists(std::min<Index>(kListed, n), v);
      spacing = usual_spacing(lists, v, n);
    }
    if (size == 1) return v;
    // The potentials of this level's rows price the next one's columns.
    const std::vector<double> f = softmin(lists, epsilon, v, n);
    Groups finer = groups(y, size / kFiner);
    TreePairs across(std::as_const(finer.centroids).view(), std::as_const(xs.centroids).view(), context);
    const Shortlists priced = across.shortlists(std::min<Index>(kListed, n), f);
    v = softmin(priced, epsilon, f, finer.centroids.rows());
    ys = std::move(finer);
    xs = groups(x, size / kFiner);
  }
}

}  // namespace monge::ot::detail
