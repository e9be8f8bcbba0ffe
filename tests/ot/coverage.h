// How often the interval of a semidiscrete check misses.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "monge/ot/semidiscrete_fit.h"

namespace monge::ot::truth {

// Of 2.5% of `trials`, with four standard errors of room.
inline double most_misses(int trials) { return 0.025 * trials + 4 * std::sqrt(0.025 * 0.975 * trials); }

// Either end misses the optimum in 2.5% of all checks at most, and in the mean the ends are no further apart than
// `width`.
inline void expect_coverage(const detail::SemidualProblem& problem, const std::vector<double>& v, double optimum,
                            double width) {
  constexpr int trials = 400;
  int above = 0, below = 0;
  double mean_width = 0;
  for (int t = 0; t < trials; ++t) {
    SemidiscreteOptions options;
    options.seed = static_cast<std::uint64_t>(t);
    options.check_samples = 1500;
    const detail::Check check = detail::check_semidual(problem, v, options, 0);
    above += check.lower > optimum;
    below += check.upper < optimum;
    mean_width += (check.upper - check.lower) / trials;
  }
  EXPECT_LE(above, most_misses(trials));
  EXPECT_LE(below, most_misses(trials));
  EXPECT_LE(mean_width, width);
}

}  // namespace monge::ot::truth
