#include "monge/flow/time_law.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

// z with Phi(z) = u: a start that is within 0.1 or nearly so, then Halley's steps, which triple the digits.
double normal_quantile(double u) {
  if (u > 0.5) return -normal_quantile(1 - u);
  u = std::max(u, 0x1p-54);
  const double l = -2 * std::log(u);
  double z = u < 0.02 ? -std::sqrt(l - std::log(l) - std::log(2 * std::numbers::pi)) : std::log(u / (1 - u)) / 1.702;
  for (int k = 0; k < 3; ++k) {
    const double density = std::exp(-0.5 * z * z) / std::sqrt(2 * std::numbers::pi);
    const double step = (0.5 * std::erfc(-z / std::numbers::sqrt2) - u) / density;
    z -= step / (1 + 0.5 * z * step);
  }
  return z;
}

}  // namespace

void check(const TimeLaw& law) {
  require(std::isfinite(law.mean), "TimeLaw: mean must be finite, not ", law.mean);
  require(law.deviation > 0 && std::isfinite(law.deviation), "TimeLaw: deviation must be positive, not ",
          law.deviation);
}

double time_at(const TimeLaw& law, double u) {
  if (law.quantile) return law.quantile(u);
  if (law.kind == TimeLaw::Kind::uniform) return u;
  return 1 / (1 + std::exp(-(law.mean + law.deviation * normal_quantile(u))));
}

void draw_times(const TimeLaw& law, std::uint64_t seed, std::uint64_t stream, std::uint64_t step,
                std::span<double> times) {
  const Rng rng = Rng{seed, 0}.substream(stream);
  const std::uint64_t count = times.size();
  for (std::uint64_t i = 0; i < count; ++i) {
    const Rng::Block b = rng.bits(step * count + i);
    const double u = (static_cast<double>(i) + Rng::uniform(b.w[0], b.w[1])) / static_cast<double>(count);
    times[i] = time_at(law, u);
    require(times[i] >= 0 && times[i] <= 1, "TimeLaw: the ", u, "-quantile is ", times[i], ", not in [0, 1]");
  }
}

}  // namespace monge::flow
