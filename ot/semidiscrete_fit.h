#pragma once  // private: never installed
#include <cmath>
#include <vector>

#include "monge/ot/laplacian.h"
#include "monge/ot/semidual.h"

namespace monge::ot::detail {

// Masses that a batch of noise gives the atoms, kept apart by independent group.
struct BatchMass {
  std::vector<double> mass = {};    // N, sums to rows
  std::vector<double> target = {};  // N, what share of them each should have
  Index rows = 0;
  Index gemm_rows = 0;
  double chi2 = 0;               // from collisions between independent groups: unbiased
  double mean_gap = 0;           // between the best and second best score of a row; not told if by width
  double mean_width = 0;         // of a row from the nearest border of its cell; where the plan wants links
  double crowded = 0;            // share of rows with more candidates than are kept
  std::vector<Link> links = {};  // sums of p_j p_k / epsilon over the rows, p their shares; where the plan wants them
};

// Whether borders can be told apart by their distance from the noise, whatever the gaps (BatchPlan::width).
inline bool by_width(const SemidualProblem& problem) { return problem.tree && problem.epsilon == 0; }

// Between atoms j and k of few dimensions; points that no double tells apart once they are centred are not in one
// place.
class AtomDistance {
 public:
  explicit AtomDistance(const AtomSet& atoms);
  double operator()(std::int32_t j, std::int32_t k) const;

 private:
  MatrixView<const double> y_;
  double least_ = 0;
};

// How a batch is made and assigned.
struct BatchPlan {
  Index rounds = 0;    // recombined sets per group, 0 = plain noise
  double epsilon = 0;  // temperature of the assignment; 0 = the best atom takes all
  double window = 0;   // atoms further than this below a row's best get nothing
  double width = 0;    // if > 0: between atoms j, k these are width |y_j - y_k| and `reach` times that; takes a tree
  bool links = false;  // to be counted, unless dense
  static constexpr double reach = 3;
  bool dense = false;  // epsilon so large that many atoms share a row: two full passes instead of candidate lists
};

// Assigns at least `rows` noise vectors by softmax_j((<x, y_j> + v_j) / plan.epsilon). The noise comes from row
// `next_row` of the stream on, which is advanced past what was used.
BatchMass assign_batch(const SemidualProblem& problem, const std::vector<double>& v, Index rows, const BatchPlan& plan,
                       const Rng& rng, std::uint64_t& next_row, const Context& context);

// How much v of each of these atoms has to rise for it to be the best of half as many as are its due of these noise
// vectors, which a batch has had; of 32 at most; 0 where it is. epsilon = 0.
std::vector<double> shortfalls(const SemidualProblem& problem, const std::vector<double>& v,
                               const std::vector<std::int32_t>& atoms, const Rng& rng, std::uint64_t first, Index rows,
                               const Context& context);

struct Fit {
  std::vector<double> v;  // per distinct atom
  Status status = Status::iteration_limit;
  double samples = 0, gemm_rows = 0;
};

// accept: whether the potentials that the fit takes for good are; if not, it goes on. known: potentials to start from,
// NaN where there is none yet; empty: from scratch.
Fit fit_semidual(const SemidualProblem& problem, const SemidiscreteOptions& options,
                 const std::function<bool(const std::vector<double>&)>& accept, const std::vector<double>& known = {});

struct Check {
  MarginalError marginal;
  double cost = 0;              // E c(x, T(x)) of the potentials' own plan
  double cost_error = 0;        // half of its 95% interval
  double lower = 0, upper = 0;  // 95% bounds on the unregularised optimum
  bool stopped = false;
  bool cut_short = false;  // by `seconds`
};

// Fresh plain noise: chi-square of the marginal, dual value, and the cost of a plan rounded to the weights. Each
// attempt has noise of its own. After `seconds` it makes do with what it has seen, 1024 rows at least.
Check check_semidual(const SemidualProblem& problem, const std::vector<double>& v, const SemidiscreteOptions& options,
                     int attempt, double seconds = HUGE_VAL);

// How many noise vectors that takes; throws invalid_argument if it is more than there are.
inline constexpr double most_check_samples = 1e12;
Index check_rows(Index atoms, const SemidiscreteOptions& options);

// Fresh noise vectors after which an unbiased chi-square near `chi2` over n atoms has this standard error: its variance
// is about 2 n / B^2 + 4 chi2 / B.
double samples_for_error(double n, double chi2, double error);

inline constexpr double z95 = 1.959963984540054;  // each side leaves out 2.5% of a normal law

// Chi-square from one-hot counts, with its 95% interval; n > 2 samples in all. b: masses of sum one.
MarginalError marginal_error(std::vector<double> counts, std::vector<double> b);

}  // namespace monge::ot::detail
