#include "monge/ot/plan_body.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/geometry.h"
#include "monge/ot/sinkhorn_start.h"
#include "monge/ot/weights.h"

namespace monge::ot::detail {
namespace {

template <class S, class T>
Matrix<S> converted(MatrixView<const T> values) {
  Matrix<S> out(values.rows, values.cols);
  for (Index i = 0; i < values.rows; ++i) {
    for (Index k = 0; k < values.cols; ++k) out(i, k) = static_cast<S>(values(i, k));
  }
  return out;
}

// Potentials of one side less what is the points' own, in units of the geometry.
std::vector<double> reduced(const std::vector<double>& potentials, const std::vector<double>& rest,
                            const std::vector<double>& own, double unit) {
  std::vector<double> out(potentials.size());
  for (std::size_t j = 0; j < out.size(); ++j)
    out[j] = potentials[j] / unit - own[j] + (rest.empty() ? 0.0 : rest[j] / unit);
  return out;
}

// These as biases of the scores: F + epsilon log w.
template <class T>
std::vector<T> biases(const std::vector<double>& potentials, const std::vector<double>& weights, double epsilon) {
  std::vector<T> v(potentials.size());
  for (std::size_t j = 0; j < v.size(); ++j) {
    v[j] = weights[j] > 0 ? static_cast<T>(potentials[j] + epsilon * std::log(weights[j]))
                          : -std::numeric_limits<T>::infinity();
  }
  return v;
}

template <class T>
class Body final : public PlanBody {
 public:
  Body(OwnedProblem<T> owned, const Problem<T>& problem, const SinkhornResult& result, const Context& where)
      : owned_(std::move(owned)),
        y_(problem.y),
        geometry_(problem),
        epsilon_(static_cast<T>(result.epsilon / geometry_.unit())),
        wanted_(reduced(result.f, result.f_rest, geometry_.row_own(), geometry_.unit())),
        fitted_(wanted_) {
    context = where;
    if (where.device.type != DeviceType::cpu) geometry_.keep_on(where.device);
    a = weights_of(problem.a, problem.rows());
    b = weights_of(problem.b, problem.cols());
    v_ = biases<T>(reduced(result.g, result.g_rest, geometry_.col_own(), geometry_.unit()), b, epsilon());
    std::vector<double> unused(b.size());
    passes().balance(scores(), epsilon_, a, fitted_, unused, context);
    for (std::size_t i = 0; i < a.size(); ++i) {
      row_shares.push_back(std::exp((wanted_[i] - fitted_[i]) / epsilon()));
      row_masses.push_back(a[i] > 0 ? a[i] * row_shares[i] : 0);
    }
  }

  Index dims() const override { return y_.cols; }

  std::vector<double> col_masses(const std::vector<double>& row_weights) const override {
    std::vector<double> masses(v_.size()), f(fitted_);
    passes().balance(scores(), epsilon_, row_weights, f, masses, context);
    return masses;
  }

  // With p_j = exp((s_j + v_j + f) / epsilon): -sum p_j log p_j = (sum p_j (-s_j - v_j) - f sum p_j) / epsilon.
  std::vector<double> row_entropies() const override {
    Matrix<double> sums(geometry_.rows(), 3);
    passes().energy(scores(), epsilon_, fitted_, {}, {}, sums.view(), context);
    std::vector<double> entropies(fitted_.size());
    for (std::size_t i = 0; i < entropies.size(); ++i) {
      const Index row = static_cast<Index>(i);
      entropies[i] = std::max(0.0, (sums(row, 0) - fitted_[i] * sums(row, 1)) / epsilon());
    }
    return entropies;
  }

  void apply(bool transposed, MatrixView<const float> values, MatrixView<float> out) const override {
    apply_any(transposed, values, out);
  }
  void apply(bool transposed, MatrixView<const double> values, MatrixView<double> out) const override {
    apply_any(transposed, values, out);
  }
  void map(MatrixView<float> out) const override { map_any(out); }
  void map(MatrixView<double> out) const override { map_any(out); }

  void argmax(VectorView<std::int32_t> columns) const override {
    Buffer<T> largest(columns.size);
    passes().hardmin(scores(), {largest.data(), columns.size, 1}, {columns.data, columns.size, 1}, context);
  }

  void partners(const std::vector<std::int32_t>& of, const Rng& rng, std::uint64_t first,
                VectorView<std::int32_t> columns) const override {
    const auto some = of.empty() ? GatheredRows<T>() : geometry_.gather(of);
    passes().sample(of.empty() ? scores() : geometry_.scores_of(some, VectorView<const T>(v_)), epsilon_, rng, first,
                    columns, context);
  }

