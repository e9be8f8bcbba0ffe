#include "monge/ot/sinkhorn_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "monge/ot/bounded_sum.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/kl_price.h"
#include "monge/ot/weights.h"

namespace monge::ot::detail {
namespace {

using Law = Side::Law;

constexpr double few = 0x1p-50;  // eight roundings in double, those of weights that were scaled among them

// docs/certificates.md proves what is claimed here, in these names.
template <class T>
class Bounds {
 public:
  explicit Bounds(const SinkhornIteration<T>& iteration)
      : it_(iteration), geometry_(it_.geometry()), rows_(it_.rows()), cols_(it_.cols()) {
    const double n = static_cast<double>(geometry_.rows()), m = static_cast<double>(geometry_.cols());
    double potential = 0, most = 0;
    for (Index i = 0; i < geometry_.rows(); ++i) {
      if (rows_.weights[i] > 0) potential = std::max(potential, std::abs(it_.fitted()[i]));
      most = std::max(most, sent(i));
      sent_ += sent(i);
    }
    if (it_.context().device.type != DeviceType::cpu) {  // columns are rows of the transposed scores: s + f comes first
      for (Index j = 0; j < geometry_.cols(); ++j) {
        if (cols_.weights[j] > 0) potential = std::max(potential, std::abs(static_cast<double>(it_.biases()[j])));
      }
    }
    const bool repeats = passes_for<T>(it_.context().device).repeats(geometry_.scores({}));
    adding_ = 400 * u + (n + m) * 0x1p-52;
    delta_ = std::expm1(((repeats ? 0 : geometry_.rounding()) + 3 * u * potential) / it_.epsilon()) +
             3.0 * std::numeric_limits<T>::max_exponent * u + adding_;
    // Rows that are measured from a guess are off by 2^60 at most, shares kept are 2^30 at most.
    lost_ = std::numeric_limits<T>::min() * (rows_.law == Law::fixed ? 0x1p60 : 0x1p30);
    unseen_ = 2 * lost_ * n * most;
  }

  SinkhornBounds compute() {
    SinkhornBounds out;
    Plan plan = rounded();
    double row_price = 0, col_price = 0;
    for (Index i = 0; i < geometry_.rows(); ++i) {
      out.cost += sent(i) * (plan.sums(i, 0) + geometry_.row_own()[i]);
      if (rows_.law == Law::kl) row_price += kl_price(sent(i), rows_.weights[i], rows_.tau).value;
    }
    for (Index j = 0; j < geometry_.cols(); ++j) {
      if (cols_.law == Law::kl) col_price += kl_price(it_.col_masses()[j], cols_.weights[j], cols_.tau).value;
    }
    out.value = out.cost + row_price + col_price;
    out.whole = finishes([&] { out.lower = lower(); });
    if (!out.whole) out.lower = geometry_.has_signs() ? -HUGE_VAL : 0;
    const bool free = rows_.law == Law::kl || cols_.law == Law::kl;
    const double upper = !(delta_ < too_loose) ? HUGE_VAL : free ? upper_free(plan) : upper_fixed(plan);
    const double without_plan = upper_of_product();
    out.upper = std::min(without_plan, upper);  // in this order NaN is not chosen
    out.slack = out.upper == without_plan ? HUGE_VAL : slack_;
    out.proven = std::isfinite(out.lower) && std::isfinite(out.upper);
    return out;
  }

 private:
  static constexpr double too_loose = 0.1;  // a delta that leaves nothing to say about the plan
  static constexpr double u = 0.5 * std::numeric_limits<T>::epsilon();

  // The plan P_ij w_j and what the energy pass says of it.
  struct Plan {
    std::vector<double> kept;  // w, the share a column keeps of what it receives
    Matrix<double> sums;       // of each row that sends 1
    double mass = 0, cost = 0;
    double cost_error = 0;  // of `cost`, the plan being as the pass sees it
    double size = 0;        // at least sum_ij P_ij w_j |c_ij|
  };

  double sent(Index i) const { return it_.row_state().masses[i]; }
  double received(Index j) const { return it_.col_masses()[j]; }

  // What each column keeps of what it receives, so that it has no more than it may (or, against rows at will, its
  // weight).
  std::vector<double> shares_kept() const {
    std::vector<double> kept(static_cast<std::size_t>(geometry_.cols()), 1.0);
    if (cols_.law == Law::kl) return kept;
    for (Index j = 0; j < geometry_.cols(); ++j) {
      const double share = cols_.weights[j] / received(j);
      if (cols_.weights[j] == 0)
        kept[j] = 0;
      else if (received(j) > 0)
        kept[j] = rows_.law == Law::kl ? std::min(most_kept, share) : std::min(1.0, share);
    }
    return kept;
  }

