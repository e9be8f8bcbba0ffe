#include "monge/ot/semidiscrete_curvature.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/blocks.h"
#include "monge/ot/kd_tree.h"
#include "monge/ot/score_tree.h"

namespace monge::ot::detail {
namespace {

constexpr double kForget = 0.85;    // what older batches said counts so much less at each new one
constexpr double kPriorRows = 0.5;  // noise vectors per atom that what is expected counts for
constexpr double kDue = 6;          // rows: an atom that should have had fewer may have had none by chance
constexpr Index kNeighbours = 6;

// What is expected between an atom and those next to it, to be divided by the width, the mean distance of its noise
// from the nearest border: between two borders a mass of b lies at b / (4 width), which six neighbours share. A
// potential that rises by dv moves the border by dv / |y_j - y_k|.
std::vector<Link> expected_links(const SemidualProblem& problem, const Context& context) {
  const AtomSet& atoms = problem.atoms;
  const Index n = atoms.size(), d = atoms.dimensions(), keep = std::min(kNeighbours + 1, n);
  const bool apart = problem.is_labelled() && std::isinf(problem.label_penalty);
  const VectorView<const std::int32_t> labels =
      apart ? VectorView<const std::int32_t>(atoms.labels) : VectorView<const std::int32_t>();
  ScoreTree tree(atoms.exact.view(), labels, context);
  std::vector<double> level;  // |x - y|^2 / 2 is least where <x, y> - |y|^2 / 2 is largest
  for (Index j = 0; j < n; ++j) level.push_back(-0.5 * dot(atoms.exact.view().row(j), atoms.exact.view().row(j), d));
  tree.set_biases(level, context);
  Matrix<double> scores(n, keep);
  Matrix<std::int32_t> nearest(n, keep);
  tree.find(atoms.exact.view(), labels, HUGE_VAL, scores.view(), nearest.view(), context);
  std::vector<Link> links;
  for (std::int32_t j = 0; j < n; ++j)
    for (Index l = 0; l < keep; ++l)
      if (const std::int32_t k = nearest(j, l); k >= 0 && k != j)
        links.push_back({std::min(j, k), std::max(j, k), 0.25 * atoms.b[static_cast<std::size_t>(j)] / kNeighbours});
  merge_links(links, n);
  return links;
}

}  // namespace

Curvature::Curvature(const SemidualProblem& problem, std::vector<double> own, const Context& context)
    : place_(own.size()), prior_(expected_links(problem, context)), had_(own.size(), 0.0), due_(own.size(), 0.0) {
  const AtomSet& atoms = problem.atoms;
  order_ = kd_order(atoms.exact.view(), 4, context);
  for (std::size_t p = 0; p < order_.size(); ++p) {
    place_[static_cast<std::size_t>(order_[p])] = static_cast<std::int32_t>(p);
    own_.push_back(own[static_cast<std::size_t>(order_[p])]);
  }
  const AtomDistance distance(atoms);
  std::vector<double> distances;
  for (const Link& link : prior_) distances.push_back(distance(link.j, link.k));
  double least = 0;
  if (!by_width(problem) && !prior_.empty()) {  // what one temperature can tell
    std::vector<double> sorted(distances);
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    least = *middle;
  }
  for (std::size_t l = 0; l < prior_.size(); ++l) prior_[l].weight /= std::max(least, distances[l]);
}

void Curvature::add(const BatchMass& batch, double width) {
  const auto n = static_cast<double>(own_.size());
  for (Link& link : measured_) link.weight *= kForget;
  rows_ = kForget * rows_ + static_cast<double>(batch.rows);
  for (std::size_t j = 0; j < had_.size(); ++j) {
    had_[j] = kForget * had_[j] + batch.mass[j];
    due_[j] = kForget * due_[j] + batch.target[j] * static_cast<double>(batch.rows);
  }
  least_width_ = std::min(least_width_, width);
  measured_.insert(measured_.end(), batch.links.begin(), batch.links.end());
  merge_links(measured_, static_cast<Index>(own_.size()));
  std::vector<Link> all;
  const double all_rows = rows_ + kPriorRows * n;
  const auto put = [&](const Link& link, double scale) {
    const auto [j, k] = std::minmax(place_[static_cast<std::size_t>(link.j)], place_[static_cast<std::size_t>(link.k)]);
    all.push_back({j, k, scale * link.weight});
  };
  // A cell that has lost most of its noise has few borders to be measured: what is expected stands in for them.
  const auto lack = [&](std::int32_t j) {
    const double had = had_[static_cast<std::size_t>(j)], due = due_[static_cast<std::size_t>(j)];
    return 1 - 4 * had / due;
  };
  for (const Link& link : measured_) put(link, 1 / all_rows);
  for (std::size_t l = 0; l < prior_.size(); ++l) {
    const double lacking = std::max({0.0, lack(prior_[l].j), lack(prior_[l].k)});
    put(prior_[l], kPriorRows * n / (width * all_rows) + lacking * lacking / least_width_);
  }
  merge_links(all, static_cast<Index>(own_.size()));
  grids_ = Multigrid(own_, std::move(all));
}

std::vector<std::int32_t> Curvature::lost(double worth) const {
  constexpr double share = 0.05;
  std::vector<std::int32_t> lost;
  double missing = 0;
  for (std::size_t j = 0; j < had_.size(); ++j)
    if (due_[j] >= kDue && had_[j] < share * due_[j]) lost.push_back(static_cast<std::int32_t>(j)), missing += due_[j];
  return missing > worth * rows_ ? lost : std::vector<std::int32_t>();
}

std::vector<double> Curvature::solve(const std::vector<double>& missing) const {
  constexpr double tolerance = 0.01;
  std::vector<double> b(missing.size()), change(missing.size());
  for (std::size_t p = 0; p < b.size(); ++p) b[p] = missing[static_cast<std::size_t>(order_[p])];
  const std::vector<double> x = grids_.solve(b, tolerance);
  for (std::size_t p = 0; p < b.size(); ++p) change[static_cast<std::size_t>(order_[p])] = x[p];
  return change;
}

}  // namespace monge::ot::detail
