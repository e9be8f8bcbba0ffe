#include "monge/ot/semidual.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "monge/ot/blocks.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/score_tree.h"

namespace monge::ot::detail {
namespace {

// Of the noise's label.
LabelLaw noise_law(const SemidiscreteOptions& o, const std::vector<LabelShare>& of_atoms) {
  return {"semidiscrete: noise_labels", o.noise_labels.empty() ? of_atoms : o.noise_labels};
}

// Where unequal labels are forbidden, noise of each label must find atoms, and room on them if masses may not stray.
void require_feasible(const LabelLaw& noise, const LabelLaw& atoms, bool unbalanced) {
  for (const auto& [label, share] : noise.shares()) {
    const double room = atoms.share(label);
    if (room > 0 && (unbalanced || std::abs(room - share) <= 1e-6)) continue;
    throw Error(Errc::infeasible, concat("semidiscrete: a share of ", share, " of the noise has label ", label,
                                         ", atoms of that label weigh ", room, ", and label_penalty is infinite"));
  }
  for (const auto& [label, room] : atoms.shares()) {
    if (unbalanced || noise.share(label) > 0) continue;
    throw Error(Errc::infeasible, concat("semidiscrete: atoms of label ", label, " weigh ", room,
                                         ", no noise has it, and label_penalty is infinite"));
  }
}

}  // namespace

SemidualProblem make_semidual(const AtomSet& atoms, const SemidiscreteOptions& o, SourceLaw source) {
  // |x - y|^2 = |x|^2 + |y|^2 - 2 <x, y>: the same problem with half the prices.
  const double unit = o.cost == Cost::squared_euclidean ? 2 : 1;
  SemidualProblem problem{.atoms = atoms,
                          .epsilon = o.epsilon / unit,
                          .source = std::move(source),
                          .label_penalty = o.label_penalty / unit,
                          .tau = o.tau / unit};
  for (Index j = 0; j < atoms.size() && o.cost == Cost::squared_euclidean; ++j)
    problem.level.push_back(0.5 * atoms.squared_norm(j));
  problem.tree = tree_where_it_pays(atoms, problem.epsilon, problem.label_penalty, o.context);
  if (atoms.labels.empty() || o.label_penalty == 0) return problem;
  const std::vector<LabelShare> of_atoms = label_shares(atoms.labels, atoms.b);
  problem.labels = noise_law(o, of_atoms);
  if (std::isinf(o.label_penalty))
    require_feasible(problem.labels, LabelLaw("semidiscrete", of_atoms), problem.is_unbalanced());
  return problem;
}

std::vector<std::int32_t> SemidualProblem::draw_labels(const Rng& rng, std::uint64_t first, Index rows) const {
  std::vector<std::int32_t> drawn(static_cast<std::size_t>(is_labelled() ? rows : 0));
  if (is_labelled()) labels.draw(rng, first, drawn);
  return drawn;
}

SourceLaw projected_source(const SourceLaw& source, const std::optional<Pca>& pca) {
  if (!source || !pca) return source;
  const auto by_label = [&source, &pca](const Rng& rng, std::uint64_t first, VectorView<const std::int32_t> labels,
                                        MatrixView<float> out) {
    Matrix<float> x(out.rows, pca->basis.cols());
    source.fill(rng, first, labels, x.view());
    project(*pca, x.view(), out, {.threads = 1});
  };
  if (source.is_by_label()) return by_label;
  return [by_label](const Rng& rng, std::uint64_t first, MatrixView<float> out) { by_label(rng, first, {}, out); };
}

SourceLaw source_for(const SourceLaw& source, const SemidiscreteOptions& options, VectorView<const double> b) {
  if (!source.is_by_label() || options.label_penalty > 0) return source;
  const LabelLaw law = noise_law(options, label_shares(options.labels, b));
  return [&source, law](const Rng& rng, std::uint64_t first, MatrixView<float> out) {
    std::vector<std::int32_t> labels(static_cast<std::size_t>(out.rows));
    law.draw(label_stream(rng), first, labels);
    source.fill(rng, first, labels, out);
  };
}

Target target(const SemidualProblem& problem, const std::vector<double>& v) {
  const std::vector<double>& b = problem.atoms.b;
  const auto potential = [&](std::size_t j) { return v[j] + (problem.level.empty() ? 0.0 : problem.level[j]); };
  Target t;
  if (!problem.is_unbalanced()) {
    t.mass = b;
    for (std::size_t j = 0; j < v.size(); ++j) t.constant -= b[j] * potential(j);
    return t;
  }
  double least = HUGE_VAL, total = 0;
  for (std::size_t j = 0; j < v.size(); ++j) least = std::min(least, potential(j));
  for (std::size_t j = 0; j < v.size(); ++j) {
    const double share = std::exp((least - potential(j)) / problem.tau);
    t.mass.push_back(b[j] * std::max(share, 1e-200));  // never zero: shares are divided by it
    total += t.mass.back();
  }
  for (double& mass : t.mass) mass /= total;
  t.constant = problem.tau * std::log(total) - least;
  return t;
}

std::vector<float> score_biases(const AtomSet& atoms, double epsilon, const std::vector<double>& v) {
  std::vector<float> biases(v.size());
  for_blocks(atoms.size(), epsilon > 0 ? 8 : 1, [&](Index, Index begin, Index end) {
    for (Index j = begin; j < end; ++j)
      biases[j] = static_cast<float>(v[j] + (epsilon > 0 ? epsilon * std::log(atoms.b[j]) : 0.0));
  });
  return biases;
}

Scores<float> scores_of(const SemidualProblem& problem, MatrixView<const float> x,
                        VectorView<const std::int32_t> labels, VectorView<const float> biases) {
  Scores<float> s{.x = x, .y = problem.atoms.y.view(), .v = biases, .y_ready = problem.atoms.ready.get()};
  if (!problem.is_labelled()) return s;
  s.row_labels = labels;
  s.col_labels = problem.atoms.labels;
  s.label_penalty = static_cast<float>(problem.label_penalty);
  return s;
}

std::shared_ptr<ScoreTree> tree_where_it_pays(const AtomSet& atoms, double epsilon, double label_penalty,
                                              const Context& context) {
  if (epsilon > 0 || context.device.type != DeviceType::cpu) return nullptr;
  if (!atoms.labels.empty() && !std::isinf(label_penalty)) return nullptr;
  const std::set<std::int32_t> labels(atoms.labels.begin(), atoms.labels.end());
  const Index parts = std::max<Index>(1, static_cast<Index>(labels.size()));
  if (!ScoreTree::pays(atoms.size() / parts, atoms.dimensions())) return nullptr;
  return std::make_shared<ScoreTree>(atoms.exact.view(), atoms.labels, context);
}

void best_scores(const SemidualProblem& problem, const Scores<float>& s, MatrixView<double> values,
                 MatrixView<std::int32_t> columns, const Context& context) {
  if (problem.tree) return problem.tree->find(s.x, s.row_labels, HUGE_VAL, values, columns, context);
  Matrix<float> rounded(values.rows, values.cols);
  passes_for<float>(context.device).hardmin(s, rounded.view(), columns, context);
  for (Index i = 0; i < values.rows; ++i) std::copy_n(rounded.view().row(i), values.cols, values.row(i));
}

}  // namespace monge::ot::detail
