#pragma once  // private: never installed
#include <vector>

#include "monge/ot/semidual.h"

namespace monge::ot::detail {

// Mean and spread of each atom's score over the source, from which the start and the steps are made.
struct ScoreScale {
  std::vector<double> mean, deviation;
};
ScoreScale score_scale(const SemidualProblem& problem, const Rng& rng, const Context& context);

double root_mean_square(const std::vector<double>& values);
void recentre(std::vector<double>& v, const std::vector<double>& b);

// Of the noise that competes for atom j the share that it is to get: b_j, or of its own label where others stay away.
std::vector<double> local_shares(const SemidualProblem& problem, const ScoreScale& scale);

// How far v_j has to move for the mass of atom j to change by its own size.
std::vector<double> natural_steps(const SemidualProblem& problem, const ScoreScale& scale);

// Where the semidual's maximum would be if every atom met its own independent Gaussian scores: the extreme-value level
// of N draws, or above the freezing temperature of that random-energy model its free energy.
std::vector<double> extreme_start(const SemidualProblem& problem, const ScoreScale& scale);

// Where it would be between isotropic Gaussians: better where dimensions are few and scores far from independent.
std::vector<double> quadratic_start(const SemidualProblem& problem, const ScoreScale& scale);

// Between Gaussians with the atoms' covariance, at the temperature where their plan knows as much as there are atoms to
// tell apart: directions of large variance are resolved, as between Gaussians, in the others atoms meet independent
// scores. Standard normal source, up to `most_frozen` dimensions; empty where it does not apply.
inline constexpr Index most_frozen = 1024;
std::vector<double> frozen_start(const SemidualProblem& problem, const ScoreScale& scale, const Context& context);

// On a line, in up to 8 dimensions, atoms in order share the noise in order: between neighbours the potential falls by
// their distance times the quantile that parts them. The exact maximum at epsilon = 0; empty of other clouds.
std::vector<double> quantile_start(const SemidualProblem& problem, const ScoreScale& scale, const Rng& rng,
                                   const Context& context);

// Potentials known from elsewhere, NaN where there is none: there a start from scratch, moved as it should have been
// for the nearest atoms.
std::vector<double> carried_start(const SemidualProblem& problem, const ScoreScale& scale,
                                  const std::vector<double>& known, const Context& context);

}  // namespace monge::ot::detail
