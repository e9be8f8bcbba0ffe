#include "monge/flow/coupling.h"

#include "monge/ot/core/error.h"

namespace monge::flow {

void Coupling::targets(MatrixView<float>) const {
  throw Error(Errc::invalid_argument, "Coupling::targets: the partners of this coupling are atoms");
}

void Coupling::restore(std::uint64_t, VectorView<const std::int32_t> state) {
  require(state.empty(), "Coupling::restore: a state of ", state.size, " numbers, this coupling has none");
}

}  // namespace monge::flow
