#include "monge/ot/group_balance.h"

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"

namespace monge::ot::detail {
namespace {

constexpr Index kTile = 1024;
constexpr int kMostSteps = 12;
constexpr double kBalanced = 1e-4;  // share of the mass that may be out of place
constexpr double kFarthest = 20;    // a step, in units of epsilon
constexpr float kLeast = -10;       // log of the least share that has a part in the curvature

class GroupDual {
 public:
  GroupDual(MatrixView<const float> seen, const std::vector<double>& a, const std::vector<double>& b, double epsilon,
            const Context& context)
      : seen_(seen),
        a_(a),
        b_(b),
        epsilon_(epsilon),
        context_(context),
        f_(a.size(), std::numeric_limits<double>::quiet_NaN()),
        mass_(b.size()),
        bias_(b.size()) {}

  std::vector<double> maximise() {
    std::vector<double> z(b_.size(), 0.0), trial;
    double value = evaluate(z);
    for (int step = 0; step < kMostSteps && imbalance() > kBalanced; ++step) {
      const Eigen::VectorXd direction = newton_step();
      bool risen = false;
      for (double share = 1; share > 1e-3 && !risen; share /= 4) {
        trial = z;
        for (std::size_t g = 0; g < z.size(); ++g)
          trial[g] +=
              std::clamp(share * direction[static_cast<Eigen::Index>(g)], -kFarthest * epsilon_, kFarthest * epsilon_);
        const double there = evaluate(trial);
        risen = there > value;
        if (risen) value = there;
      }
      if (!risen) break;
      z.swap(trial);
    }
    return z;
  }

 private:
  // D(z); f and the masses of groups beside it.
  double evaluate(const std::vector<double>& z) {
    if (context_.stop) context_.stop->look();
    std::copy(z.begin(), z.end(), bias_.begin());
    passes_for<float>({}).balance({.stored = seen_, .v = bias_}, static_cast<float>(epsilon_), a_, f_, mass_, context_);
    double value = 0;
    for (std::size_t i = 0; i < a_.size(); ++i) value += a_[i] * f_[i];
    for (std::size_t g = 0; g < b_.size(); ++g) value += b_[g] * z[g];
    return value;
  }

  double imbalance() const {
    double off = 0, total = 0;
    for (std::size_t g = 0; g < b_.size(); ++g) off += std::abs(mass_[g] - b_[g]), total += b_[g];
    return off / total;
  }

  // The curvature is diag(mass) - sum_i a_i p_i p_i^T, over epsilon, p_i being the shares of row i: most rows have few.
  Eigen::VectorXd newton_step() const {
    const Index n = seen_.rows, groups = seen_.cols, tiles = (n + kTile - 1) / kTile;
    const float rate = static_cast<float>(1 / epsilon_);
    std::vector<Eigen::MatrixXd> parts(static_cast<std::size_t>(tiles));
    parallel_for(threads_worth(context_.threads, 8 * n * groups), tiles, [&](Index tile, int) {
      Eigen::MatrixXd& part = parts[tile] = Eigen::MatrixXd::Zero(groups, groups);
      std::vector<std::pair<Index, double>> shares;
      for (Index i = tile * kTile; i < std::min(n, (tile + 1) * kTile); ++i) {
        shares.clear();
        const float f = static_cast<float>(f_[i]);
        for (Index g = 0; g < groups; ++g) {
          const float power = (seen_(i, g) + bias_[g] + f) * rate;
          if (power > kLeast) shares.push_back({g, static_cast<double>(std::exp(power))});
        }
        for (std::size_t p = 0; p < shares.size(); ++p)  // the lower triangle
          for (std::size_t q = 0; q <= p; ++q)
            part(shares[p].first, shares[q].first) -= a_[i] * shares[p].second * shares[q].second;
      }
    });
    Eigen::MatrixXd curvature = Eigen::MatrixXd::Zero(groups, groups);
    for (const Eigen::MatrixXd& part : parts) curvature += part;
    Eigen::VectorXd rest(groups);
    for (Index g = 0; g < groups; ++g) {
      rest[g] = b_[g] - mass_[g];
      // What nobody goes to has no curvature: it takes a short step.
      curvature(g, g) += mass_[g] + 1e-4 * b_[g] + std::max(0.0, 0.1 * b_[g] - mass_[g]);
    }
    return epsilon_ * curvature.ldlt().solve(rest);
  }

  MatrixView<const float> seen_;
  const std::vector<double>&a_, &b_;
  const double epsilon_;
  const Context& context_;
  std::vector<double> f_, mass_;
  std::vector<float> bias_;
};

}  // namespace

std::vector<double> balance_groups(MatrixView<const float> seen, const std::vector<double>& a,
                                   const std::vector<double>& b, double epsilon, const Context& context) {
  return GroupDual(seen, a, b, epsilon, context).maximise();
}

}  // namespace monge::ot::detail
