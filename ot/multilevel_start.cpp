#include "monge/ot/multilevel_start.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "monge/ot/assignment_paths.h"
#include "monge/ot/clipped_mean.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/listed_dual.h"
#include "monge/ot/tree_pairs.h"

namespace monge::ot::detail {
namespace {

constexpr Index kCoarsest = 64;  // groups of the first level
constexpr Index kFiner = 4;      // groups of the next for each
constexpr Index kListed = ListedDual::most_listed;
constexpr double kOmega = 1.7;                    // over-relaxation
constexpr Index kSearched = 40;                   // pairs of a list that is searched
constexpr int kPasses = 8, kPassesWithSteps = 3;  // of Sinkhorn's, alone; before and after a step of Newton's

// Steps of Newton's between lists, and how far these can be relied upon: sixteen pairs are more of what lies near in
// two dimensions than in three.
struct Reach {
  double rounds[2];  // temperatures one after the other, in units of the spacing
  int steps;
  double farthest;          // a step, in temperatures
  double coldest, warmest;  // temperatures of rows, in usual ones
  double unbalanced;        // groups, by what they lack as a share of all, are assigned
};
Reach reach_of(MatrixView<const double> x) {
  // What passes leave undone makes for long paths, which cost many points more than steps do.
  const bool flat = x.cols <= 2;
  if (x.rows < (flat ? 8000 : 20000)) return {{2.5, 1}, 0, 0, 1, 1, .02};
  return flat ? Reach{{2.5, 1}, 2, 32, .25, std::numeric_limits<double>::infinity(), .005}
              : Reach{{2.5, 1.5}, 1, 8, .25, 16, .005};
}

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

double least_reduced(const Shortlist& list, const std::vector<double>& v) {
  double least = std::numeric_limits<double>::infinity();
  for (const Pair& pair : list) least = std::min(least, pair.cost - v[pair.column]);
  return least;
}

// What the reduced costs of a row's best pairs differ by, from one to the next.
double spacing(const Shortlist& list, const std::vector<double>& v) {
  return (list.rest - std::min(list.rest, least_reduced(list, v))) / static_cast<double>(list.count);
}

// f_i = softmin_j c_ij - v_j over the lists.
std::vector<double> softmin(const Shortlists& lists, const std::vector<double>& epsilon, const std::vector<double>& v) {
  std::vector<double> f(epsilon.size());
  for (std::size_t i = 0; i < f.size(); ++i) {
    const Shortlist& list = lists[static_cast<Index>(i)];
    const double least = least_reduced(list, v);
    double sum = 0;
    for (const Pair& pair : list) sum += std::exp((least - (pair.cost - v[pair.column])) / epsilon[i]);
    f[i] = epsilon[i] > 0 ? least - epsilon[i] * std::log(sum) : least;
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

// `times` each row's own spacing.
std::vector<double> temperatures(const Shortlists& lists, const std::vector<double>& v, double times,
                                 const Reach& reach, Index rows) {
  const double usual = usual_spacing(lists, v, rows);
  std::vector<double> epsilon(rows);
  for (Index i = 0; i < rows; ++i) {
    const double own = spacing(lists[i], v);
    epsilon[i] = times * (std::isfinite(own) ? std::clamp(own, reach.coldest * usual, reach.warmest * usual) : usual);
  }
  return epsilon;
}

// Potentials of one level, from those of the level before. Returns the lists and temperatures they were found with.
struct Balanced {
  Shortlists lists;
  std::vector<double> epsilon;  // all zero if all points are the same
  double imbalance = 0;
};
Balanced balance(TreePairs& pairs, const Groups& x, const Groups& y, const Reach& reach, double& farthest,
                 std::vector<double>& v, const Context& context) {
  const Index n = pairs.rows(), listed = std::min(kListed, n);
  constexpr double nothing = 1e-290;  // whose inverse may overflow
  Balanced b{pairs.shortlists(listed, v), std::vector<double>(n, 0.0)};
  for (const double times : reach.rounds) {
    if (!(usual_spacing(b.lists, v, n) > nothing)) break;
    b.epsilon = temperatures(b.lists, v, times, reach, n);
    auto dual = std::make_unique<ListedDual>(b.lists, x.masses, y.masses, b.epsilon, context);
    if (reach.steps == 0) {
      dual->sinkhorn(kPasses, kOmega, v);
      if (x.masses.front() > 1) b.imbalance = dual->imbalance(v);  // of single points nobody asks
      b.lists = pairs.shortlists(listed, v);
      continue;
    }
    dual->sinkhorn(kPassesWithSteps, kOmega, v);
    const double before = dual->imbalance(v);
    std::vector<double> moved(v);
    for (int k = 0; k < reach.steps; ++k) dual->newton(kPassesWithSteps, kOmega, farthest, moved);
    dual.reset();
    // Where regions have moved too far, new lists say so, when passes have put right what lies close together.
    Shortlists fresh = pairs.shortlists(listed, moved);
    dual = std::make_unique<ListedDual>(fresh, x.masses, y.masses, b.epsilon, context);
    dual->sinkhorn(kPassesWithSteps, kOmega, moved);
    const double after = dual->imbalance(moved);
    farthest = after < before ? std::min(2 * farthest, reach.farthest) : std::max(farthest / 4, 0.5);
    const bool good = after <= 1.5 * before;
    if (good) v.swap(moved);
    b.imbalance = good ? after : before;
    b.lists = good ? std::move(fresh) : pairs.shortlists(listed, v);
  }
  return b;
}

// Groups as points of one mass, assigned: clusters that lie far apart differ in their potentials by what the few rows
// say which go from one to the other, and which no list knows that is not searched.
void assign_groups(TreePairs& pairs, std::vector<double>& v, const Context& context) {
  AssignmentOptions options;
  options.progress = [&](const AssignmentProgress&) {
    if (context.stop) context.stop->look();
    return true;
  };
  Monitor monitor(options, pairs.rows(), "assign");
  Shortlists lists = pairs.shortlists(std::min(kSearched, pairs.rows()), v);
  const ListSearchOptions search_options{.epsilons = fine_epsilons(lists, v, pairs.rows())};
  v = search(pairs, lists, std::move(v), monitor, search_options)->v;
}

// Columns only fall from here on. One that is too low has all others fall until it is wanted, one that is too high
// falls alone: each rises until some row wants it, and then by a dozen spacings, as far as it may be off.
void lift(TreePairs& across, const std::vector<double>& f, std::vector<double>& v) {
  constexpr double most = 12;
  const Shortlists nearest = across.shortlists(std::min<Index>(kListed, across.cols()), f);
  for (std::size_t j = 0; j < v.size(); ++j) {
    const Shortlist& list = nearest[static_cast<Index>(j)];
    const double own = spacing(list, f);
    v[j] = std::max(v[j], least_reduced(list, f)) + (std::isfinite(own) ? most * own : 0.0);
  }
}

}  // namespace

double usual_spacing(const Shortlists& lists, const std::vector<double>& v, Index rows) {
  std::vector<double> all;
  for (Index i = 0; i < rows; ++i) {
    const double own = spacing(lists[i], v);
    if (own > 0 && std::isfinite(own)) all.push_back(own);
  }
  return clipped_mean(std::move(all));
}

std::vector<double> fine_epsilons(const Shortlists& lists, const std::vector<double>& v, Index rows) {
  const double spacing = usual_spacing(lists, v, rows);
  if (!(spacing > 0)) return {};
  return {0.5 * spacing, 0.05 * spacing};
}

std::vector<double> multilevel_start(MatrixView<const double> x, MatrixView<const double> y, const Context& context) {
  Index size = 1;
  while (x.rows / size > 4 * kCoarsest) size *= kFiner;
  Groups xs = groups(x, size), ys = groups(y, size);
  std::vector<double> v = coarsest(xs, ys, context);
  const Reach reach = reach_of(x);
  double farthest = reach.farthest;
  bool assigned = false;
  for (;; size /= kFiner) {
    TreePairs pairs(std::as_const(xs.centroids).view(), std::as_const(ys.centroids).view(), context);
    Balanced level = balance(pairs, xs, ys, reach, farthest, v, context);
    if (size == 1) {
      if (reach.steps == 0 && !assigned) return v;
      level.epsilon.assign(level.epsilon.size(), 0.0);
      TreePairs across(std::as_const(ys.centroids).view(), std::as_const(xs.centroids).view(), context);
      lift(across, softmin(level.lists, level.epsilon, v), v);
      return v;
    }
    if (level.imbalance > reach.unbalanced) {
      assign_groups(pairs, v, context);
      assigned = true;
      level.lists = pairs.shortlists(std::min(kListed, pairs.rows()), v);
    }
    // The potentials of this level's rows price the next one's columns.
    const std::vector<double> f = softmin(level.lists, level.epsilon, v);
    Groups finer = groups(y, size / kFiner);
    TreePairs across(std::as_const(finer.centroids).view(), std::as_const(xs.centroids).view(), context);
    const Shortlists priced = across.shortlists(std::min(kListed, across.cols()), f);
    const Index m = across.rows();
    v = softmin(priced, std::vector<double>(m, usual_spacing(priced, f, m)), f);
    ys = std::move(finer);
    xs = groups(x, size / kFiner);
  }
}

}  // namespace monge::ot::detail