  // c_ij = own_i + bias_j - (s_ij + v_j) with bias_j = own_j + v_j.
  Plan rounded() const {
    Plan plan{.kept = shares_kept(), .sums = Matrix<double>(geometry_.rows(), 3)};
    const std::vector<T>& v = it_.biases();
    std::vector<T> bias(v.size()), w(plan.kept.begin(), plan.kept.end());
    double biases = 0, owns = 0;  // sizes, by mass
    for (Index j = 0; j < geometry_.cols(); ++j) {
      if (cols_.weights[j] == 0) continue;
      const double own = geometry_.col_own()[j], full = static_cast<double>(v[j]) + own;
      bias[j] = static_cast<T>(full);
      biases += plan.kept[j] * (received(j) + unseen_) * (std::abs(static_cast<double>(v[j])) + std::abs(own));
    }
    passes_for<T>(it_.context().device)
        .energy(geometry_.scores(VectorView<const T>(v)), static_cast<T>(it_.epsilon()), it_.fitted(),
                VectorView<const T>(w), VectorView<const T>(bias), plan.sums.view(), it_.context());
    for (Index i = 0; i < geometry_.rows(); ++i) {
      const double own = geometry_.row_own()[i], mass = sent(i) * plan.sums(i, 1);
      plan.mass += mass;
      plan.cost += sent(i) * plan.sums(i, 2) + own * mass;
      owns += mass * std::abs(own);
    }
    const double largest = geometry_.largest_cost();
    plan.cost_error = plan.mass * (geometry_.rounding() + 4 * u * largest) + 4 * u * biases + 2 * adding_ * owns;
    plan.size = geometry_.has_signs() ? plan.mass * largest : std::abs(plan.cost) + plan.cost_error;
    plan.cost_error += adding_ * plan.size;
    plan.cost_error += static_cast<double>(geometry_.cols()) * lost_ * sent_ * largest;
    return plan;
  }

  // Shrunk until all masses are certainly within bounds, the plan leaves a little of each weight. What is certainly
  // left is coupled as a product, what may be left besides at the largest costs there are.
  double upper_fixed(const Plan& plan) {
    const bool capped = rows_.law == Law::capped;
    const double more = 1 + delta_, less = 1 - delta_, m = static_cast<double>(geometry_.cols());
    double shrink = 1 / (more * more);
    if (capped) shrink = std::min(shrink, least_mass() / (plan.mass * more * more));
    Remainder p(geometry_.rows()), q(geometry_.cols());
    for (Index i = 0; i < geometry_.rows(); ++i) {
      const double mass = shrink * sent(i) * plan.sums(i, 1);
      p.set(i, rows_.weights[i], mass * more, mass * less - sent(i) * m * lost_);
    }
    for (Index j = 0; j < geometry_.cols(); ++j) {
      const double mass = shrink * plan.kept[j] * received(j);
      q.set(j, cols_.weights[j], mass * more, mass * less - unseen_);
    }
    const double rest = capped ? rows_.mass - shrink * plan.mass * less + sent_ * m * lost_ : p.all_high;
    const double surely = capped ? std::max(0.0, least_mass() - shrink * plan.mass * more) : HUGE_VAL;
    const double coupled = std::min({surely, p.all_low, q.all_low}) * (1 - (m + p.low.size()) * few);
    double dearest = (rest - coupled) * geometry_.largest_cost(), reach = 0;
    p.take(coupled), q.take(coupled);
    for (Index i = 0; i < geometry_.rows(); ++i) reach += (p.high[i] - p.low[i]) * geometry_.row_reach(i);
    for (Index j = 0; j < geometry_.cols(); ++j) reach += (q.high[j] - q.low[j]) * geometry_.col_reach(j);
    if (!capped) dearest = std::min(dearest, reach);
    const double error = plan.cost_error + 2 * delta_ * plan.size + dearest;
    slack_ += error + (1 - shrink) * std::abs(plan.cost);
    const double product = geometry_.product_bound(p.low, q.low);
    return shrink * plan.cost + product + error + few * (std::abs(plan.cost) + std::abs(product) + error);
  }

