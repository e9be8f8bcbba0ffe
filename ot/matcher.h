#pragma once
#include <cstdint>
#include <memory>

#include "monge/ot/core/array.h"
#include "monge/ot/core/random.h"
#include "monge/ot/faiss_options.h"
#include "monge/ot/semidiscrete.h"

namespace monge::ot {

// Finds the atom a noise vector is sent to by fitted potentials. Whatever answers the search stands behind this.
class Matcher {
 public:
  virtual ~Matcher() = default;

  // atoms[i] = partner of noise row i (n x d, in the original space), whose label is labels[i] where the potentials
  // have labels (else: none). What is random (splitting a hit among merged atoms; the categorical draw when epsilon >
  // 0) is taken from block first + i of `rng`.
  virtual void match(MatrixView<const float> noise, VectorView<const std::int32_t> labels, const Rng& rng,
                     std::uint64_t first, VectorView<std::int32_t> atoms) const = 0;
  void match(MatrixView<const float> noise, const Rng& rng, std::uint64_t first, VectorView<std::int32_t> atoms) const {
    match(noise, {}, rng, first, atoms);
  }

  // Of the noise; empty if labels play no part.
  virtual const LabelLaw& noise_labels() const = 0;
};

// Our own streaming pass: exact, for any epsilon. y: the N x d atoms the potentials were fitted on; copied, to
// context.device. On a GPU noise and answers may be views of it, where noise is not looked at for NaN: without PCA and
// duplicate atoms nothing is copied then. Labels are the CPU's.
std::unique_ptr<Matcher> pass_matcher(MatrixView<const float> y, const SemidiscretePotentials& potentials,
                                      const Context& context = {});

// A FAISS inner-product index over (y_j, v_j). epsilon = 0 only, else Error(invalid_argument). Uses FAISS's own
// threads, but one alone to make a graph: it is the same every time.
std::unique_ptr<Matcher> faiss_matcher(MatrixView<const float> y, const SemidiscretePotentials& potentials,
                                       const FaissOptions& options = {}, const Context& context = {});

// Share of fresh noise rows, with labels as the matcher's law has them, for which `approximate` returns what `exact`
// does. Here and below a source may be a law by label where the matcher has labels.
double recall(const Matcher& approximate, const Matcher& exact, Index dimensions, Index samples, std::uint64_t seed,
              const SourceLaw& source = {}, const Context& context = {});

// Chi-square of the marginal that a matcher really gives, on `samples` fresh noise rows. b empty = uniform over N
// atoms.
MarginalError marginal_error(const Matcher& matcher, Index atoms, Index dimensions, Index samples, std::uint64_t seed,
                             VectorView<const double> b = {}, const SourceLaw& source = {},
                             const Context& context = {});

}  // namespace monge::ot
