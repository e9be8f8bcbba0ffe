#include "monge/ot/source.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
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

// Rows to draw from.
struct Rows {
  std::vector<Index> rows;
  std::vector<double> up_to;  // their weights, cumulated; empty: all alike

  Index draw(const Rng& rng, std::uint64_t number) const {
    if (up_to.empty()) return rows[uniform_below(rng, number, rows.size())];
    const Rng::Block w = rng.bits(number);
    const auto at = std::upper_bound(up_to.begin(), up_to.end(), Rng::uniform(w.w[0], w.w[1]) * up_to.back());
    return rows[std::min(static_cast<std::size_t>(at - up_to.begin()), rows.size() - 1)];
  }
};

void require_dimensions(MatrixView<const float> x, MatrixView<const float> out) {
  require(out.cols == x.cols, who, ": points of ", x.cols, " dimensions asked for ", out.cols);
}

// The rows of any weight, by label; without labels all under 0.
std::map<std::int32_t, Rows> rows_by_label(MatrixView<const float> x, VectorView<const std::int32_t> labels,
                                           VectorView<const double> weights) {
  require(!x.empty(), who, ": there are no points (", x.rows, " x ", x.cols, ")");
  require(x.device == Device{}, who, ": the points are not in the CPU's memory");
  require(weights.empty() || weights.size == x.rows, who, ": ", weights.size, " weights for ", x.rows, " points");
  std::map<std::int32_t, Rows> classes;
  double total = 0;
  for (Index i = 0; i < x.rows; ++i) {
    const double weight = weights.empty() ? 1.0 : weights[i];
    require(weight >= 0 && std::isfinite(weight), who, ": weight ", i, " is ", weight);
    if (weight == 0) continue;
    total += weight;
    Rows& own = classes[labels.empty() ? 0 : labels[i]];
    own.rows.push_back(i);
    if (!weights.empty()) own.up_to.push_back(weight + (own.up_to.empty() ? 0.0 : own.up_to.back()));
  }
  require(total > 0 && std::isfinite(total), who, ": the weights add up to ", total);
  return classes;
}

}  // namespace

SourceLaw source_of_points(MatrixView<const float> x, VectorView<const double> weights) {
  const auto all = std::make_shared<const Rows>(std::move(rows_by_label(x, {}, weights).begin()->second));
  return [x, all](const Rng& rng, std::uint64_t first, MatrixView<float> out) {
    require_dimensions(x, out);
    for (Index i = 0; i < out.rows; ++i)
      std::copy_n(x.row(all->draw(rng, first + static_cast<std::uint64_t>(i))), x.cols, out.row(i));
  };
}

SourceLaw source_of_points(MatrixView<const float> x, VectorView<const std::int32_t> labels,
                           VectorView<const double> weights) {
  require(labels.size == x.rows, who, ": ", labels.size, " labels for ", x.rows, " points");
  const auto classes = std::make_shared<const std::map<std::int32_t, Rows>>(rows_by_label(x, labels, weights));
  return
      [x, classes](const Rng& rng, std::uint64_t first, VectorView<const std::int32_t> of_rows, MatrixView<float> out) {
        require_dimensions(x, out);
        for (Index i = 0; i < out.rows; ++i) {
          const auto own = classes->find(of_rows[i]);
          require(own != classes->end(), who, ": no point has label ", of_rows[i]);
          std::copy_n(x.row(own->second.draw(rng, first + static_cast<std::uint64_t>(i))), x.cols, out.row(i));
        }
      };
}

void draw(const SourceLaw& law, const Rng& rng, std::uint64_t first, VectorView<const std::int32_t> labels,
          MatrixView<float> out, const Context& context) {
  if (!law) return backend_for(out.device).normals(rng, first, out, context);
  require(!law.is_by_label() || labels.size == out.rows, "draw: a source law by label, ", labels.size, " labels for ",
          out.rows, " samples");
  if (out.device != Device{}) {
    Matrix<float> here(out.rows, out.cols);
    draw(law, rng, first, labels, here.view(), context);
    return copy(here.view(), out);
  }
  constexpr Index block = 64;
  parallel_for(context.threads, (out.rows + block - 1) / block, [&](Index task, int) {
    const Index begin = task * block, count = std::min(block, out.rows - begin);
    const MatrixView<float> rows = out.rows_from(begin, count);
    VectorView<const std::int32_t> of_rows;
    if (law.is_by_label()) of_rows = {labels.data + begin, count, labels.device};
    const std::uint64_t row = first + static_cast<std::uint64_t>(begin);
    law.fill(rng, row, of_rows, rows);
    require_finite(rows, row);
  });
}

}  // namespace monge::ot
