#include <algorithm>
#include <limits>

#include "monge/flow/coupling.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

class IndependentCoupling final : public Coupling {
 public:
  IndependentCoupling(Index atoms, std::uint64_t seed, const Context& context)
      : atoms_(static_cast<std::uint64_t>(atoms)), rng_{seed, 0}, context_(context) {}

  void draw(std::uint64_t step, MatrixView<float> x0, VectorView<std::int32_t> atoms) override {
    require(atoms.size == x0.rows, "IndependentCoupling::draw: ", x0.rows, " rows of noise but room for ", atoms.size,
            " atoms");
    const Rng noise = rng_.substream(1), choice = rng_.substream(2);
    const std::uint64_t first = step * static_cast<std::uint64_t>(x0.rows);
    const Index block = std::max<Index>(1, 16384 / std::max<Index>(1, x0.cols));  // rows of a task
    parallel_for(context_.threads, (x0.rows + block - 1) / block, [&](Index task, int) {
      for (Index i = task * block; i < std::min(x0.rows, (task + 1) * block); ++i) {
        const std::uint64_t sample = first + static_cast<std::uint64_t>(i);
        fill_normal(noise, sample * static_cast<std::uint64_t>(x0.cols), VectorView<float>(x0.row(i), x0.cols));
        atoms[i] = static_cast<std::int32_t>(uniform_below(choice, sample, atoms_));
      }
    });
  }

 private:
  std::uint64_t atoms_;
  Rng rng_;
  Context context_;
};

}  // namespace

std::unique_ptr<Coupling> independent_coupling(Index atoms, std::uint64_t seed, const Context& context) {
  require(atoms > 0 && atoms <= std::numeric_limits<std::int32_t>::max(),
          "independent_coupling: the number of atoms must be in [1, 2^31), not ", atoms);
  return std::make_unique<IndependentCoupling>(atoms, seed, context);
}

}  // namespace monge::flow
