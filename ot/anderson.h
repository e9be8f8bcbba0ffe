#pragma once  // private: never installed
#include <vector>

namespace monge::ot::detail {

// Anderson's acceleration of a fixed-point iteration x <- x + r(x): the next point is the one whose residual would be
// least if r were linear along the last few differences. Walker and Ni, Anderson acceleration for fixed-point
// iterations, SIAM J. Numer. Anal. 49, 2011. Forgets what it knows when the error grows, so that at worst the plain
// iteration is left, and takes back a point that went astray.
class Anderson {
 public:
  // `weights` measure residuals; memory: differences kept, 0 = the plain iteration.
  Anderson(std::vector<double> weights, int memory) : weights_(std::move(weights)), memory_(memory) {}

  // Replaces x by the next point. `error`: any measure of r.
  void advance(std::vector<double>& x, const std::vector<double>& r, double error);
  // Back to the plain step from the last point if x, whose error is none or far above the least, was extrapolated.
  // Returns whether it went back.
  bool retreat(std::vector<double>& x, double error);
  void forget();

 private:
  struct Difference {
    std::vector<double> x, r;
  };
  double product(const std::vector<double>& r, const std::vector<double>& s) const;
  std::vector<double> coefficients(const std::vector<double>& r) const;

  std::vector<double> weights_;
  int memory_;
  std::vector<Difference> differences_;    // oldest first
  std::vector<std::vector<double>> gram_;  // products of their residuals
  std::vector<double> last_x_, last_r_;
  double least_error_ = 0;
  bool extrapolated_ = false;  // the last step was not a plain one
};

}  // namespace monge::ot::detail
