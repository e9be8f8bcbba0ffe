#pragma once  // private: never installed
#include <limits>
#include <memory>
#include <vector>

#include "monge/ot/atoms.h"
#include "monge/ot/core/scores.h"
#include "monge/ot/label_law.h"
#include "monge/ot/semidiscrete.h"

namespace monge::ot {
class ScoreTree;
}

namespace monge::ot::detail {

// The problem in inner-product form: maximise over v the semidual with scores <x, y_j> + v_j and temperature epsilon.
// All prices are in units of the inner product.
struct SemidualProblem {
  const AtomSet& atoms;
  double epsilon = 0;
  SourceLaw source = {};     // in the space of the atoms
  LabelLaw labels = {};      // of the noise, where the atoms have labels
  double label_penalty = 0;  // off the score of unequal labels
  double tau = std::numeric_limits<double>::infinity();
  std::vector<double> level = {};        // N: the potential of v_j is v_j + level_j, up to a constant; empty: v_j
  std::shared_ptr<ScoreTree> tree = {};  // of the atoms, where it finds best scores faster than passes over all

  bool is_labelled() const { return !labels.empty(); }
  // Of noise vectors first, first + 1, ..., with which a source by label is drawn; none where labels play no part.
  std::vector<std::int32_t> draw_labels(const Rng& rng, std::uint64_t first, Index rows) const;
  bool is_unbalanced() const { return tau < std::numeric_limits<double>::infinity(); }
};

// As the options and the atoms have it. Throws infeasible (labels), invalid_argument, not_finite.
SemidualProblem make_semidual(const AtomSet& atoms, const SemidiscreteOptions& options, SourceLaw source);

// A source in d dimensions as the projected problem sees it. The standard normal stays itself. Borrows both.
SourceLaw projected_source(const SourceLaw& source, const std::optional<Pca>& pca);

// For the labels of noise that is drawn from a stream without another for them.
inline Rng label_stream(const Rng& rng) { return rng.substream(0x6C6162656C); }  // "label"

// The source as labels leave it: where they cost nothing, a law by label gives way to the mixture of its parts, which
// borrows it. b: of the atoms as given.
SourceLaw source_for(const SourceLaw& source, const SemidiscreteOptions& options, VectorView<const double> b);

// What atoms are to get under v, of sum one; and the constant to be added to v + level: <b, v + level> balances it to
// mean zero, or a free one solves sum_j b_j exp(-(v_j + level_j + constant) / tau) = 1.
struct Target {
  std::vector<double> mass;
  double constant = 0;
};
Target target(const SemidualProblem& problem, const std::vector<double>& v);

// The biases of the scores whose softmax (epsilon > 0) or argmax is the assignment: v_j + epsilon log b_j.
std::vector<float> score_biases(const AtomSet& atoms, double epsilon, const std::vector<double>& v);

// The tree of these atoms if there are few dimensions; where unequal labels meet it has to be none.
std::shared_ptr<ScoreTree> tree_where_it_pays(const AtomSet& atoms, double epsilon, double label_penalty,
                                              const Context& context);

// Scores of noise x, with labels if the problem has any, against the atoms.
Scores<float> scores_of(const SemidualProblem& problem, MatrixView<const float> x,
                        VectorView<const std::int32_t> labels, VectorView<const float> biases);

// The largest scores of every row; the problem's tree, if any, has been told of the biases. Columns of scores that are
// -infinity may be -1.
void best_scores(const SemidualProblem& problem, const Scores<float>& s, MatrixView<double> values,
                 MatrixView<std::int32_t> columns, const Context& context);

}  // namespace monge::ot::detail