  void logs(Index first, Index count, MatrixView<double> out) const override {
    Matrix<T> block(count, geometry_.cols());
    passes().store(rows_of(scores(), first, count), block.view(), context);
    parallel_for(threads_worth(context.threads, count * out.cols), count, [&](Index r, int) {
      const std::size_t i = static_cast<std::size_t>(first + r);
      const double mass = std::log(row_masses[i]), f = fitted_[i];
      for (Index j = 0; j < out.cols; ++j) out(r, j) = mass + (static_cast<double>(block(r, j)) + f) / epsilon();
    });
  }

 private:
  Passes<T>& passes() const { return passes_for<T>(context.device); }
  Scores<T> scores() const { return geometry_.scores(VectorView<const T>(v_)); }
  double epsilon() const { return static_cast<double>(epsilon_); }

  // Averages over what is coupled, times what is sent.
  void apply_own(bool transposed, MatrixView<const T> values, MatrixView<T> out) const {
    if (transposed) {
      const Geometry<T> other = geometry_.transposed();
      const std::vector<T> u = biases<T>(wanted_, a, epsilon());
      passes().apply(other.scores(VectorView<const T>(u)), epsilon_, values, out, context);
      scale_rows(out, col_masses(row_masses));
    } else {
      passes().apply(scores(), epsilon_, values, out, context);
      scale_rows(out, row_masses);
    }
  }
  static void scale_rows(MatrixView<T> out, const std::vector<double>& by) {
    for (Index i = 0; i < out.rows; ++i) {
      const double mass = by[static_cast<std::size_t>(i)];
      for (Index k = 0; k < out.cols; ++k)
        out(i, k) = mass > 0 ? static_cast<T>(mass * static_cast<double>(out(i, k))) : T(0);
    }
  }

  template <class S>
  void apply_any(bool transposed, MatrixView<const S> values, MatrixView<S> out) const {
    if constexpr (std::is_same_v<S, T>) {
      apply_own(transposed, values, out);
    } else {
      const Matrix<T> own = converted<T>(values);
      Matrix<T> result(out.rows, out.cols);
      apply_own(transposed, own.view(), result.view());
      copy_to(result, out);
    }
  }
  template <class S>
  void map_any(MatrixView<S> out) const {
    if constexpr (std::is_same_v<S, T>) {
      passes().apply(scores(), epsilon_, y_, out, context);
    } else {
      Matrix<T> result(out.rows, out.cols);
      passes().apply(scores(), epsilon_, y_, result.view(), context);
      copy_to(result, out);
    }
  }
  template <class S>
  static void copy_to(const Matrix<T>& from, MatrixView<S> out) {
    for (Index i = 0; i < out.rows; ++i) {
      for (Index k = 0; k < out.cols; ++k) out(i, k) = static_cast<S>(from(i, k));
    }
  }

  OwnedProblem<T> owned_;  // what is borrowed below, if it had to be widened
  MatrixView<const T> y_;
  Geometry<T> geometry_;
  T epsilon_;
  std::vector<double> wanted_, fitted_;  // f; softmin of the rows; both reduced
  std::vector<T> v_;
};

template <class T>
void check_result(const Problem<T>& problem, const SinkhornResult& result) {
  check(problem, "plan");
  require(static_cast<Index>(result.f.size()) == problem.rows(), "plan: f has ", result.f.size(), " potentials for ",
          problem.rows(), " rows");
  require(static_cast<Index>(result.g.size()) == problem.cols(), "plan: g has ", result.g.size(), " potentials for ",
          problem.cols(), " columns");
  for (const auto& [rest, all] : {std::pair(&result.f_rest, &result.f), std::pair(&result.g_rest, &result.g)})
    require(rest->empty() || rest->size() == all->size(), "plan: ", rest->size(), " rests of ", all->size(),
            " potentials");
  require(std::isfinite(result.epsilon) && result.epsilon > 0, "plan: epsilon is ", result.epsilon,
          ", should be positive");
}

}  // namespace

std::unique_ptr<PlanBody> plan_body(const Problem<double>& problem, const SinkhornResult& result,
                                    const Context& context) {
  check_result(problem, result);
  return std::make_unique<Body<double>>(OwnedProblem<double>(), problem, result, context);
}

std::unique_ptr<PlanBody> plan_body(const Problem<float>& problem, const SinkhornResult& result,
                                    const Context& context) {
  check_result(problem, result);
  if (!result.in_double) return std::make_unique<Body<float>>(OwnedProblem<float>(), problem, result, context);
  OwnedProblem<double> wide = in_double(problem);
  const Problem<double> view = wide.view;
  return std::make_unique<Body<double>>(std::move(wide), view, result, context);
}

}  // namespace monge::ot::detail
