#include "monge/data/brenier.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::data {
namespace {

constexpr int kCentres = 8;
constexpr double kMode = 2, kSpread = 0.5;  // mixture: the modes are at -2 and 2
constexpr double kSlope = 2, kSharpness = 4;

void normalise(double* v, Index d) {
  const double length = std::sqrt(std::inner_product(v, v + d, v, 0.0));
  for (Index k = 0; k < d; ++k) v[k] /= length;
}

double dot(const double* a, const double* b, Index d) { return std::inner_product(a, a + d, b, 0.0); }

double lower_tail(double z) { return 0.5 * std::erfc(-z * M_SQRT1_2); }

// The y whose share of the mixture below it is that of x in N(0, 1). Both laws are symmetric: only lower tails, which
// keep all digits, are ever compared.
double mixture_quantile(double x) {
  if (x > 0) return -mixture_quantile(-x);
  const double share = lower_tail(x);
  const auto below = [](double y) {
    return 0.5 * (lower_tail((y + kMode) / kSpread) + lower_tail((y - kMode) / kSpread));
  };
  double low = -kMode + kSpread * (x - 1) - 1, high = 0;
  for (int i = 0; i < 64; ++i) {
    const double middle = 0.5 * (low + high);
    (below(middle) < share ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

// E (T(x) - x)^2 for x ~ N(0, 1), by the trapezoidal rule, which converges faster than any power for smooth functions
// that vanish at both ends.
double mixture_cost() {
  constexpr int steps = 4000;
  constexpr double end = 10, h = 2 * end / steps;
  double sum = 0;
  for (int i = 0; i <= steps; ++i) {
    const double x = -end + h * i, move = mixture_quantile(x) - x;
    sum += h * move * move * std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
  }
  return sum;
}

}  // namespace

BrenierMap::BrenierMap(KnownMap kind, Index dimensions, std::uint64_t seed) : kind_(kind) {
  require(dimensions > 0, "BrenierMap: dimensions must be positive, not ", dimensions);
  const Rng rng = Rng{seed}.substream(0x6272656E696572);  // "brenier"
  u_.resize(static_cast<std::size_t>(dimensions));
  fill_normal(rng.substream(0), 0, VectorView<double>(u_));
  normalise(u_.data(), dimensions);
  if (kind == KnownMap::affine) {
    for (Index k = 0; k < dimensions; ++k) {
      const double place = dimensions == 1 ? 1 : static_cast<double>(k) / static_cast<double>(dimensions - 1);
      scales_.push_back(std::exp2(2 * place - 1));
    }
  }
  if (kind == KnownMap::convex) {
    centres_.resize(static_cast<std::size_t>(kCentres * dimensions));
    fill_normal(rng.substream(1), 0, VectorView<double>(centres_));
    for (int k = 0; k < kCentres; ++k) normalise(centres_.data() + k * dimensions, dimensions);
  }
}

void BrenierMap::reflect(double* x) const {
  const double along = 2 * dot(u_.data(), x, dimensions());
  for (Index k = 0; k < dimensions(); ++k) x[k] -= along * u_[static_cast<std::size_t>(k)];
}

void BrenierMap::operator()(const double* x, double* y) const {
  const Index d = dimensions();
  std::copy_n(x, d, y);
  switch (kind_) {
    case KnownMap::affine:
      reflect(y);
      for (Index k = 0; k < d; ++k) y[k] *= scales_[static_cast<std::size_t>(k)];
      reflect(y);
      for (Index k = 0; k < d; ++k) y[k] += 1;
      return;
    case KnownMap::mixture:
      reflect(y);
      y[0] = mixture_quantile(y[0]);
      reflect(y);
      return;
    case KnownMap::convex:
      std::array<double, kCentres> p{};
      for (int k = 0; k < kCentres; ++k) p[k] = kSharpness * dot(centres_.data() + k * d, x, d);
      const double largest = *std::max_element(p.begin(), p.end());
      for (double& value : p) value = std::exp(value - largest);
      const double sum = std::accumulate(p.begin(), p.end(), 0.0);
      for (Index i = 0; i < d; ++i) {
        y[i] = x[i] / 2;
        for (int k = 0; k < kCentres; ++k) y[i] += kSlope * p[k] / sum * centres_[static_cast<std::size_t>(k * d + i)];
      }
  }
}

double BrenierMap::squared_w2() const {
  if (kind_ == KnownMap::convex) return std::numeric_limits<double>::quiet_NaN();
  if (kind_ == KnownMap::mixture) return mixture_cost();
  double sum = static_cast<double>(dimensions());  // of the shift
  for (const double scale : scales_) sum += (scale - 1) * (scale - 1);
  return sum;
}

std::int32_t BrenierMap::label(const double* x) const {
  if (kind_ != KnownMap::mixture) return 0;
  return x[0] - 2 * dot(u_.data(), x, dimensions()) * u_[0] > 0;
}

}  // namespace monge::data
