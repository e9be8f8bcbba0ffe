#include "monge/flow/drawn_batch.h"

#include <algorithm>
#include <map>
#include <utility>

#include "monge/ot/core/parallel.h"

namespace monge::flow {
namespace {

Matrix<float> gather(MatrixView<const float> from, const std::vector<std::int32_t>& rows) {
  Matrix<float> to(static_cast<Index>(rows.size()), from.cols);
  for (Index i = 0; i < to.rows(); ++i)
    std::copy_n(from.row(rows[static_cast<std::size_t>(i)]), from.cols, to.view().row(i));
  return to;
}

}  // namespace

BatchDrawer::BatchDrawer(MatrixView<const float> y, std::uint64_t seed, const CouplingSource& source,
                         const CouplingLabels& labels, const Context& context)
    : y_(y),
      source_points_(source),
      labels_(labels),
      source_(source, within_classes(), Rng{seed}),
      order_(y.rows, Rng{seed}.substream(2)),
      context_(context) {}

void BatchDrawer::draw(std::uint64_t number, Index n, DrawnBatch& batch) const {
  const auto size = static_cast<std::size_t>(n);
  if (batch.x0.rows() != n) {
    batch.x0 = Matrix<float>(n, y_.cols);
    batch.y = Matrix<float>(n, y_.cols);
    batch.atoms.resize(size);
  }
  if (!labels_.atoms.empty()) {
    batch.x_labels.resize(size);
    batch.y_labels.resize(size);
  }
  const std::uint64_t first = number * static_cast<std::uint64_t>(n);
  constexpr Index block = 64;
  parallel_for(threads_worth(context_.threads, 16 * n * y_.cols), (n + block - 1) / block, [&](Index task, int) {
    for (Index i = task * block; i < std::min(n, (task + 1) * block); ++i) {
      const auto place = static_cast<std::size_t>(i);
      const std::uint64_t sample = first + static_cast<std::uint64_t>(i);
      const Index atom = order_(sample);
      const std::int32_t label = labels_.atoms.empty() ? 0 : labels_.atoms[atom];
      const Index point = source_.draw(sample, label, {batch.x0.view().row(i), y_.cols});
      batch.atoms[place] = static_cast<std::int32_t>(atom);
      std::copy_n(y_.row(atom), y_.cols, batch.y.view().row(i));
      if (labels_.atoms.empty()) continue;
      batch.y_labels[place] = label;
      batch.x_labels[place] = point < 0 ? label : source_points_.labels[point];
    }
  });
}

void for_classes(const DrawnBatch& batch, bool within_classes, const MatchClass& match) {
  if (!within_classes) {
    match(batch.x0.view(), batch.y.view(), {});
    return;
  }
  std::map<std::int32_t, std::vector<std::int32_t>> classes;
  for (std::size_t i = 0; i < batch.y_labels.size(); ++i)
    classes[batch.y_labels[i]].push_back(static_cast<std::int32_t>(i));
  for (const auto& [label, members] : classes) {
    const Matrix<float> x = gather(batch.x0.view(), members), y = gather(batch.y.view(), members);
    match(x.view(), y.view(), members);
  }
}

PenalisedPoints::PenalisedPoints(MatrixView<const float> x_in, MatrixView<const float> y_in,
                                 const std::vector<std::int32_t>& x_labels, const std::vector<std::int32_t>& y_labels,
                                 double penalty)
    : x(x_in), y(y_in) {
  if (x_labels.empty() || penalty == 0) return;
  std::map<std::int32_t, Index> places;  // each label has a coordinate: unit vectors are sqrt(2) apart
  for (const auto* labels : {&x_labels, &y_labels})
    for (const std::int32_t label : *labels) places.emplace(label, static_cast<Index>(places.size()));
  const Index d = x.cols, all = d + static_cast<Index>(places.size());
  const auto side = static_cast<float>(std::sqrt(penalty / 2));
  const auto extend = [&](MatrixView<const float> from, const std::vector<std::int32_t>& labels) {
    Matrix<float> to(from.rows, all);
    for (Index i = 0; i < from.rows; ++i) {
      float* row = to.view().row(i);
      std::copy_n(from.row(i), d, row);
      std::fill(row + d, row + all, 0.0f);
      row[d + places.at(labels[static_cast<std::size_t>(i)])] = side;
    }
    return to;
  };
  x_ = extend(x, x_labels);
  y_ = extend(y, y_labels);
  x = std::as_const(x_).view();
  y = std::as_const(y_).view();
}

Context matching_context(Context context, Index n, Index d) {
  if (n * n * std::max<Index>(d, 16) <= Index{1} << 24) context.threads = 1;
  return context;
}

}  // namespace monge::flow
