#include "monge/ot/sinkhorn_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "monge/ot/exact_certificate.h"
#include "monge/ot/weights.h"

namespace monge::ot::detail {
namespace {

using Law = Side::Law;

double largest_finite(const auto& values) {
  double largest = 0;
  for (const auto v : values) {
    if (std::isfinite(v)) largest = std::max(largest, std::abs(static_cast<double>(v)));
  }
  return largest;
}

// tau (r log(r / w) - r + w), r >= 0.
double price(double r, double w, double tau) {
  if (r == 0) return tau * w;
  return w > 0 ? tau * (r * std::log(r / w) - r + w) : HUGE_VAL;
}
// Its largest value for r within a share `delta` of what it is: at an end, being convex.
double highest_price(double r, double w, double tau, double delta) {
  return std::max(price(r * (1 - delta), w, tau), price(r * (1 + delta), w, tau));
}
// tau (1 - exp(-f / tau)), its conjugate; grows with f.
double conjugate(double f, double tau) { return -tau * std::expm1(-f / tau); }

template <class T>
class Bounds {
 public:
  explicit Bounds(const SinkhornIteration<T>& iteration)
      : it_(iteration), geometry_(it_.geometry()), rows_(it_.rows()), cols_(it_.cols()) {
    const double span = largest_finite(it_.fitted()) + largest_finite(it_.biases()) +
                        largest_finite(geometry_.col_own()) + geometry_.largest_cost();
    cost_error_ = geometry_.rounding() + 4 * u * span;
    // Entries of the plan are off by what passes see differently: scores, if they do not repeat their bits, row
    // potentials rounded to T, exponents in the range of T, some hundred roundings of sums of positive terms.
    const bool repeats = passes_for<T>(it_.context().device).repeats(geometry_.scores({}));
    constexpr double range = std::numeric_limits<T>::max_exponent + std::numeric_limits<T>::digits;
    delta_ = std::expm1((repeats ? 2 * u * largest_finite(it_.fitted()) : cost_error_) / it_.epsilon()) +
             (2 * range + 200) * u;
  }

  SinkhornBounds compute() {
    SinkhornBounds out;
    const std::vector<double> kept = shares_kept();
    Matrix<double> sums(geometry_.rows(), 3);
    pass_energy(kept, sums);
    const auto& sent = it_.row_state().masses;
    double kept_mass = 0, kept_cost = 0, row_price = 0;
    for (Index i = 0; i < geometry_.rows(); ++i) {
      const double own = geometry_.row_own()[i];
      out.cost += sent[i] * (sums(i, 0) + own);
      kept_cost += sent[i] * (sums(i, 2) + own * sums(i, 1));
      kept_mass += sent[i] * sums(i, 1);
      if (rows_.law == Law::kl) row_price += price(sent[i], rows_.weights[i], rows_.tau);
    }
    out.value = out.cost + row_price;
    if (cols_.law == Law::kl) {
      for (Index j = 0; j < geometry_.cols(); ++j) out.value += price(it_.col_masses()[j], cols_.weights[j], cols_.tau);
    }
    out.lower = lower();
    const bool free = rows_.law == Law::kl || cols_.law == Law::kl;
    const double most = free                 ? upper_free(sums, kept_mass, kept_cost)
                        : delta_ < too_loose ? upper_bound(sums, kept, kept_mass, kept_cost)
                                             : upper_of_product();
    out.upper = most;
    out.slack = slack_;
    out.proven = (delta_ < too_loose || !free) && std::isfinite(out.lower) && std::isfinite(out.upper);
    return out;
  }

 private:
  static constexpr double too_loose = 0.1;  // a delta that leaves nothing to say about the plan
  static constexpr double u = 0.5 * std::numeric_limits<T>::epsilon();

