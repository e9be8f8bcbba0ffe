#pragma once  // references for Sinkhorn: costs as written down, plans entry by entry, in double
#include <cmath>
#include <random>
#include <vector>

#include "monge/ot/sinkhorn.h"

namespace monge::ot {

using Weights = std::vector<double>;

template <class T>
Matrix<T> cloud(Index n, Index d, unsigned seed, double scale = 1, double shift = 0) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Matrix<T> x(n, d);
  for (Index i = 0; i < n * d; ++i) x.data()[i] = static_cast<T>(shift + scale * normal(random));
  return x;
}

inline Weights random_weights(Index n, unsigned seed, double total = 1) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform;
  Weights w(static_cast<std::size_t>(n));
  for (double& e : w) e = uniform(random) < 0.2 ? 0 : uniform(random);
  w[0] = 1;
  double sum = 0;
  for (const double e : w) sum += e;
  for (double& e : w) e *= total / sum;
  return w;
}

// c_ij as written down, in double.
template <class T>
double cost_of(const Problem<T>& p, Index i, Index j) {
  double c = !p.x_labels.empty() && p.x_labels[i] != p.y_labels[j] ? p.label_penalty : 0;
  if (p.is_dense()) return c + static_cast<double>(p.cost_matrix(i, j));
  double dot = 0, square = 0, absolute = 0, x2 = 0, y2 = 0;
  for (Index k = 0; k < p.x.cols; ++k) {
    const double x = p.x(i, k), y = p.y(j, k);
    dot += x * y, x2 += x * x, y2 += y * y;
    square += (x - y) * (x - y), absolute += std::abs(x - y);
  }
  switch (p.cost) {
    case Cost::squared_euclidean:
      return c + square;
    case Cost::negative_dot:
      return c - dot;
    case Cost::cosine:
      return c + 1 - dot / std::sqrt(x2 * y2);
    case Cost::euclidean:
      return c + std::sqrt(square);
    case Cost::l1:
      return c + absolute;
  }
  return NAN;
}

// The plan of a result, entry by entry in double, and what follows from it.
struct Dense {
  Index n, m;
  std::vector<double> cost, plan;
  Weights a, b, rows, cols;
  double transport = 0, mass = 0;

  template <class T>
  Dense(const Problem<T>& p, const SinkhornResult& r)
      : n(p.rows()), m(p.cols()), a(p.a.begin(), p.a.end()), b(p.b.begin(), p.b.end()), rows(n, 0.0), cols(m, 0.0) {
    if (a.empty()) a.assign(n, 1.0 / n);
    if (b.empty()) b.assign(m, 1.0 / m);
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < m; ++j) {
        const double c = cost_of(p, i, j), e = a[i] * b[j] * std::exp((r.f[i] + r.g[j] - c) / r.epsilon);
        cost.push_back(c), plan.push_back(e);
        rows[i] += e, cols[j] += e, transport += e * c, mass += e;
      }
    }
  }
  static double distance(const Weights& v, const Weights& w) {
    double sum = 0;
    for (std::size_t i = 0; i < v.size(); ++i) sum += std::abs(v[i] - w[i]);
    return sum;
  }
};

}  // namespace monge::ot
