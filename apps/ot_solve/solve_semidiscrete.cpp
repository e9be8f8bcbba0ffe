#include <algorithm>
#include <cmath>
#include <numeric>

#include "monge/apps/common/fitted.h"
#include "monge/apps/ot_solve/long_work.h"
#include "monge/apps/ot_solve/solvers.h"
#include "monge/ot/core/error.h"
#include "monge/ot/semidiscrete.h"

namespace monge::apps {
namespace {

constexpr double default_tolerance = 0.1;  // L1

void draw_uniform(const Rng& rng, std::uint64_t first, MatrixView<float> out) {
  for (Index i = 0; i < out.rows; ++i) {
    const std::uint64_t element = (first + static_cast<std::uint64_t>(i)) * static_cast<std::uint64_t>(out.cols);
    for (Index k = 0; k < out.cols; ++k) {
      const std::uint64_t e = element + static_cast<std::uint64_t>(k);
      out(i, k) = Rng::uniform(rng.bits(e / 4).w[e % 4]);
    }
  }
}

// Fresh samples that the solver's final check keeps in memory at a time, at most: enough to know a chi-square near its
// tolerance to 1/17 of it, as long as they are not too many for one block.
double check_samples(double atoms, double chi2) {
  const double error = chi2 / 17, block = 1 << 17;
  return std::min(block, (4 * chi2 + std::sqrt(16 * chi2 * chi2 + 8 * atoms * error * error)) / (2 * error * error));
}

ot::SourceLaw source_law(const Input<float>& input, const Request& r) {
  if (r.x == "normal") return {};
  if (r.x == "uniform") return draw_uniform;
  if (!input.x_labels.empty()) return ot::source_of_points(input.x.view(), input.x_labels, input.a);
  return ot::source_of_points(input.x.view(), input.a);
}

}  // namespace

Solution solve_semidiscrete(const Input<float>& input, const Request& r, const MemoryBudget& budget) {
  const LongWork clock("");
  check_balanced(input);
  const double mass = input.b.empty() ? 1 : std::accumulate(input.b.begin(), input.b.end(), 0.0);
  ot::SemidiscreteOptions options;
  options.cost = input.cost;
  options.epsilon = r.epsilon.value_or(0);
  // The L1 distance of two laws is at most the root of their chi-square.
  const double l1 = r.tolerance.value_or(default_tolerance);
  options.tolerance = l1 * l1;
  require(options.tolerance > 0 && options.tolerance <= 1, "--tolerance of semidiscrete is in (0, 1], not ", l1);
  options.max_seconds = r.max_seconds;
  options.seed = r.seed;
  options.context = r.context;
  if (!input.y_labels.empty()) {
    options.labels = input.y_labels;
    options.label_penalty = input.label_penalty;
    options.noise_labels = ot::label_shares(input.x_labels, input.a);
  }
  const double atoms = static_cast<double>(input.y.rows()), d = static_cast<double>(input.y.cols());
  budget.require(check_samples(atoms, options.tolerance) * 400 + atoms * (4 * d + 200) + 5e7,
                 concat("semidiscrete to a tolerance of ", l1));

  ot::SemidiscreteResult result = fit_with_progress(input.y.view(), options, input.b, source_law(input, r));
  Solution s{.solver = "semidiscrete", .dtype = "float", .status = result.status};
  s.seconds = clock.seconds();
  s.g = std::move(result.potentials.g);
  s.epsilon = options.epsilon;
  s.mass = mass;
  if (result.marginal.samples == 0) return s;  // stopped before its cost was known
  s.cost = s.value = mass * result.cost;
  s.certificate = result.certificate;
  s.certificate.lower *= mass;
  s.certificate.upper *= mass;
  s.marginal_error = mass * std::min(2.0, std::sqrt(std::max(0.0, result.marginal.upper)));
  return s;
}

}  // namespace monge::apps
