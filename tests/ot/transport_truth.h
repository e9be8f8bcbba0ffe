#pragma once  // the optimum of small problems without entropy, in long double, by other means than the library's
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "monge/ot/problem.h"

namespace monge::ot {

using Real = long double;
using Reals = std::vector<Real>;

// c_ij as written down.
template <class T>
Reals true_costs(const Problem<T>& p) {
  Reals costs;
  for (Index i = 0; i < p.rows(); ++i) {
    for (Index j = 0; j < p.cols(); ++j) {
      Real c = !p.x_labels.empty() && p.x_labels[i] != p.y_labels[j] ? static_cast<Real>(p.label_penalty) : 0;
      Real dot = 0, square = 0, absolute = 0, xx = 0, yy = 0;
      for (Index k = 0; k < p.dims(); ++k) {
        const Real x = p.x(i, k), y = p.y(j, k);
        dot += x * y, xx += x * x, yy += y * y, square += (x - y) * (x - y), absolute += std::abs(x - y);
      }
      if (p.is_dense())
        c += p.cost_matrix(i, j);
      else if (p.cost == Cost::squared_euclidean)
        c += square;
      else if (p.cost == Cost::negative_dot)
        c -= dot;
      else if (p.cost == Cost::cosine)
        c += std::max(0.0L, 1 - dot / (std::sqrt(xx) * std::sqrt(yy)));
      else
        c += p.cost == Cost::l1 ? absolute : std::sqrt(square);
      costs.push_back(c);
    }
  }
  return costs;
}

// The least <P, C> with P 1 <= a, P^T 1 <= b, sum P = mass: successive shortest paths (Bellman and Ford's), each
// emptying a row, a column or a pair.
inline Real least_cost(const Reals& cost, Reals a, Reals b, Real mass) {
  const std::size_t n = a.size(), m = b.size();
  constexpr Real far = std::numeric_limits<Real>::infinity();
  Real largest = 0, total = 0;
  for (const Real c : cost) largest = std::max(largest, std::abs(c));
  const Real noise = 1e-18L * largest, little = 1e-18L * mass;
  Reals flow(n * m, 0);
  while (mass > little) {
    Reals at_row(n), at_col(m, far);
    std::vector<std::size_t> row_of(m, n), col_of(n, m);
    for (std::size_t i = 0; i < n; ++i) at_row[i] = a[i] > 0 ? 0 : far;
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < m; ++j) {
          const Real c = cost[i * m + j];
          if (at_row[i] + c < at_col[j] - noise) at_col[j] = at_row[i] + c, row_of[j] = i, moved = true;
          if (flow[i * m + j] > 0 && at_col[j] - c < at_row[i] - noise)
            at_row[i] = at_col[j] - c, col_of[i] = j, moved = true;
        }
      }
    }
    std::size_t last = m;
    for (std::size_t j = 0; j < m; ++j) {
      if (b[j] > 0 && at_col[j] < far && (last == m || at_col[j] < at_col[last])) last = j;
    }
    if (last == m) break;  // what is left are roundings of the weights
    Real step = std::min(mass, b[last]);
    std::size_t j = last, i = row_of[j];
    for (; col_of[i] < m; j = col_of[i], i = row_of[j]) step = std::min(step, flow[i * m + col_of[i]]);
    step = std::min(step, a[i]);
    a[i] -= step, b[last] -= step, mass -= step;
    for (j = last, i = row_of[j];; j = col_of[i], i = row_of[j]) {
      flow[i * m + j] += step;
      if (col_of[i] == m) break;
      flow[i * m + col_of[i]] -= step;
    }
  }
  for (std::size_t k = 0; k < cost.size(); ++k) total += flow[k] > 0 ? flow[k] * cost[k] : 0;
  return total;
}

// tau (r log(r / w) - r + w); near r = w by its series in x = r / w - 1.
inline Real true_price(Real r, Real w, Real tau) {
  if (r == 0) return tau * w;
  const Real x = (r - w) / w;
  if (std::abs(x) > 0.01L) return tau * (r * std::log(r / w) - r + w);
  Real sum = 0, power = x;
  for (int k = 2; k < 12; ++k) power *= -x, sum -= power / (k * (k - 1));
  return tau * w * sum;
}