  // What each column keeps of what it receives, so that it has no more than it may (or, against rows at will, its
  // weight).
  std::vector<double> shares_kept() const {
    std::vector<double> kept(static_cast<std::size_t>(geometry_.cols()), 1.0);
    if (cols_.law == Law::kl) return kept;
    for (std::size_t j = 0; j < kept.size(); ++j) {
      const double share = cols_.weights[j] / it_.col_masses()[j];
      if (cols_.weights[j] == 0)
        kept[j] = 0;
      else if (it_.col_masses()[j] > 0)
        kept[j] = rows_.law == Law::kl ? share : std::min(1.0, share);
    }
    return kept;
  }

  // c_ij = own_i + bias_j - (s_ij + v_j) with bias_j = own_j + v_j.
  void pass_energy(const std::vector<double>& kept, Matrix<double>& sums) const {
    const std::vector<T>& v = it_.biases();
    std::vector<T> bias(v.size()), w(kept.begin(), kept.end());
    for (std::size_t j = 0; j < v.size(); ++j) {
      bias[j] = std::isfinite(v[j]) ? static_cast<T>(static_cast<double>(v[j]) + geometry_.col_own()[j]) : T(0);
    }
    passes_for<T>(it_.context().device)
        .energy(geometry_.scores(VectorView<const T>(v)), static_cast<T>(it_.epsilon()), it_.fitted(),
                VectorView<const T>(w), VectorView<const T>(bias), sums.view(), it_.context());
  }

  // |cost| of a plan of that mass, before its errors; at most.
  double size_of(double cost, double mass) const {
    return geometry_.has_signs() ? mass * geometry_.largest_cost() : std::abs(cost) + mass * cost_error_;
  }

  // Shrunk until all masses are certainly within bounds, the plan leaves a little of each weight; these remainders are
  // coupled as a product.
  double upper_bound(const Matrix<double>& sums, const std::vector<double>& kept, double kept_mass, double kept_cost) {
    const double shrink = 1 / ((1 + delta_) * (1 + delta_));
    std::vector<double> p(static_cast<std::size_t>(geometry_.rows())), q(static_cast<std::size_t>(geometry_.cols()));
    double all_p = 0, all_q = 0, loose = 0, target = 0;
    const auto& sent = it_.row_state().masses;
    for (Index i = 0; i < geometry_.rows(); ++i) {
      p[i] = std::max(0.0, rows_.weights[i] - shrink * sent[i] * sums(i, 1));
      all_p += p[i];
      target += rows_.weights[i];
      loose += 4 * delta_ * rows_.weights[i] * geometry_.row_reach(i);
    }
    for (Index j = 0; j < geometry_.cols(); ++j) {
      q[j] = std::max(0.0, cols_.weights[j] - shrink * kept[j] * it_.col_masses()[j]);
      all_q += q[j];
      loose += 4 * delta_ * cols_.weights[j] * geometry_.col_reach(j);
    }
    if (rows_.law == Law::capped) target = rows_.mass;
    // What is still to be moved; of a capped problem's remainders only a share is needed.
    const double rest = std::max(0.0, target - shrink * kept_mass);
    for (double& e : p) e *= all_p > 0 ? std::min(1.0, rest / all_p) : 0;
    for (double& e : q) e *= all_q > 0 ? std::min(1.0, rest / all_q) : 0;
    const double error = kept_mass * cost_error_ + 3 * delta_ * size_of(kept_cost, kept_mass) + loose +
                         rest * cost_error_ + 0x1p-48 * target * geometry_.largest_cost();
    slack_ += error + (1 - shrink) * std::abs(kept_cost);
    return shrink * kept_cost + geometry_.product_cost(p, q) + error;
  }

  // Without any knowledge of the plan: everything to everywhere.
  double upper_of_product() {
    const double mass = rows_.law == Law::capped ? rows_.mass : sum_of(rows_.weights);
    const auto share = [mass](std::vector<double> w) {
      const double all = sum_of(w);
      for (double& e : w) e *= mass / all;
      return w;
    };
    const double error = mass * (geometry_.rounding() + 0x1p-40 * geometry_.largest_cost());
    return geometry_.product_cost(share(rows_.weights), share(cols_.weights)) + error;
  }

