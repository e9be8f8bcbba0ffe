#include "monge/ot/sinkhorn_start.h"

#include <algorithm>

namespace monge::ot::detail {
namespace {

template <class T>
Matrix<T> rows_of(MatrixView<const T> x, const std::vector<std::int32_t>& rows) {
  Matrix<T> out(static_cast<Index>(rows.size()), x.cols);
  for (std::size_t r = 0; r < rows.size(); ++r)
    std::copy_n(x.row(rows[r]), x.cols, out.view().row(static_cast<Index>(r)));
  return out;
}

std::vector<std::int32_t> labels_of(VectorView<const std::int32_t> labels, const std::vector<std::int32_t>& rows) {
  std::vector<std::int32_t> out;
  for (std::size_t r = 0; r < rows.size() && !labels.empty(); ++r) out.push_back(labels[rows[r]]);
  return out;
}

// `like` gives what is not owned: the kind of cost and the penalty.
template <class T, class S>
void point_view(OwnedProblem<T>& p, const Problem<S>& like) {
  const auto matrix = [](const Matrix<T>& m) { return m.rows() > 0 ? m.view() : MatrixView<const T>(); };
  p.view = {.x = matrix(p.x),
            .y = matrix(p.y),
            .cost_matrix = matrix(p.cost_matrix),
            .cost = like.cost,
            .a = p.a,
            .b = p.b,
            .x_labels = p.x_labels,
            .y_labels = p.y_labels,
            .label_penalty = like.label_penalty};
}

}  // namespace

std::vector<std::int32_t> draw_by_weight(const std::vector<double>& weights, Index count, const Rng& rng) {
  double total = 0;
  for (const double w : weights) total += w;
  std::vector<std::int32_t> drawn;
  double below = 0;  // mass of the points before `i`
  std::int32_t i = 0;
  const std::int32_t last = static_cast<std::int32_t>(weights.size()) - 1;
  for (Index k = 0; k < count; ++k) {
    const Rng::Block w = rng.bits(static_cast<std::uint64_t>(k));
    const double at = (static_cast<double>(k) + Rng::uniform(w.w[0], w.w[1])) * total / static_cast<double>(count);
    while (i < last && (below + weights[i] <= at || weights[i] == 0)) below += weights[i++];
    drawn.push_back(i);
  }
  return drawn;
}

template <class T>
OwnedProblem<T> sample_of(const Problem<T>& problem, const std::vector<std::int32_t>& i,
                          const std::vector<std::int32_t>& j, double total_a, double total_b) {
  OwnedProblem<T> p;
  if (problem.is_dense()) {
    p.cost_matrix = Matrix<T>(static_cast<Index>(i.size()), static_cast<Index>(j.size()));
    for (std::size_t r = 0; r < i.size(); ++r) {
      for (std::size_t c = 0; c < j.size(); ++c) p.cost_matrix(r, c) = problem.cost_matrix(i[r], j[c]);
    }
  } else {
    p.x = rows_of(problem.x, i);
    p.y = rows_of(problem.y, j);
  }
  p.a.assign(i.size(), total_a / static_cast<double>(i.size()));
  p.b.assign(j.size(), total_b / static_cast<double>(j.size()));
  p.x_labels = labels_of(problem.x_labels, i);
  p.y_labels = labels_of(problem.y_labels, j);
  point_view(p, problem);
  return p;
}

OwnedProblem<double> in_double(const Problem<float>& problem) {
  const auto widened = [](MatrixView<const float> x) {
    Matrix<double> out(x.rows, x.cols);
    for (Index i = 0; i < x.rows; ++i) std::copy_n(x.row(i), x.cols, out.view().row(i));
    return out;
  };
  OwnedProblem<double> p{widened(problem.x), widened(problem.y), widened(problem.cost_matrix), {}, {}, {}, {}, {}};
  p.a.assign(problem.a.begin(), problem.a.end());
  p.b.assign(problem.b.begin(), problem.b.end());
  p.x_labels.assign(problem.x_labels.begin(), problem.x_labels.end());
  p.y_labels.assign(problem.y_labels.begin(), problem.y_labels.end());
  point_view(p, problem);
  return p;
}

template OwnedProblem<float> sample_of(const Problem<float>&, const std::vector<std::int32_t>&,
                                       const std::vector<std::int32_t>&, double, double);
template OwnedProblem<double> sample_of(const Problem<double>&, const std::vector<std::int32_t>&,
                                        const std::vector<std::int32_t>&, double, double);

}  // namespace monge::ot::detail