// One row of weight a against columns of weights b, either or both at a price (tau = infinity: none is had): stationary
// where c_j + tau_a log(R / a) + tau_b log(r_j / b_j) = 0, R = sum r.
inline Real star_value(const Reals& cost, Real a, const Reals& b, Real tau_a, Real tau_b) {
  Reals r(b);
  if (std::isinf(tau_b)) {
    // r = b
  } else {
    // R = exp(log S - L / tau_b), L = tau_a log(R / a); S = sum b exp(-c / tau_b), measured from its largest term.
    Real least = std::numeric_limits<Real>::infinity(), sum = 0;
    for (std::size_t j = 0; j < b.size(); ++j)
      if (b[j] > 0) least = std::min(least, cost[j]);
    for (std::size_t j = 0; j < b.size(); ++j) sum += b[j] > 0 ? b[j] * std::exp(-(cost[j] - least) / tau_b) : 0;
    const Real gap = std::log(sum) - std::log(a) - least / tau_b;
    const Real log_share = std::isinf(tau_a) ? 0 : gap * tau_b / (tau_a + tau_b);  // log(R / a)
    const Real all = a * std::exp(log_share);
    for (std::size_t j = 0; j < b.size(); ++j)
      r[j] = b[j] > 0 ? all * b[j] * std::exp(-(cost[j] - least) / tau_b) / sum : 0;
  }
  Real value = 0, all = 0;
  for (std::size_t j = 0; j < b.size(); ++j) {
    value += r[j] * cost[j];
    all += r[j];
    if (std::isfinite(tau_b) && b[j] > 0) value += true_price(r[j], b[j], tau_b);
  }
  return std::isfinite(tau_a) ? value + true_price(all, a, tau_a) : value;
}

// Two-sided: an interval around the optimum of a problem with prices, from Sinkhorn's iteration at a small epsilon,
// each end a bound on its own.
struct Interval {
  Real lower = 0, upper = 0;
};
inline Interval unbalanced_value(const Reals& cost, const Reals& a, const Reals& b, Real tau_a, Real tau_b,
                                 Real epsilon, int rounds) {
  const std::size_t n = a.size(), m = b.size();
  constexpr Real far = std::numeric_limits<Real>::infinity();
  Reals f(n, 0), g(m, 0);
  const auto fit = [&](std::size_t to, std::size_t from, const auto& c, const Reals& w, const Reals& h, Real tau,
                       Reals& out) {
    for (std::size_t i = 0; i < to; ++i) {
      Real top = -far, sum = 0;
      for (std::size_t j = 0; j < from; ++j)
        if (w[j] > 0) top = std::max(top, h[j] - c(i, j));
      for (std::size_t j = 0; j < from; ++j) sum += w[j] * std::exp((h[j] - c(i, j) - top) / epsilon);
      const Real settled = -top - epsilon * std::log(sum);
      out[i] = std::isinf(tau) ? settled : settled * tau / (tau + epsilon);
    }
  };
  const auto by_row = [&](std::size_t i, std::size_t j) { return cost[i * m + j]; };
  const auto by_col = [&](std::size_t j, std::size_t i) { return cost[i * m + j]; };
  const auto dual = [](const Reals& w, const Reals& h, Real tau) {
    Real sum = 0;
    for (std::size_t k = 0; k < w.size(); ++k)
      if (w[k] > 0) sum += w[k] * (std::isinf(tau) ? h[k] : -tau * std::expm1(-h[k] / tau));
    return sum;
  };
  Interval best{-far, far};
  const bool rows_last = std::isinf(tau_a);  // the side without a price has to be exact
  for (int round = 0; round < rounds; ++round) {
    if (rows_last) fit(m, n, by_col, a, f, tau_b, g);
    fit(n, m, by_row, b, g, tau_a, f);
    if (!rows_last) fit(m, n, by_col, a, f, tau_b, g);
    if (round + 1 < rounds && round % 50 != 49) continue;
    Reals r(n, 0), s(m, 0);
    Real value = 0;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < m; ++j) {
        const Real p = a[i] * b[j] * std::exp((f[i] + g[j] - cost[i * m + j]) / epsilon);
        r[i] += p, s[j] += p, value += p * cost[i * m + j];
      }
    }
    for (std::size_t i = 0; i < n; ++i) value += std::isinf(tau_a) || a[i] == 0 ? 0 : true_price(r[i], a[i], tau_a);
    for (std::size_t j = 0; j < m; ++j) value += std::isinf(tau_b) || b[j] == 0 ? 0 : true_price(s[j], b[j], tau_b);
    best.upper = std::min(best.upper, value);
    Reals hard(n, far);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < m; ++j)
        if (b[j] > 0) hard[i] = std::min(hard[i], cost[i * m + j] - g[j]);
    }
    best.lower = std::max(best.lower, dual(a, hard, tau_a) + dual(b, g, tau_b));
  }
  return best;
}

}  // namespace monge::ot
