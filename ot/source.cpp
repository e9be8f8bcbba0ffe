#include "monge/ot/source.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"

namespace monge::ot {
namespace {

void require_finite(MatrixView<const float> x, std::uint64_t first) {
  for (Index i = 0; i < x.rows; ++i) {
    for (Index k = 0; k < x.cols; ++k) {
      if (std::isfinite(x(i, k))) continue;
      throw Error(Errc::not_finite, concat("draw: the source law gave ", x(i, k), " in sample ",
                                           first + static_cast<std::uint64_t>(i), ", dimension ", k));
    }
  }
}

}  // namespace

void draw(const SourceLaw& law, const Rng& rng, std::uint64_t first, MatrixView<float> out, const Context& context) {
  if (!law) return backend_for(out.device).normals(rng, first, out, context);
  if (out.device != Device{}) {
    Matrix<float> here(out.rows, out.cols);
    draw(law, rng, first, here.view(), context);
    return copy(here.view(), out);
  }
  constexpr Index block = 64;
  parallel_for(context.threads, (out.rows + block - 1) / block, [&](Index task, int) {
    const Index begin = task * block, count = std::min(block, out.rows - begin);
    const MatrixView<float> rows = out.rows_from(begin, count);
    const std::uint64_t row = first + static_cast<std::uint64_t>(begin);
    law(rng, row, rows);
    require_finite(rows, row);
  });
}

}  // namespace monge::ot