  // With a price on one side or both nothing has to be moved anew: rows, or columns, can be scaled to what they must
  // be.
  double upper_free(const Plan& plan) {
    double value = plan.cost, error = plan.cost_error + 4 * delta_ * plan.size, size = plan.size;
    const auto add = [&](double r, double unseen, double w, double tau) {
      const double now = kl_price(r, w, tau).value;
      value += now, size += now;
      error += highest_kl_price(r * (1 - 4 * delta_), r * (1 + 4 * delta_) + unseen, w, tau) - now;
    };
    for (Index i = 0; rows_.law == Law::kl && i < geometry_.rows(); ++i) {
      const double unseen = static_cast<double>(geometry_.cols()) * lost_ * sent(i);
      if (rows_.weights[i] > 0) add(sent(i) * plan.sums(i, 1), unseen, rows_.weights[i], rows_.tau);
    }
    for (Index j = 0; j < geometry_.cols(); ++j) {
      if (cols_.weights[j] == 0) continue;
      if (cols_.law == Law::kl)
        add(received(j), unseen_, cols_.weights[j], cols_.tau);
      else if (plan.kept[j] >= most_kept || !(u * received(j) > unseen_))
        return HUGE_VAL;  // next to nothing to scale up
    }
    slack_ += error;
    return value + error + adding_ * size;
  }

  // Without any knowledge of the plan: everything to everywhere, or, if that is allowed, nothing.
  double upper_of_product() const {
    const double a = sum_of(rows_.weights), b = sum_of(cols_.weights);
    if (rows_.law == Law::kl && cols_.law == Law::kl) return (rows_.tau * a + cols_.tau * b) * (1 + few);
    const double mass = rows_.law == Law::capped ? rows_.mass : rows_.law == Law::kl ? b : a;
    double price = 0;
    const auto moved = [&](const Side& side, double all) {
      std::vector<double> w(side.weights);
      for (double& e : w) {
        const double given = e;
        e *= mass / all;
        if (side.law == Law::kl && given > 0)
          price += highest_kl_price(e * (1 - few), e * (1 + few), given, side.tau) * (1 + adding_);
      }
      return w;
    };
    const std::vector<double> p = moved(rows_, a), q = moved(cols_, b);
    const double product = geometry_.product_bound(p, q);
    return product + price + few * (std::abs(product) + price + mass * geometry_.largest_cost());
  }

  // Any column potentials will do: rows get the largest that leave every pair its cost, and either are shifted against
  // each other as the dual likes best.
  double lower() {
    std::vector<T> v(it_.biases().size());
    std::vector<double> f(static_cast<std::size_t>(geometry_.rows())), g(v.size());
    for (std::size_t j = 0; j < v.size(); ++j) {
      const double own = geometry_.col_own()[j];
      v[j] = cols_.weights[j] > 0 ? static_cast<T>(it_.col_potential(static_cast<Index>(j)))
                                  : -std::numeric_limits<T>::infinity();
      if (cols_.law == Law::capped) {
        v[j] = std::min(v[j], static_cast<T>(-own));
        if (static_cast<double>(v[j]) + own > 0) v[j] = std::nextafter(v[j], -std::numeric_limits<T>::infinity());
      }
      g[j] = static_cast<double>(v[j]) + own;
    }
    Buffer<T> tops(geometry_.rows());
    Buffer<std::int32_t> columns(geometry_.rows());
    passes_for<T>(it_.context().device)
        .hardmin(geometry_.scores(VectorView<const T>(v)), {tops.data(), geometry_.rows(), 1},
                 {columns.data(), geometry_.rows(), 1}, it_.context());
    std::vector<double> error(f.size());
    for (std::size_t i = 0; i < f.size(); ++i) {
      const double top = static_cast<double>(tops[i]), own = geometry_.row_own()[i];
      error[i] = geometry_.rounding() + 2 * u * std::abs(top);
      f[i] = below(own - top - error[i], error[i]);
    }
    const bool capped = rows_.law == Law::capped;
    const double shift = capped ? -best_level(f) : best_shift(f, g);
    BoundedSum sum;
    if (capped) sum.add(-shift * (shift < 0 ? least_mass() : rows_.mass));
    for (std::size_t j = 0; j < g.size(); ++j) {
      const double own = std::abs(geometry_.col_own()[j]);
      add(sum, cols_, cols_.weights[j], capped ? below(g[j], own) : below(g[j] - shift, std::abs(g[j]) + own));
    }
    for (std::size_t i = 0; i < f.size(); ++i) {
      const double shifted = below(f[i] + shift, std::abs(f[i])), a = rows_.weights[i];
      add(sum, rows_, a, capped ? std::min(0.0, shifted) : shifted);
      slack_ += a > 0 ? a * error[i] * (rows_.law == Law::kl ? std::exp(-shifted / rows_.tau) : 1) : 0;
    }
    return geometry_.has_signs() ? sum.lower() : std::max(0.0, sum.lower());
  }

