#include "monge/ot/source.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"

namespace monge::ot {
namespace {

constexpr const char* who = "source_of_points";

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

SourceLaw source_of_points(MatrixView<const float> x, VectorView<const double> weights) {
  require(!x.empty(), who, ": there are no points (", x.rows, " x ", x.cols, ")");
  require(x.device == Device{}, who, ": the points are not in the CPU's memory");
  require(weights.empty() || weights.size == x.rows, who, ": ", weights.size, " weights for ", x.rows, " points");
  if (weights.empty()) {
    return [x](const Rng& rng, std::uint64_t first, MatrixView<float> out) {
      require(out.cols == x.cols, who, ": points of ", x.cols, " dimensions asked for ", out.cols);
      for (Index i = 0; i < out.rows; ++i) {
        const std::uint64_t row =
            uniform_below(rng, first + static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(x.rows));
        std::copy_n(x.row(static_cast<Index>(row)), x.cols, out.row(i));
      }
    };
  }
  std::vector<double> up_to;
  double total = 0;
  for (Index i = 0; i < x.rows; ++i) {
    require(weights[i] >= 0 && std::isfinite(weights[i]), who, ": weight ", i, " is ", weights[i]);
    up_to.push_back(total += weights[i]);
  }
  require(total > 0 && std::isfinite(total), who, ": the weights add up to ", total);
  Index last = x.rows - 1;
  while (weights[last] == 0) --last;
  return [x, up_to, last](const Rng& rng, std::uint64_t first, MatrixView<float> out) {
    require(out.cols == x.cols, who, ": points of ", x.cols, " dimensions asked for ", out.cols);
    for (Index i = 0; i < out.rows; ++i) {
      const Rng::Block w = rng.bits(first + static_cast<std::uint64_t>(i));
      const auto at = std::upper_bound(up_to.begin(), up_to.end(), Rng::uniform(w.w[0], w.w[1]) * up_to.back());
      std::copy_n(x.row(std::min<Index>(at - up_to.begin(), last)), x.cols, out.row(i));
    }
  };
}

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
