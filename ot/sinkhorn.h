#pragma once
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "monge/ot/core/status.h"
#include "monge/ot/problem.h"

namespace monge::ot {

// Entropic optimal transport by Sinkhorn's iteration, matrix-free:
//   min_P <P, C> + epsilon KL(P | a x b) + tau_a KL(P 1 | a) + tau_b KL(P^T 1 | b),
// tau = infinity standing for P 1 = a; or, with `mass` set, P 1 <= a, P^T 1 <= b and sum P = mass (partial transport).
// The plan is P_ij = a_i b_j exp((f_i + g_j - c_ij) / epsilon) and never stored (see ot/plan.h).

enum class EpsilonUnit {
  cost,       // epsilon is in units of the cost
  mean_cost,  // epsilon times the mean of c_ij under a x b
};

enum class Storage {
  automatic,  // keep the n x m scores when making them anew costs more, and they fit in `storage_bytes`
              // (docs/sinkhorn.md)
  recompute,  // O((n + m) d) memory, always
  store,      // keep them, or throw out_of_memory
};

struct SinkhornProgress {
  Index iterations = 0;
  Index level = 0;            // 0: the problem itself; k: a sample of it, 8^k times smaller on each side
  double epsilon = 0;         // in use, units of the cost
  double marginal_error = 0;  // as in the result; infinity before the first iteration
  double seconds = 0;         // since the call started
};

struct SinkhornOptions {
  double epsilon = 0.05;  // > 0; smaller is sharper and slower
  EpsilonUnit epsilon_unit = EpsilonUnit::mean_cost;
  double tolerance = 1e-3;                                 // L1 error of the marginals over the total mass
  double tau_a = std::numeric_limits<double>::infinity();  // price of straying from a, units of the cost
  double tau_b = std::numeric_limits<double>::infinity();  // price of straying from b, units of the cost
  double mass = 0;              // partial transport: the mass to move, at most min(sum a, sum b); 0 = not partial
  Index max_iterations = 5000;  // on the problem itself
  double max_seconds = 0;       // wall time, the certificate included; 0 = no limit. See docs/sinkhorn.md
  int memory = 8;               // differences kept by Anderson's acceleration; 0 = the plain iteration
  bool coarse_start = true;     // start from samples of the clouds when these are large; otherwise from larger epsilons
  VectorView<const double> start = {};  // m: g to start from (a warm start), instead of either
  Storage storage = Storage::automatic;
  double storage_bytes = 2e9;  // the most that Storage::automatic keeps, where the passes run
  bool certify = true;         // two more passes, for the cost and the certificate
  Context context = {};
  // Called at every iteration, and ten times a second inside of long passes, with what the last iteration saw; always
  // by the calling thread. Return false to stop: the pass that runs is then left, too.
  std::function<bool(const SinkhornProgress&)> progress = {};
};

// A run that is stopped returns its best whole iteration: a stop loses the pass that runs, no more. Without any
// (iterations = 0) f and g are empty.
struct SinkhornResult {
  Status status = Status::iteration_limit;
  std::vector<double> f;            // n, units of the cost
  std::vector<double> g;            // m, units of the cost
  std::vector<double> f_rest = {};  // n, m: what rounding took from f and g, which may be far larger than epsilon where
  std::vector<double> g_rest = {};  // the clouds are far from the origin; Plan adds it again. May be empty: zeros
  double level = 0;                 // partial: the multiplier of the mass, which f contains; units of the cost
  double epsilon = 0;               // of the plan, units of the cost: larger than asked for if stopped on the way there
  bool has_cost = false;      // cost and value are known: not without `certify`, nor if a stop came before they were
  double cost = 0;            // <P, C>
  double value = 0;           // what the certificate brackets at its optimum: <P, C> and the prices of tau_a, tau_b
  double regularised = 0;     // with the entropy: the dual of the regularised problem at f and g
  double marginal_error = 0;  // L1 distance of P's marginals from a and b (unbalanced: from where they would settle)
  double mass = 0;            // sum of P
  double mean_cost = 0;       // of c_ij under a x b; 0 unless epsilon was relative to it
  Certificate certificate;    // of the problem without its entropy; docs/certificates.md has the argument
  Index iterations = 0;       // on the problem itself
  bool in_double = false;     // solved in double
  double seconds = 0;
};

// x and y as views, or anything a Problem can say. float problems whose epsilon is too small for float are solved in
// double. Throws Error: see check(Problem); invalid_argument for options out of range or weights of unequal sums (more
// than 1e-6 apart, relative) in a balanced problem; out_of_memory.
SinkhornResult sinkhorn(const Problem<float>& problem, const SinkhornOptions& options = {});
SinkhornResult sinkhorn(const Problem<double>& problem, const SinkhornOptions& options = {});

inline SinkhornResult sinkhorn(MatrixView<const float> x, MatrixView<const float> y,
                               const SinkhornOptions& options = {}) {
  return sinkhorn(Problem<float>{.x = x, .y = y}, options);
}
inline SinkhornResult sinkhorn(MatrixView<const double> x, MatrixView<const double> y,
                               const SinkhornOptions& options = {}) {
  return sinkhorn(Problem<double>{.x = x, .y = y}, options);
}

// Many small problems, several at a time; each result is what its problem would give alone.
std::vector<SinkhornResult> sinkhorn(std::span<const Problem<float>> problems, const SinkhornOptions& options = {});
std::vector<SinkhornResult> sinkhorn(std::span<const Problem<double>> problems, const SinkhornOptions& options = {});

}  // namespace monge::ot
