#pragma once
#include <cstdint>
#include <memory>

#include "monge/ot/core/array.h"

namespace monge::flow {

// Draws training pairs (x0 from the source law, x1 an atom of the data set). A batch is a pure function of the seed and
// the step number, so a run resumes from the step number alone; implementations may cache what they need between steps.
class Coupling {
 public:
  virtual ~Coupling() = default;

  // Fills x0 (batch x dimensions) and, for each row, the index of the atom it is paired with.
  virtual void draw(std::uint64_t step, MatrixView<float> x0, VectorView<std::int32_t> atoms) = 0;
};

// x0 ~ N(0, I) and a uniform atom, independent of each other and between rows. `atoms`: size of the data set.
std::unique_ptr<Coupling> independent_coupling(Index atoms, std::uint64_t seed, const Context& context = {});

}  // namespace monge::flow
