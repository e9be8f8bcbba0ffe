#pragma once  // private: never installed
#include <cstdint>
#include <limits>
#include <vector>

namespace monge::ot::detail {

// Anderson's acceleration of a fixed-point iteration x <- x + r(x): the next point is the one whose residual would be
// least if r were linear along the last few differences. Walker and Ni, Anderson acceleration for fixed-point
// iterations, SIAM J. Numer. Anal. 49, 2011. Safe: a step that makes the error more than double the least so far is
// taken back, and plain steps follow from the point of the least error, twice as many each time until there is a better
// one. Where that happens over and over, larger detours are allowed for, until the error has halved.
class Anderson {
 public:
  // `weights` measure residuals; memory: differences kept, 0 = the plain iteration.
  Anderson(std::vector<double> weights, int memory) : weights_(std::move(weights)), memory_(memory) {}

  // Replaces x by the next point. `error`: any measure of r.
  void advance(std::vector<double>& x, const std::vector<double>& r, double error);
  // Whether the step that led to x was not a plain one, so that advance can take it back, however wrong it went.
  bool may_retreat() const { return memory_ > 0 && !best_x_.empty() && plain_steps_ == 0; }

 private:
  struct Difference {
    std::vector<double> x, r;
  };
  double product(const std::vector<double>& r, const std::vector<double>& s) const;
  std::vector<double> coefficients(const std::vector<double>& r) const;
  void remember(const std::vector<double>& x, const std::vector<double>& r);

  std::vector<double> weights_;
  int memory_;
  std::vector<Difference> differences_;    // oldest first
  std::vector<std::vector<double>> gram_;  // products of their residuals
  std::vector<double> last_x_, last_r_;
  std::vector<double> best_x_, best_r_;  // of the least error
  double least_error_ = 0;
  double growth_ = 2;                                           // of the error that is allowed for
  double last_mark_ = std::numeric_limits<double>::infinity();  // least error when growth_ was last set back
  int retreats_ = 0;                                            // since there was a better point
  std::int64_t plain_steps_ = 0;                                // still to be taken
};

}  // namespace monge::ot::detail
