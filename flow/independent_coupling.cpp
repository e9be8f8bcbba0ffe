#include <algorithm>
#include <cmath>

#include "monge/flow/coupling.h"
#include "monge/flow/source_points.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

class IndependentCoupling final : public Coupling {
 public:
  IndependentCoupling(Index atoms, const IndependentOptions& options)
      : atoms_(static_cast<std::uint64_t>(atoms)),
        options_(options),
        within_(!options.labels.atoms.empty() && std::isinf(options.labels.penalty)),
        source_(options.source, within_, Rng{options.seed}) {}

  void draw(std::uint64_t step, MatrixView<float> x0, VectorView<std::int32_t> atoms) override {
    require(atoms.size == x0.rows, "IndependentCoupling::draw: ", x0.rows, " rows of noise but room for ", atoms.size,
            " atoms");
    require(source_.standard_normal() || x0.cols == options_.source.points.cols, "IndependentCoupling::draw: x0 has ",
            x0.cols, " dimensions, the source points have ", options_.source.points.cols);
    const Rng choice = Rng{options_.seed}.substream(2);
    const std::uint64_t first = step * static_cast<std::uint64_t>(x0.rows);
    const Index block = std::max<Index>(1, 16384 / std::max<Index>(1, x0.cols));  // rows of a task
    parallel_for(options_.context.threads, (x0.rows + block - 1) / block, [&](Index task, int) {
      for (Index i = task * block; i < std::min(x0.rows, (task + 1) * block); ++i) {
        const std::uint64_t sample = first + static_cast<std::uint64_t>(i);
        atoms[i] = static_cast<std::int32_t>(uniform_below(choice, sample, atoms_));
        source_.draw(sample, within_ ? options_.labels.atoms[atoms[i]] : 0, {x0.row(i), x0.cols});
      }
    });
  }

 private:
  std::uint64_t atoms_;
  IndependentOptions options_;
  bool within_;
  SourcePoints source_;
};

}  // namespace

std::unique_ptr<Coupling> independent_coupling(Index atoms, const IndependentOptions& options) {
  check_pairing("independent_coupling", atoms, 0, options.source, options.labels);
  return std::make_unique<IndependentCoupling>(atoms, options);
}

}  // namespace monge::flow