  // With a price on one side or both nothing has to be moved anew: rows, or columns, can be scaled to what they must
  // be.
  double upper_free(const Matrix<double>& sums, double kept_mass, double kept_cost) {
    const auto& sent = it_.row_state().masses;
    double value = kept_cost, error = kept_mass * cost_error_ + 4 * delta_ * size_of(kept_cost, kept_mass);
    const auto add = [&](double r, double w, double tau) {
      const double most = highest_price(r, w, tau, 4 * delta_), now = price(r, w, tau);
      value += now;
      error += most - now + 0x1p-48 * std::abs(most);
    };
    for (Index i = 0; rows_.law == Law::kl && i < geometry_.rows(); ++i) {
      add(sent[i] * sums(i, 1), rows_.weights[i], rows_.tau);
    }
    for (Index j = 0; j < geometry_.cols(); ++j) {
      if (cols_.law == Law::kl)
        add(it_.col_masses()[j], cols_.weights[j], cols_.tau);
      else if (cols_.weights[j] > 0 && it_.col_masses()[j] == 0)
        return HUGE_VAL;
    }
    slack_ += error;
    return value + error;
  }

  // Any column potentials will do: rows get the largest that leave every pair its cost.
  double lower() {
    std::vector<T> v(it_.biases().size());
    BoundedSum sum;
    for (std::size_t j = 0; j < v.size(); ++j) {
      const double b = cols_.weights[j], own = geometry_.col_own()[j];
      if (b == 0) {
        v[j] = -std::numeric_limits<T>::infinity();
        continue;
      }
      v[j] = static_cast<T>(it_.col_potential(static_cast<Index>(j)));
      if (cols_.law == Law::capped) v[j] = std::min(v[j], static_cast<T>(-own));
      double g = static_cast<double>(v[j]) + own;
      if (cols_.law == Law::capped && g > 0) {
        v[j] = std::nextafter(v[j], -std::numeric_limits<T>::infinity());
        g = std::min(0.0, static_cast<double>(v[j]) + own);
      }
      sum.add(cols_.law == Law::kl ? b * conjugate(g, cols_.tau) : b * g);
      sum.widen(b * 0x1p-50 * (std::abs(g) + std::abs(own)));
    }
    Buffer<T> tops(geometry_.rows());
    Buffer<std::int32_t> columns(geometry_.rows());
    passes_for<T>(it_.context().device)
        .hardmin(geometry_.scores(VectorView<const T>(v)), {tops.data(), geometry_.rows(), 1},
                 {columns.data(), geometry_.rows(), 1}, it_.context());
    const double level = rows_.law == Law::capped ? level_ : 0;
    if (rows_.law == Law::capped) sum.add(level * rows_.mass);
    for (Index i = 0; i < geometry_.rows(); ++i) {
      const double a = rows_.weights[i];
      if (a == 0) continue;
      double f = geometry_.row_own()[i] - static_cast<double>(tops[i]) - cost_error_ - level;
      if (rows_.law == Law::capped) f = std::min(0.0, f);
      sum.add(rows_.law == Law::kl ? a * conjugate(f, rows_.tau) : a * f);
      sum.widen(a * 0x1p-50 * (std::abs(f) + std::abs(level)));
      slack_ += a * cost_error_;
    }
    const bool positive = !geometry_.has_signs() && !(cols_.law == Law::kl && rows_.law == Law::kl);
    return positive ? std::max(0.0, sum.lower()) : sum.lower();
  }

  const SinkhornIteration<T>& it_;
  const Geometry<T>& geometry_;
  const Side &rows_, &cols_;
  double cost_error_ = 0;  // of a cost as the passes see it, and of the sums around it
  double delta_ = 0;       // share by which an entry of the plan, or a sum of entries, may be off
  double level_ = it_.row_state().level;
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
