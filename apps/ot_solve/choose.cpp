#include <algorithm>
#include <cmath>

#include "monge/apps/ot_solve/solvers.h"
#include "monge/ot/core/error.h"
#include "monge/ot/equal_points.h"

namespace monge::apps {
namespace {

constexpr Index small = 4000;      // points on each side: seconds, unless tails are as heavy as Cauchy's
constexpr Index many = 1'000'000;  // equal points are not looked for among more

template <class T>
bool forbids_pairs(const Matrix<T>& cost) {
  return std::any_of(cost.data(), cost.data() + cost.rows() * cost.cols(), [](T c) { return std::isinf(c); });
}

template <class T>
Index distinct(ot::detail::LabelledCloud<T> cloud, const Context& context) {
  const Index size = cloud.size();
  if (size <= small || size > many) return size;
  const auto groups = [&](Index count) {
    ot::detail::LabelledCloud<T> some = cloud;
    (some.turned ? some.x.cols : some.x.rows) = count;
    if (!some.labels.empty()) some.labels = {cloud.labels.data, count};
    return ot::detail::equal_points(some, context).groups();
  };
  // The first ones tell of most clouds that few are equal.
  return groups(std::min(size, 2 * small)) > small ? size : groups(size);
}

}  // namespace

template <class T>
Sides distinct_points(const ot::Problem<T>& p, const Context& context) {
  if (!p.is_dense()) return {distinct<T>({p.x, p.x_labels}, context), distinct<T>({p.y, p.y_labels}, context)};
  return {distinct<T>({p.cost_matrix, p.x_labels}, context), distinct<T>({p.cost_matrix, p.y_labels, true}, context)};
}

template <class T>
Choice choose_solver(const Input<T>& input, const Request& r, double left) {
  if (r.solver != "auto") return {r.solver, ""};
  if (r.from_law()) return {"semidiscrete", "X is a law"};
  if (r.epsilon || r.relative) return {"sinkhorn", "an epsilon is given"};
  if (r.tau_a || r.tau_b || r.mass) return {"sinkhorn", "masses may differ"};
  if (r.max_iterations) return {"sinkhorn", "--max-iterations is given"};
  if (forbids_pairs(input.cost_matrix) || std::isinf(input.label_penalty)) return {"exact", "some pairs are forbidden"};
  const ot::Problem<T> problem = input.problem();
  if (r.on_gpu() && !gpu_solves(problem)) return {"sinkhorn", "exact plans of such problems are found on the CPU only"};
  if (std::max(problem.rows(), problem.cols()) > many)
    return {"sinkhorn", concat("more than ", many, " points on a side")};
  const Sides distinct = distinct_points(problem, r.context);
  if (std::max(distinct.n, distinct.m) > small) return {"sinkhorn", "more than 4000 distinct points on a side"};
  if (memory_of_exact(problem, "exact", distinct).needed(left) > left)
    return {"sinkhorn", "exact would take too much memory"};
  const bool few = std::max(problem.rows(), problem.cols()) <= small;
  return {"exact", few ? "at most 4000 points on each side" : "at most 4000 distinct points on each side"};
}

template Sides distinct_points(const ot::Problem<float>&, const Context&);
template Sides distinct_points(const ot::Problem<double>&, const Context&);
template Choice choose_solver(const Input<float>&, const Request&, double);
template Choice choose_solver(const Input<double>&, const Request&, double);

}  // namespace monge::apps