  // What a weight contributes to the dual with a potential.
  static void add(BoundedSum& sum, const Side& side, double w, double f) {
    if (w > 0) sum.add(side.law == Law::kl ? w * kl_conjugate_below(f, side.tau) : w * f);
  }

  // The multiplier of the mass that makes most of sum_i a_i min(0, f_i - level) + level mass: where the rows of lower
  // potentials hold the mass.
  double best_level(const std::vector<double>& f) const {
    std::vector<std::size_t> rising(f.size());
    std::iota(rising.begin(), rising.end(), std::size_t{0});
    std::sort(rising.begin(), rising.end(), [&](std::size_t i, std::size_t k) { return f[i] < f[k]; });
    double below = 0, level = 0;
    for (const std::size_t i : rising) {
      if (rows_.weights[i] > 0 && below < rows_.mass) level = f[i];
      below += rows_.weights[i];
    }
    return level;
  }

  // The t that makes most of f + t, g - t: both sides would then have the same mass.
  double best_shift(const std::vector<double>& f, const std::vector<double>& g) const {
    const double rate = (rows_.law == Law::kl ? 1 / rows_.tau : 0) + (cols_.law == Law::kl ? 1 / cols_.tau : 0);
    const double shift = rate > 0 ? (log_mass(rows_, f) - log_mass(cols_, g)) / rate : 0;
    return std::isfinite(shift) ? shift : 0;
  }
  // log sum_i w_i exp(-f_i / tau).
  static double log_mass(const Side& side, const std::vector<double>& f) {
    const double rate = side.law == Law::kl ? 1 / side.tau : 0;
    double most = -HUGE_VAL, sum = 0;
    for (std::size_t i = 0; i < f.size(); ++i) {
      if (side.weights[i] > 0) most = std::max(most, -f[i] * rate);
    }
    for (std::size_t i = 0; i < f.size(); ++i) {
      if (side.weights[i] > 0) sum += side.weights[i] * std::exp(-f[i] * rate - most);
    }
    return most + std::log(sum);
  }

  // A number below x, which was made of some roundings of numbers up to `size`.
  static double below(double x, double size) { return x - few * (std::abs(x) + size); }
  // Of what is asked and what there is; the sums of weights are rounded.
  double least_mass() const {
    return std::min(rows_.mass, (1 - few) * std::min(sum_of(rows_.weights), sum_of(cols_.weights)));
  }

  // What is left of the weights of one side, at least and at most.
  struct Remainder {
    std::vector<double> low, high;
    double all_low = 0, all_high = 0;
    explicit Remainder(Index size) : low(static_cast<std::size_t>(size)), high(low) {}
    void set(Index i, double weight, double most, double least) {
      low[i] = std::max(0.0, weight * (1 - few) - most);
      high[i] = std::max(low[i], weight * (1 + few) - least);
      all_low += low[i], all_high += high[i];
    }
    // Leaves `mass` of what is certain.
    void take(double mass) {
      for (double& e : low) e *= all_low > 0 ? mass / all_low : 0;
    }
  };

  static constexpr double most_kept = 0x1p30;

  const SinkhornIteration<T>& it_;
  const Geometry<T>& geometry_;
  const Side &rows_, &cols_;
  double sent_ = 0;    // by all rows
  double adding_ = 0;  // share by which a sum of positive terms may be off
  double delta_ = 0;   // share by which an entry of the plan, or a sum of entries, may be off
  double lost_ = 0;    // entries below this share of their row may not be seen
  double unseen_ = 0;  // mass of such entries that a column may receive
  double slack_ = 0;
};

}  // namespace

template <class T>
SinkhornBounds sinkhorn_bounds(const SinkhornIteration<T>& iteration) {
  return Bounds<T>(iteration).compute();
}

template SinkhornBounds sinkhorn_bounds(const SinkhornIteration<float>&);
template SinkhornBounds sinkhorn_bounds(const SinkhornIteration<double>&);

}  // namespace monge::ot::detail
