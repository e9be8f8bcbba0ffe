#include "monge/flow/runge_kutta.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>

#include "monge/ot/core/parallel.h"

namespace monge::flow {
namespace {

constexpr Index kTile = 4096;  // values; a few such arrays fit the first-level cache

Index tiles(Index count) { return (count + kTile - 1) / kTile; }

// body(first, last) over the fixed tiles of `count` values.
template <class Body>
void for_tiles(const Context& context, Index count, const Body& body) {
  parallel_for(context.threads, tiles(count),
               [&](Index tile, int) { body(tile * kTile, std::min(count, (tile + 1) * kTile)); });
}

// Written on the bits so that it vectorises.
bool finite(const float* values, Index first, Index last) {
  std::uint32_t bad = 0;
  for (Index i = first; i < last; ++i) bad |= (std::bit_cast<std::uint32_t>(values[i]) & 0x7F800000u) == 0x7F800000u;
  return bad == 0;
}

Tableau euler() {
  Tableau t;
  t.b = {1};
  return t;
}

Tableau heun() {
  Tableau t;
  t.stages = 2;
  t.order = 2;
  t.c = {0, 1};
  t.a[1] = {1};
  t.b = {0.5, 0.5};
  return t;
}

Tableau midpoint() {
  Tableau t;
  t.stages = 2;
  t.order = 2;
  t.c = {0, 0.5};
  t.a[1] = {0.5};
  t.b = {0, 1};
  return t;
}

// Kutta, Beitrag zur naeherungsweisen Integration totaler Differentialgleichungen, 1901.
Tableau rk4() {
  Tableau t;
  t.stages = 4;
  t.order = 4;
  t.c = {0, 0.5, 0.5, 1};
  t.a[1] = {0.5};
  t.a[2] = {0, 0.5};
  t.a[3] = {0, 0, 1};
  t.b = {1. / 6, 1. / 3, 1. / 3, 1. / 6};
  return t;
}

// Dormand and Prince, A family of embedded Runge-Kutta formulae, J. Comput. Appl. Math. 6, 1980.
Tableau dopri5() {
  Tableau t;
  t.stages = 7;
  t.order = 5;
  t.c = {0, 1. / 5, 3. / 10, 4. / 5, 8. / 9, 1, 1};
  t.a[1] = {1. / 5};
  t.a[2] = {3. / 40, 9. / 40};
  t.a[3] = {44. / 45, -56. / 15, 32. / 9};
  t.a[4] = {19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729};
  t.a[5] = {9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656};
  t.a[6] = t.b = {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84, 0};
  t.e = {71. / 57600, 0, -71. / 16695, 71. / 1920, -17253. / 339200, 22. / 525, -1. / 40};
  t.last_is_first = true;
  return t;
}

}  // namespace

const Tableau& tableau(Solver solver) {
  static const Tableau tableaux[] = {euler(), midpoint(), heun(), rk4(), dopri5()};
  return tableaux[static_cast<int>(solver)];
}

RungeKutta::RungeKutta(const Tableau& tableau, const Velocity& velocity, MatrixView<const float> x,
                       const Context& context)
    : tableau_(tableau),
      velocity_(velocity),
      context_(context),
      state_(x.rows, x.cols),
      next_(x.rows, x.cols),
      stage_(x.rows, x.cols),
      sums_(tiles(x.rows * x.cols)) {
  for (int s = 0; s < tableau.stages; ++s) k_[s] = Matrix<float>(x.rows, x.cols);
  for (Index i = 0; i < x.rows; ++i) std::copy_n(x.row(i), x.cols, state_.data() + i * x.cols);
}

bool RungeKutta::attempt(double t, double end) {
  const double h = end - t;
  if (!first_known_ && !evaluate(t, state_, 0)) return false;
  first_known_ = true;
  for (int s = 1; s < tableau_.stages; ++s) {
    Matrix<float>& at = tableau_.last_is_first && s == tableau_.stages - 1 ? next_ : stage_;
    const double time = tableau_.c[s] == 1 ? end : t + tableau_.c[s] * h;
    if (!combine(tableau_.a[s], h, at) || !evaluate(time, at, s)) return false;
  }
  return tableau_.last_is_first || combine(tableau_.b, h, next_);
}

void RungeKutta::accept() {
  std::swap(state_, next_);
  first_known_ = tableau_.last_is_first;
  if (first_known_) std::swap(k_[0], k_[tableau_.stages - 1]);
}

bool RungeKutta::evaluate(double t, const Matrix<float>& x, int stage) {
  velocity_(t, x.view(), k_[stage].view());
  ++evaluations_;
  std::atomic<bool> good = true;
  const float* k = k_[stage].data();
  for_tiles(context_, x.rows() * x.cols(), [&](Index first, Index last) {
    if (!finite(k, first, last)) good = false;
  });
  return good;
}

// out = h sum_j weights_j k_j, in [first, last).
void RungeKutta::weigh(const std::array<double, 7>& weights, double h, Index first, Index last, float* out) const {
  std::fill(out + first, out + last, 0.0f);
  for (int j = 0; j < tableau_.stages; ++j) {
    if (weights[j] == 0) continue;
    const float weight = static_cast<float>(h * weights[j]);
    const float* k = k_[j].data();
    for (Index i = first; i < last; ++i) out[i] += weight * k[i];
  }
}

// out = state + h sum_j weights_j k_j; false if that is not finite.
bool RungeKutta::combine(const std::array<double, 7>& weights, double h, Matrix<float>& out) {
  std::atomic<bool> good = true;
  float* y = out.data();
  const float* x = state_.data();
  for_tiles(context_, out.rows() * out.cols(), [&](Index first, Index last) {
    weigh(weights, h, first, last, y);
    for (Index i = first; i < last; ++i) y[i] += x[i];
    if (!finite(y, first, last)) good = false;
  });
  return good;
}

// sqrt(mean_i element(i)^2).
template <class Element>
double RungeKutta::rms(const Element& element) {
  const Index count = state_.rows() * state_.cols();
  for_tiles(context_, count, [&](Index first, Index last) {
    double sum = 0;
    for (Index i = first; i < last; ++i) {
      const double value = element(i);
      sum += value * value;
    }
    sums_[first / kTile] = sum;
  });
  double total = 0;
  for (const double sum : sums_.view()) total += sum;
  return std::sqrt(total / static_cast<double>(count));
}

double RungeKutta::error_norm(double h, double rtol, double atol) {
  float* error = stage_.data();  // not needed any more
  for_tiles(context_, state_.rows() * state_.cols(),
            [&](Index first, Index last) { weigh(tableau_.e, h, first, last, error); });
  const float *x = state_.data(), *y = next_.data();
  return rms([&](Index i) { return error[i] / (atol + rtol * std::max(std::abs(x[i]), std::abs(y[i]))); });
}

double RungeKutta::first_step(double t, double end, double rtol, double atol) {
  if (!first_known_ && !evaluate(t, state_, 0)) return 0;
  first_known_ = true;
  const float *x = state_.data(), *k0 = k_[0].data(), *k1 = k_[1].data();
  const auto scale = [&](Index i) { return atol + rtol * std::abs(x[i]); };
  const double size = rms([&](Index i) { return x[i] / scale(i); });
  const double slope = rms([&](Index i) { return k0[i] / scale(i); });
  const double h0 = std::min(size < 1e-5 || slope < 1e-5 ? 1e-6 : 0.01 * size / slope, std::abs(end - t));
  const double step = std::copysign(h0, end - t);
  if (!combine({1}, step, stage_) || !evaluate(t + step, stage_, 1)) return 0;
  const double bend = rms([&](Index i) { return (k1[i] - k0[i]) / scale(i); }) / h0;
  const double steepest = std::max(slope, bend);
  const double h1 = steepest <= 1e-15 ? std::max(1e-6, 1e-3 * h0) : std::pow(0.01 / steepest, 1.0 / tableau_.order);
  return std::min(100 * h0, h1);
}

}  // namespace monge::flow
