#include "monge/ot/divergence.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/core/error.h"

namespace monge::ot {
namespace {

template <class T>
Problem<T> within_x(const Problem<T>& p) {
  Problem<T> q = p;
  q.y = p.x, q.b = p.a, q.y_labels = p.x_labels;
  return q;
}
template <class T>
Problem<T> within_y(const Problem<T>& p) {
  Problem<T> q = p;
  q.x = p.y, q.a = p.b, q.x_labels = p.y_labels;
  return q;
}

double total(VectorView<const double> w) {
  if (w.empty()) return 1;
  double sum = 0;
  for (const double e : w) sum += e;
  return sum;
}

template <class T>
DivergenceResult solve(const Problem<T>& p, const SinkhornOptions& options) {
  require(!p.is_dense(), "divergence: a dense cost says nothing about the costs within x and y");
  require(options.mass == 0, "divergence: not for partial problems");
  DivergenceResult r;
  r.between = sinkhorn(p, options);
  r.epsilon = r.between.epsilon;
  SinkhornOptions o = options;
  o.epsilon = r.epsilon, o.epsilon_unit = EpsilonUnit::cost;
  o.start = {}, o.certify = false;
  const auto stopped = [](const SinkhornResult& s) {
    return s.status == Status::stopped_by_caller || s.status == Status::time_limit;
  };
  const auto time_left = [&] { return options.max_seconds - r.seconds; };
  r.seconds = r.between.seconds;
  // One law of prices a side: within x, both sides are x.
  SinkhornResult* const parts[] = {&r.of_x, &r.of_y};
  for (int k = 0; k < 2 && !stopped(k == 0 ? r.between : r.of_x); ++k) {
    if (options.max_seconds > 0) o.max_seconds = std::max(1e-9, time_left());
    o.tau_a = o.tau_b = k == 0 ? options.tau_a : options.tau_b;
    *parts[k] = sinkhorn(k == 0 ? within_x(p) : within_y(p), o);
    r.seconds += parts[k]->seconds;
  }
  for (const SinkhornResult* s : {&r.between, &r.of_x, &r.of_y}) {
    r.status = s->status;
    if (s->status != Status::converged) return r;
  }
  const double gap = total(p.a) - total(p.b);
  r.divergence = std::max(
      0.0, r.between.regularised - 0.5 * (r.of_x.regularised + r.of_y.regularised) + 0.5 * r.epsilon * gap * gap);
  return r;
}

// Half of both gradients of the value within a cloud, which are equal at the optimum.
template <class T>
void subtract(const Gradients<T>& self, Matrix<T>& points, std::vector<double>& weights) {
  for (Index i = 0; i < points.rows(); ++i) {
    for (Index k = 0; k < points.cols(); ++k) points(i, k) -= (self.x(i, k) + self.y(i, k)) / 2;
  }
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] -= 0.5 * (self.a[i] + self.b[i]);
}

}  // namespace

DivergenceResult divergence(const Problem<float>& problem, const SinkhornOptions& options) {
  return solve(problem, options);
}
DivergenceResult divergence(const Problem<double>& problem, const SinkhornOptions& options) {
  return solve(problem, options);
}

template <class T>
Gradients<T> gradients(const Problem<T>& problem, const DivergenceResult& result, const SinkhornOptions& options) {
  Gradients<T> out = gradients(problem, result.between, options);
  SinkhornOptions o = options;
  o.tau_b = options.tau_a;
  subtract(gradients(within_x(problem), result.of_x, o), out.x, out.a);
  o.tau_a = o.tau_b = options.tau_b;
  subtract(gradients(within_y(problem), result.of_y, o), out.y, out.b);
  const double gap = result.epsilon * (total(problem.a) - total(problem.b));
  for (double& e : out.a) e += gap;
  for (double& e : out.b) e -= gap;
  return out;
}

template Gradients<float> gradients(const Problem<float>&, const DivergenceResult&, const SinkhornOptions&);
template Gradients<double> gradients(const Problem<double>&, const DivergenceResult&, const SinkhornOptions&);

}  // namespace monge::ot
