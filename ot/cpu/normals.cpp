#include <algorithm>

#include "monge/ot/core/parallel.h"
#include "monge/ot/cpu/passes.h"

namespace monge::ot::cpu {

void normals(const Rng& rng, std::uint64_t first, MatrixView<float> out, const Context& context) {
  constexpr Index block = 64;
  parallel_for(context.threads, (out.rows + block - 1) / block, [&](Index task, int) {
    for (Index i = task * block; i < std::min(out.rows, (task + 1) * block); ++i) {
      const std::uint64_t row = first + static_cast<std::uint64_t>(i);
      fill_normal(rng, row * static_cast<std::uint64_t>(out.cols), {out.row(i), out.cols});
    }
  });
}

}  // namespace monge::ot::cpu
