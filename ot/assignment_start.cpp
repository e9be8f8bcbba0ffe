#include "monge/ot/assignment_start.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace monge::ot::detail {

void sinkhorn_start(ScoreBlocks& scores, const StartOptions& options, std::vector<double>& w) {
  const Index m = scores.cols();
  const std::vector<double> ones(m, 1.0);
  std::vector<double> f(m, std::numeric_limits<double>::quiet_NaN()), mass(m), part(m);
  std::vector<float> bias(m);
  for (int pass = 0; pass < options.passes; ++pass) {
    const double at = options.passes > 1 ? static_cast<double>(pass) / (options.passes - 1) : 1.0;
    const double epsilon = options.first * std::pow(options.last / options.first, at);
    std::copy(w.begin(), w.end(), bias.begin());
    std::fill(mass.begin(), mass.end(), 0.0);
    scores.each([&](Index first, MatrixView<const float> block) {
      const Scores<float> s{.stored = block, .v = VectorView<const float>(bias)};
      passes_for<float>({}).balance(s, static_cast<float>(epsilon), {ones.data(), block.rows},
                                    {f.data() + first, block.rows}, part, scores.context());
      for (Index j = 0; j < m; ++j) mass[j] += part[j];
    });
    // A column that got nothing at all is asked for more, but not for the moon.
    for (Index j = 0; j < m; ++j) w[j] -= options.omega * epsilon * std::log(std::max(mass[j], 1e-30));
  }
}

}  // namespace monge::ot::detail
