#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "monge/apps/coupling_cost/population.h"
#include "monge/ot/core/status.h"
#include "monge/ot/matcher.h"
#include "monge/ot/semidiscrete.h"

namespace monge::apps {

// What batches of any size are compared with: the semidiscrete problem from the noise onto all points.
struct LimitFigures {
  double cost = 0, error = 0;  // dual value of the potentials: mean of f + mean of g, 95% of it within +-error
  double plan_cost = 0, plan_error = 0;  // of the coupling that the potentials give
  double lower = 0, upper = 0;           // certificate of ot::semidiscrete on the optimum, 95%
  double chi2 = 0, chi2_upper = 0;       // of that coupling's marginal on the points
  double samples = 0;                    // noise vectors behind cost and plan_cost
  double fit_seconds = 0;
  std::string status;  // of the fit
};

// Fitted potentials, ready to match noise.
class Limit {
 public:
  Limit(const Population& population, ot::SemidiscretePotentials potentials, const Context& context);

  // Partners of the rows of x: of row i with the randomness of block `first` + i of `rng`.
  std::vector<std::int32_t> match(MatrixView<const float> x, const Rng& rng, std::uint64_t first = 0) const;
  // f_i = |x_i - y_j|^2 - g_j, j the partner of row i.
  std::vector<double> f(MatrixView<const float> x, const std::vector<std::int32_t>& partners) const;
  const std::vector<double>& g() const { return g_; }  // N
  double mean_g() const { return mean_g_; }

  // cost and plan_cost with their errors, from fresh noise. |x|^2 counts as its mean d.
  LimitFigures estimate(double samples, std::uint64_t seed, LimitFigures figures) const;

 private:
  const Population& population_;
  std::vector<double> g_;
  double mean_g_ = 0;
  Context context_;
  std::unique_ptr<ot::Matcher> matcher_;
};

// The potentials in `path`, or else freshly fitted ones that are then kept there. `figures` gets what the fit says of
// itself. Throws Error (a file of other points or another seed), Interrupted.
ot::SemidiscretePotentials fit_limit(const Population& population, double tolerance, std::uint64_t seed,
                                     const std::filesystem::path& path, const Context& context, LimitFigures& figures);

}  // namespace monge::apps
