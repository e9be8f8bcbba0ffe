// The passes in double precision, as naive as can be: what the fast ones are tested against.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "monge/ot/core/parallel.h"
#include "monge/ot/core/scores.h"

namespace monge::ot::reference {

template <class T>
double measure(const Scores<T>& s, Index i, Index j) {
  double sum = 0;
  for (Index k = 0; k < s.x.cols; ++k) {
    const double a = s.x(i, k), b = s.y(j, k);
    sum += s.metric == Metric::dot ? a * b : s.metric == Metric::l1 ? std::abs(a - b) : (a - b) * (a - b);
  }
  return s.metric == Metric::euclidean ? std::sqrt(sum) : sum;
}

// All scores, n x m, and a bound on the size of what they were added up from.
struct DenseScores {
  Index n = 0, m = 0;
  std::vector<double> s;
  double magnitude = 0;

  double operator()(Index i, Index j) const { return s[static_cast<std::size_t>(i * m + j)]; }
};

template <class T>
DenseScores dense(const Scores<T>& s) {
  DenseScores out{s.rows(), s.cols(), {}, 0};
  out.s.resize(static_cast<std::size_t>(out.n * out.m));
  std::vector<double> magnitudes(static_cast<std::size_t>(out.n), 0.0);
  parallel_for(0, out.n, [&](Index i, int) {
    for (Index j = 0; j < out.m; ++j) {
      double sum = 0, size = 0;
      const auto add = [&](double term) {
        sum += term;
        if (std::isfinite(term)) size += std::abs(term);
      };
      if (s.is_stored()) {
        add(double(s.scale) * double(s.stored(i, j)));
      } else if (s.metric != Metric::dot) {
        add(double(s.scale) * measure(s, i, j));
      } else {
        for (Index k = 0; k < s.x.cols; ++k) add(double(s.scale) * double(s.x(i, k)) * double(s.y(j, k)));
      }
      if (!s.u.empty()) add(s.u[i]);
      if (!s.v.empty()) add(s.v[j]);
      if (!s.row_labels.empty() && s.row_labels[i] != s.col_labels[j]) add(-double(s.label_penalty));
      out.s[static_cast<std::size_t>(i * out.m + j)] = sum;
      magnitudes[static_cast<std::size_t>(i)] = std::max(magnitudes[static_cast<std::size_t>(i)], size);
    }
  });
  for (const double m : magnitudes) out.magnitude = std::max(out.magnitude, m);
  return out;
}

inline double largest(const DenseScores& s, Index i) {
  double best = -std::numeric_limits<double>::infinity();
  for (Index j = 0; j < s.m; ++j) best = std::max(best, s(i, j));
  return best;
}

// -epsilon log sum_j exp(s_ij / epsilon)
inline double softmin(const DenseScores& s, double epsilon, Index i) {
  const double best = largest(s, i);
  if (best == -std::numeric_limits<double>::infinity()) return -best;
  double sum = 0;
  for (Index j = 0; j < s.m; ++j) sum += std::exp((s(i, j) - best) / epsilon);
  return -best - epsilon * std::log(sum);
}

// softmax_j(s_ij / epsilon)
inline std::vector<double> softmax(const DenseScores& s, double epsilon, Index i) {
  const double f = softmin(s, epsilon, i);
  std::vector<double> p;
  for (Index j = 0; j < s.m; ++j) p.push_back(std::exp((s(i, j) + f) / epsilon));
  return p;
}

// Columns by falling score, the lower column first among equals.
inline std::vector<Index> ranking(const DenseScores& s, Index i) {
  std::vector<Index> order(static_cast<std::size_t>(s.m));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return s(i, a) > s(i, b); });
  return order;
}

// mass_j = sum_i weights_i exp((s_ij + f_i) / epsilon)
inline std::vector<double> histogram(const DenseScores& s, double epsilon, const std::vector<double>& f,
                                     const std::vector<double>& weights) {
  std::vector<double> mass(static_cast<std::size_t>(s.m), 0.0);
  for (Index i = 0; i < s.n; ++i) {
    for (Index j = 0; j < s.m; ++j) {
      const auto row = static_cast<std::size_t>(i);
      mass[static_cast<std::size_t>(j)] += weights[row] * std::exp((s(i, j) + f[row]) / epsilon);
    }
  }
  return mass;
}

}  // namespace monge::ot::reference
