#pragma once  // private: never installed
#include <vector>

namespace monge::ot::detail {

// What is asked of the masses of one side of a plan. Potentials are "reduced": what belongs to the point alone (`own`,
// the part of the cost that depends on it only) is taken off, f = F + own.
struct Side {
  enum class Law {
    fixed,   // the weights themselves
    kl,      // any masses r, at the price tau KL(r | weights)
    capped,  // at most the weights, `mass` in all
  };
  Law law = Law::fixed;
  std::vector<double> weights;
  std::vector<double> own;
  double tau = 0;
  double mass = 0;

  struct Settled {
    std::vector<double> potentials;  // F
    std::vector<double> masses;      // what the points then send; infinite where no double is as large
    std::vector<double> logs;        // of masses over weights; empty where they are equal
    double level = 0;                // lambda of a capped side: the potential of the total mass
  };
  // The best potentials, when F = `fitted` would make every point send exactly its weight.
  Settled settle(const std::vector<double>& fitted, double epsilon) const;
  // The same for one potential, own part included.
  double settled(double fitted, double level, double epsilon) const;
};

}  // namespace monge::ot::detail
