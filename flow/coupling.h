#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::flow {

// Draws training pairs (x0 from the source law, x1 an atom of the data set). A batch is a pure function of the seed and
// the step number, so a run resumes from the step number alone, unless state() says what else it takes;
// implementations may cache what they need between steps.
class Coupling {
 public:
  virtual ~Coupling() = default;

  // Fills x0 (batch x dimensions) and, for each row, the index of the atom it is paired with.
  virtual void draw(std::uint64_t step, MatrixView<float> x0, VectorView<std::int32_t> atoms) = 0;

  // Whether x0 is paired with points that are no atoms (barycentric means). If so targets() gives those of the last
  // draw, batch x dimensions, and `atoms` were likely partners, whose labels may stand for the points'.
  virtual bool has_targets() const { return false; }
  virtual void targets(MatrixView<float> x1) const;

  // What the next draws depend on besides seed and step number; empty: nothing. A run is resumed after `step` steps
  // with restore(step, state). Throws Error(invalid_argument) when that is no state of this coupling.
  virtual std::vector<std::int32_t> state() const { return {}; }
  virtual void restore(std::uint64_t step, VectorView<const std::int32_t> state);
};

// What x0 is drawn from: N(0, I), or the rows of a set of points, equally likely. Borrowed.
struct CouplingSource {
  MatrixView<const float> points = {};         // M x dimensions; empty = N(0, I)
  VectorView<const std::int32_t> labels = {};  // M, of the points; empty = none
};

// How classes bear on who is paired with whom. Borrowed. A vector of N(0, I) has the label of the atom that it was
// drawn with, so that the law of the noise is the same for every class.
struct CouplingLabels {
  VectorView<const std::int32_t> atoms = {};  // N, of the atoms; empty = classes play no part
  // What a pair of different labels costs more, in units of |x0 - x1|^2; infinity: never paired, and x0 is drawn from
  // the source's points of the atom's class.
  double penalty = std::numeric_limits<double>::infinity();
};

struct IndependentOptions {
  std::uint64_t seed = 0;
  CouplingSource source = {};
  CouplingLabels labels = {};  // only an infinite penalty makes a difference
  Context context = {};
};

// x0 from the source and a uniform atom, independent of each other (given the class, where labels say so) and between
// rows. `atoms`: size of the data set. Throws Error(invalid_argument): sizes, a class without source points.
std::unique_ptr<Coupling> independent_coupling(Index atoms, const IndependentOptions& options);
inline std::unique_ptr<Coupling> independent_coupling(Index atoms, std::uint64_t seed, const Context& context = {}) {
  return independent_coupling(atoms, {.seed = seed, .context = context});
}

}  // namespace monge::flow
