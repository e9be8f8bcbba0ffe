#pragma once  // private: never installed
#include <vector>

#include "monge/ot/atoms.h"
#include "monge/ot/core/random.h"
#include "monge/ot/semidiscrete.h"

namespace monge::ot {

// Atoms and potentials as every matcher needs them: distinct, centred, projected, with the biases of their scores.
struct FittedAtoms {
  FittedAtoms(const char* caller, MatrixView<const float> y, const SemidiscretePotentials& potentials,
              const Context& context);

  bool is_labelled() const { return !noise_labels.empty(); }
  bool is_plain() const { return atoms.size() == atoms.original; }  // every distinct atom is itself
  // Of noise that is the CPU's also that it is finite.
  void check(const char* caller, MatrixView<const float> noise, VectorView<const std::int32_t> labels,
             VectorView<std::int32_t> out) const;
  // The noise itself, or its projection, which `storage` then holds.
  MatrixView<const float> in_score_space(MatrixView<const float> noise, Matrix<float>& storage) const;
  // Replaces distinct atoms by original ones; block first + i of rng's second substream splits a hit among duplicates.
  void to_members(const Rng& rng, std::uint64_t first, VectorView<std::int32_t> atoms) const;

  AtomSet atoms;
  std::optional<Pca> pca;
  double epsilon = 0;         // in units of the inner product
  std::vector<float> biases;  // epsilon log b included
  Index dimensions = 0;       // of the noise
  LabelLaw noise_labels;      // empty: labels play no part
  float label_penalty = 0;    // in units of the inner product
  Context context = {};
};

}  // namespace monge::ot
