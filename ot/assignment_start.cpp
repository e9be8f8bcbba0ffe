#include "monge/ot/assignment_start.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "monge/ot/clipped_mean.h"
#include "monge/ot/largest_scores.h"

namespace monge::ot::detail {
namespace {

constexpr int kMostPasses = 30;

}  // namespace

double score_spacing(MatrixView<const float> scores, const std::vector<float>& w) {
  const Index best = std::min<Index>(16, scores.cols - 1);
  LargestScores<float> largest;
  std::vector<double> ranges;
  for (Index i = 0; i < scores.rows && best > 0; i += (scores.rows + spacing_rows - 1) / spacing_rows) {
    const auto found = largest.find(scores.row(i), 1.0f, w.data(), scores.cols, best + 1, 0);
    if (static_cast<Index>(found.size()) > best) ranges.push_back(found.front().score - found.back().score);
  }
  return ranges.empty() ? 0 : clipped_mean(std::move(ranges)) / static_cast<double>(best);
}

void sinkhorn_start(const BalancePass& pass, const StartSchedule& schedule, std::vector<double>& w) {
  std::vector<double> mass(w.size());
  std::vector<float> bias(w.size());
  double epsilon = schedule.first;
  for (int count = 0; count < kMostPasses; ++count, epsilon *= schedule.fall) {
    std::copy(w.begin(), w.end(), bias.begin());
    const double between = pass(bias, static_cast<float>(epsilon), mass);
    // A column that got nothing at all is asked for more, but not for the moon.
    for (std::size_t j = 0; j < w.size(); ++j) w[j] -= schedule.omega * epsilon * std::log(std::max(mass[j], 1e-30));
    if (epsilon <= schedule.last * between) break;
  }
}

void sinkhorn_start(ScoreBlocks& scores, const StartSchedule& schedule, std::vector<double>& w) {
  const Index m = scores.cols();
  const std::vector<double> ones(m, 1.0);
  std::vector<double> f(m, std::numeric_limits<double>::quiet_NaN()), part(m);
  const auto pass = [&](const std::vector<float>& bias, float epsilon, std::vector<double>& mass) {
    std::fill(mass.begin(), mass.end(), 0.0);
    double between = 0;
    scores.each([&](Index row, MatrixView<const float> block) {
      const Scores<float> s{.stored = block, .v = VectorView<const float>(bias)};
      passes_for<float>({}).balance(s, epsilon, {ones.data(), block.rows}, {f.data() + row, block.rows}, part,
                                    scores.context());
      for (Index j = 0; j < m; ++j) mass[j] += part[j];
      if (row == 0) between = score_spacing(block, bias);
    });
    return between;
  };
  sinkhorn_start(pass, schedule, w);
}

}  // namespace monge::ot::detail
