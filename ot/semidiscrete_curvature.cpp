#include "monge/ot/semidiscrete_curvature.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/blocks.h"
#include "monge/ot/kd_tree.h"
#include "monge/ot/score_tree.h"

namespace monge::ot::detail {
namespace {

constexpr double kForget = 0.7;     // what older batches said counts so much less at each new one
constexpr double kPriorRows = 0.3;  // noise vectors per atom that what is expected counts for
constexpr Index kNeighbours = 6;

// What is expected between an atom and those next to it: half a gap of a neighbour's potential, at equal share each,
// changes an atom's mass by a fourth. To be divided by the gap.
std::vector<Link> expected_links(const SemidualProblem& problem, const Context& context) {
  const AtomSet& atoms = problem.atoms;
  const Index n = atoms.size(), d = atoms.dimensions(), keep = std::min(kNeighbours + 1, n);
  const bool apart = problem.is_labelled() && std::isinf(problem.label_penalty);
  const VectorView<const std::int32_t> labels =
      apart ? VectorView<const std::int32_t>(atoms.labels) : VectorView<const std::int32_t>();
  ScoreTree tree(atoms.y.view(), labels, context);
  std::vector<float> level;  // |x - y|^2 / 2 is least where <x, y> - |y|^2 / 2 is largest
  for (Index j = 0; j < n; ++j)
    level.push_back(static_cast<float>(-0.5 * dot(atoms.y.view().row(j), atoms.y.view().row(j), d)));
  tree.set_biases(level, context);
  Matrix<float> scores(n, keep);
  Matrix<std::int32_t> nearest(n, keep);
  tree.find(atoms.y.view(), labels, HUGE_VALF, scores.view(), nearest.view(), context);
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
    : place_(own.size()), prior_(expected_links(problem, context)) {
  const AtomSet& atoms = problem.atoms;
  Matrix<double> points(atoms.size(), atoms.dimensions());
  for (Index j = 0; j < atoms.y.rows() * atoms.y.cols(); ++j) points.data()[j] = static_cast<double>(atoms.y.data()[j]);
  order_ = kd_order(std::as_const(points).view(), 4, context);
  for (std::size_t p = 0; p < order_.size(); ++p) {
    place_[static_cast<std::size_t>(order_[p])] = static_cast<std::int32_t>(p);
    own_.push_back(own[static_cast<std::size_t>(order_[p])]);
  }
}

void Curvature::add(const std::vector<Link>& links, Index rows, double gap) {
  const auto n = static_cast<double>(own_.size());
  for (Link& link : measured_) link.weight *= kForget;
  rows_ = kForget * rows_ + static_cast<double>(rows);
  measured_.insert(measured_.end(), links.begin(), links.end());
  merge_links(measured_, static_cast<Index>(own_.size()));
  std::vector<Link> all;
  const double all_rows = rows_ + kPriorRows * n;
  const auto put = [&](const Link& link, double scale) {
    const auto [j, k] = std::minmax(place_[static_cast<std::size_t>(link.j)], place_[static_cast<std::size_t>(link.k)]);
    all.push_back({j, k, scale * link.weight});
  };
  for (const Link& link : measured_) put(link, 1 / all_rows);
  for (const Link& link : prior_) put(link, kPriorRows * n / (gap * all_rows));
  merge_links(all, static_cast<Index>(own_.size()));
  grids_ = Multigrid(own_, std::move(all));
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
