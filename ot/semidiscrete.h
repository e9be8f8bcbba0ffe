#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/status.h"
#include "monge/ot/cost.h"
#include "monge/ot/label_law.h"
#include "monge/ot/pca.h"
#include "monge/ot/source.h"

namespace monge::ot {

// Semidiscrete optimal transport: from a law mu that can be sampled to N weighted atoms y_j. The semidual
//   max_g  E_x[ f(x) ] + <b, g>,   f(x) = -epsilon log sum_j b_j exp((g_j - c(x, y_j)) / epsilon),
// whose epsilon -> 0 limit is f(x) = min_j c(x, y_j) - g_j, is ascended by stochastic steps. With the potentials g a
// fresh x is matched to an atom by one inner-product search (epsilon = 0) or one categorical draw (epsilon > 0).
//
// With labels, noise is a pair (x, z), independent of each other or x of a law for each z (see SourceLaw), and c_j(x,
// z) = c(x, y_j) + label_penalty where z is not the label of y_j. With a finite tau, <b, g> is tau sum_j b_j (1 -
// exp(-g_j / tau)): masses may stray from b at the price of tau KL(m | b).

struct SemidiscreteStep {
  double samples_per_atom = 0;  // noise vectors evaluated so far, per atom
  double chi2 = 0;              // of the marginal, estimated on this batch, softened when epsilon = 0; noisy
  double seconds = 0;           // since the start
  bool checking = false;        // the final check is under way; `progress` is its share done
  double progress = 0;          // of the way to the expected end, in [0, 1]
};

struct SemidiscreteOptions {
  Cost cost = Cost::negative_dot;   // or squared_euclidean
  double epsilon = 0;               // entropic regularisation, in units of the cost; 0 = unregularised
  double tolerance = 0.05;          // on the chi-square of the marginal: converged = the upper end of its 95% interval
                                    // on fresh noise is below
  double max_samples_per_atom = 0;  // give up after so many per distinct atom, checks apart; 0 = max(600, 30 /
                                    // tolerance), more for small clouds
  double max_seconds = 0;    // three quarters for the fit, the rest for a check of as much noise as it allows, 1024
                             // vectors at least; 0 = no limit
  Index pca = 0;             // fit in the space of so many principal directions; 0 = all dimensions
  double check_samples = 0;  // fresh noise vectors of the final check, 1024 at least and at most 1e12; 0 = enough for
                             // +-12% of the tolerance, and again if the fit has to go on
  // Class-conditional couplings: noise has a label, too, and unequal labels cost more.
  VectorView<const std::int32_t> labels = {};                      // N, of the atoms; empty = none
  double label_penalty = std::numeric_limits<double>::infinity();  // units of the cost; +infinity: never unequal
  std::vector<LabelShare> noise_labels = {};                       // their law; empty = as the atoms' weights
  double tau = std::numeric_limits<double>::infinity();  // unbalanced: price of masses other than b, units of the cost
  std::uint64_t seed = 0;
  Context context = {};
  // Called after every batch, ten times a second within long ones and before them in fit_pca; return false to stop.
  std::function<bool(const SemidiscreteStep&)> on_step = {};
};

// All that matching needs, besides the atoms themselves.
struct SemidiscretePotentials {
  Cost cost = Cost::negative_dot;
  double epsilon = 0;
  std::vector<double> g = {};   // N, units of the cost, of mean <b, g> = 0 in the inner-product form, or, where tau is
                                // finite, sum_j b_j exp(-g_j / tau) = 1; -infinity where b = 0
  std::vector<double> b = {};   // N, or empty = uniform
  std::optional<Pca> pca = {};  // set when g belongs to the projected problem: not if stopped before that was known
  std::vector<std::int32_t> labels = {};  // N, or empty = none
  double label_penalty = std::numeric_limits<double>::infinity();
  std::vector<LabelShare> noise_labels = {};  // where there are labels
  double tau = std::numeric_limits<double>::infinity();

  // N, of sum one: what the atoms are to get. b, or b_j exp(-g_j / tau) where tau is finite.
  std::vector<double> masses() const;
};

// Chi-square distance of the fitted marginal m from the masses b that atoms are to get, sum_j (m_j - b_j)^2 / b_j:
// unbiased, so it may come out negative. Atoms that are to get next to nothing, 1e-4 / N each, count as one.
struct MarginalError {
  double chi2 = 0;
  double lower = 0, upper = 0;  // 95% interval
  double samples = 0;           // fresh noise vectors behind it
};

struct SemidiscreteResult {
  SemidiscretePotentials potentials;
  Status status = Status::iteration_limit;  // converged: marginal.upper <= tolerance
  MarginalError marginal;                   // on plain fresh noise
  Certificate certificate;        // of the unregularised cost (in the projected space when PCA is used), plus what a
                                  // finite tau charges; kind confidence
  double cost = 0;                // E c(x, T(x)) of the plan the potentials give, units of the cost
  double cost_error = 0;          // half of its 95% interval
  double samples_per_atom = 0;    // noise vectors evaluated by the fit, its own checks included, over N
  double gemm_rows_per_atom = 0;  // of which so many needed inner products of their own
  double seconds = 0;             // the fit
  double check_seconds = 0;       // the final check
  Index merged = 0;               // atoms that duplicate an earlier one, as projected
  Index dropped = 0;              // atoms of weight zero
};

// y: N x d atoms. b: N weights (any positive scale; empty = uniform). source: law of x (empty = standard normal in d
// dimensions), or for each label of the noise. Errors: see make_atoms; epsilon or tolerance out of range; a source that
// gives NaN, or is by label where atoms have none.
// Noise labels that no atom has, or that have another share than its atoms, are infeasible where unequal labels are
// forbidden and masses may not stray.
SemidiscreteResult semidiscrete(MatrixView<const float> y, VectorView<const double> b = {},
                                const SemidiscreteOptions& options = {}, const SourceLaw& source = {});

// The same after some atoms were added, removed or given other weights, from potentials of the cloud before: takes far
// fewer samples after changes of a few per cent, about as many as a new fit after those of a cloud half changed.
// origin: N, which atom of that cloud each row of y was, -1 for a new one. Cost, epsilon, directions, penalty and tau
// are those of `before`, whatever the options say; labels are the options'.
SemidiscreteResult refit(MatrixView<const float> y, const SemidiscretePotentials& before,
                         VectorView<const std::int32_t> origin, VectorView<const double> b = {},
                         const SemidiscreteOptions& options = {}, const SourceLaw& source = {});

// For refit(): the first row of `before` that each row of y (N x d) equals, -1 if none does.
std::vector<std::int32_t> origin_of(MatrixView<const float> y, MatrixView<const float> before);

}  // namespace monge::ot
