#include "monge/ot/semidiscrete_levels.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/core/stop.h"
#include "monge/ot/kd_tree.h"
#include "monge/ot/score_tree.h"
#include "monge/ot/semidiscrete_start.h"

namespace monge::ot::detail {
namespace {

constexpr Index kGroup = 4;      // neighbours
constexpr Index kCoarsest = 16;  // groups worth a problem of their own
constexpr Index kLooks = 16;     // noise vectors for each group

double softmax(const double* scores, Index count, double epsilon) {
  double sum = 0;
  for (Index k = 0; k < count && scores[k] > -HUGE_VAL; ++k) sum += std::exp((scores[k] - scores[0]) / epsilon);
  return scores[0] + epsilon * std::log(sum);
}

// Groups of neighbours as atoms: their centroids, with all of their mass.
AtomSet centroids(const AtomSet& atoms, const Context& context) {
  const Index n = atoms.size(), d = atoms.dimensions(), groups = (n + kGroup - 1) / kGroup;
  const MatrixView<const double> points = atoms.exact.view();
  const std::vector<std::int32_t> order = kd_order(points, kGroup, context);
  AtomSet coarse;
  coarse.y = Matrix<float>(groups, d);
  coarse.exact = Matrix<double>(groups, d);
  coarse.original = groups;
  coarse.b.assign(static_cast<std::size_t>(groups), 0.0);
  std::vector<double> sum(static_cast<std::size_t>(groups * d), 0.0);
  for (Index p = 0; p < n; ++p) {
    const Index j = order[static_cast<std::size_t>(p)], c = p / kGroup;
    const double b = atoms.b[static_cast<std::size_t>(j)];
    coarse.b[static_cast<std::size_t>(c)] += b;
    for (Index k = 0; k < d; ++k) sum[static_cast<std::size_t>(c * d + k)] += b * points(j, k);
  }
  for (Index c = 0; c < groups; ++c)
    for (Index k = 0; k < d; ++k) {
      coarse.exact(c, k) = sum[static_cast<std::size_t>(c * d + k)] / coarse.b[static_cast<std::size_t>(c)];
      coarse.y(c, k) = static_cast<float>(coarse.exact(c, k));
    }
  return coarse;
}

// Noise, what each vector gets of the potentials v, f(x) = softmax_j <x, y_j> + v_j, and at what temperature.
struct Priced {
  Matrix<float> x;
  std::vector<double> price;  // -f(x)
  double epsilon = 0;         // the mean gap between best and second best
};

Priced price_noise(const SemidualProblem& problem, const std::vector<double>& v, const Rng& rng,
                   const Context& context) {
  constexpr Index keep = 8;
  const Index rows = kLooks * problem.atoms.size();
  Priced noise{Matrix<float>(rows, problem.atoms.dimensions()), {}};
  draw(problem.source, rng, 0, noise.x.view(), context);
  const std::vector<float> biases = score_biases(problem.atoms, 0, v);
  if (problem.tree) problem.tree->set_biases(v, context);
  Matrix<double> scores(rows, keep);
  Matrix<std::int32_t> columns(rows, keep);
  best_scores(problem, scores_of(problem, noise.x.view(), {}, biases), scores.view(), columns.view(), context);
  for (Index i = 0; i < rows; ++i) noise.epsilon += (scores(i, 0) - scores(i, 1)) / static_cast<double>(rows);
  noise.epsilon = std::max(noise.epsilon, 1e-30);
  for (Index i = 0; i < rows; ++i) noise.price.push_back(-softmax(scores.view().row(i), keep, noise.epsilon));
  return noise;
}

// The potentials at which every atom would get its mass, if the noise's stayed what they are: half an iteration of
// Sinkhorn's.
std::vector<double> price_atoms(const AtomSet& atoms, const Priced& noise, const Context& context) {
  constexpr Index most = 32;
  const Index keep = std::min(most, noise.x.rows());
  ScoreTree tree(noise.x.view(), {}, context);
  tree.set_biases(noise.price, context);
  Matrix<double> scores(atoms.size(), keep);
  Matrix<std::int32_t> columns(atoms.size(), keep);
  tree.find(atoms.exact.view(), {}, 12 * noise.epsilon, scores.view(), columns.view(), context);
  std::vector<double> v;
  for (Index j = 0; j < atoms.size(); ++j)
    v.push_back(noise.epsilon * std::log(atoms.b[static_cast<std::size_t>(j)]) -
                softmax(scores.view().row(j), keep, noise.epsilon));
  recentre(v, atoms.b);
  return v;
}

}  // namespace

LevelsStart levels_start(const SemidualProblem& problem, const SemidiscreteOptions& options) {
  const AtomSet& atoms = problem.atoms;
  const bool plain = !problem.is_labelled() && !problem.is_unbalanced() && problem.epsilon == 0;
  const bool few = atoms.dimensions() >= 2 && atoms.dimensions() <= KdTree::most_dims;
  if (!plain || !few || atoms.size() < kCoarsest * kGroup) return {};
  const AtomSet coarse = centroids(atoms, options.context);
  const SemidualProblem above{
      .atoms = coarse, .source = problem.source, .tree = tree_where_it_pays(coarse, 0, 0, options.context)};
  SemidiscreteOptions rough = options;
  rough.tolerance = 0.25;
  const double most = std::max(60.0, 8e3 / static_cast<double>(coarse.size()));
  rough.max_samples_per_atom = options.max_samples_per_atom > 0 ? std::min(most, options.max_samples_per_atom) : most;
  rough.max_seconds = 0;
  rough.labels = {};
  rough.seed = Rng{options.seed}.substream(9).stream;  // noise of its own
  rough.on_step = {};
  const Fit fit = fit_semidual(above, rough, [](const std::vector<double>&) { return true; });
  if (options.context.stop) options.context.stop->look();
  const Priced noise = price_noise(above, fit.v, Rng{rough.seed}.substream(9), options.context);
  const double share = static_cast<double>(coarse.size()) / static_cast<double>(atoms.size());
  return {.v = price_atoms(atoms, noise, options.context),
          .samples = share * (fit.samples + static_cast<double>(kLooks)),
          .gemm_rows = share * (fit.gemm_rows + static_cast<double>(kLooks))};
}

}  // namespace monge::ot::detail
