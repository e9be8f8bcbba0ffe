// What semidiscrete results are tested against: counts in double, answers on a line.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::ot::truth {

inline Matrix<float> normal_cloud(Index n, Index d, std::uint64_t seed, float scale = 1, float shift = 0) {
  Matrix<float> y(n, d);
  fill_normal(Rng{seed}, 0, {y.data(), n * d});
  for (Index i = 0; i < n * d; ++i) y.data()[i] = scale * y.data()[i] + shift;
  return y;
}

// How many of so many rows go to each atom, in double, to the best of all.
inline std::vector<double> naive_hits(const Matrix<float>& y, const std::vector<double>& g, Index rows) {
  const Index n = y.rows(), d = y.cols();
  const Matrix<float> x = normal_cloud(rows, d, 1234);
  std::vector<double> hits(static_cast<std::size_t>(n), 0.0);
  for (Index i = 0; i < rows; ++i) {
    std::size_t best = 0;
    double most = -HUGE_VAL;
    for (Index j = 0; j < n; ++j) {
      double score = g[static_cast<std::size_t>(j)];
      for (Index k = 0; k < d; ++k) score += static_cast<double>(x(i, k)) * static_cast<double>(y(j, k));
      if (score > most) most = score, best = static_cast<std::size_t>(j);
    }
    hits[best] += 1;
  }
  return hits;
}

// Chi-square from pairs of rows that meet: unbiased.
inline double chi2_of(const std::vector<double>& hits) {
  double meetings = 0, rows = 0;
  for (const double h : hits) meetings += h * (h - 1), rows += h;
  return static_cast<double>(hits.size()) * meetings / rows / (rows - 1) - 1;
}

inline double normal_share(double z) { return 0.5 * std::erfc(-z * M_SQRT1_2); }
inline double normal_density(double z) { return std::exp(-0.5 * z * z) / std::sqrt(2 * M_PI); }

// The root of a rising function.
inline double root(double low, double high, const std::function<double(double)>& f) {
  for (int i = 0; i < 200; ++i) {
    const double mid = 0.5 * (low + high);
    (f(mid) < 0 ? low : high) = mid;
  }
  return 0.5 * (low + high);
}

inline double normal_quantile(double p) {
  return root(-40, 40, [&](double z) { return normal_share(z) - p; });
}

// N(0,1) to weighted atoms on a line: the cells are the quantile intervals of the cumulated weights. With c = -x y the
// cost is -sum_j y_j (phi(z_{j-1}) - phi(z_j)), and neighbouring potentials differ by (y_j - y_{j+1}) z_j.
struct Line {
  std::vector<double> z;  // inner boundaries
  double cost = 0;

  Line(const std::vector<float>& y, const std::vector<double>& b) {
    double cumulated = 0, previous = 0;
    for (std::size_t j = 0; j < y.size(); ++j) {
      cumulated += b[j];
      const bool last = j + 1 == y.size();
      if (!last) z.push_back(normal_quantile(cumulated));
      const double density = last ? 0.0 : normal_density(z.back());
      cost -= y[j] * (previous - density);
      previous = density;
    }
  }

  // Potentials of c = -x y, up to a constant.
  std::vector<double> potentials(const std::vector<float>& y) const {
    std::vector<double> g{0.0};
    for (std::size_t j = 0; j < z.size(); ++j)
      g.push_back(g.back() - z[j] * (static_cast<double>(y[j + 1]) - static_cast<double>(y[j])));
    return g;
  }
};

// The semidual of a problem on the line with labels and a price on masses, c = -x y: cells of each label are intervals.
struct NaiveSemidual {
  std::vector<float> y;  // different ones
  std::vector<double> b;
  std::vector<int> labels;    // 0, 1, ... of the atoms
  std::vector<double> noise;  // shares of the labels
  double penalty = 0, tau = std::numeric_limits<double>::infinity();

  struct Look {
    double value = 0;
    std::vector<double> mass;                // of each atom
    std::vector<std::vector<double>> joint;  // of each label and atom
  };
  Look look(const std::vector<double>& g) const {
    Look out{0.0, std::vector<double>(y.size(), 0.0),
             std::vector<std::vector<double>>(noise.size(), std::vector<double>(y.size(), 0.0))};
    for (std::size_t z = 0; z < noise.size(); ++z) {
      const auto bias = [&](std::size_t j) { return g[j] - (labels[j] == static_cast<int>(z) ? 0.0 : penalty); };
      for (std::size_t j = 0; j < y.size(); ++j) {
        double low = -HUGE_VAL, high = HUGE_VAL;
        for (std::size_t k = 0; k < y.size() && std::isfinite(bias(j)); ++k) {
          if (k == j || !std::isfinite(bias(k))) continue;
          const double meet = (bias(j) - bias(k)) / (static_cast<double>(y[k]) - static_cast<double>(y[j]));
          if (y[k] < y[j]) low = std::max(low, meet);
          if (y[k] > y[j]) high = std::min(high, meet);
        }
        if (!std::isfinite(bias(j)) || low >= high) continue;
        const double mass = noise[z] * (normal_share(high) - normal_share(low));
        out.value -= noise[z] * y[j] * (normal_density(low) - normal_density(high)) + mass * bias(j);
        out.mass[j] += mass;
        out.joint[z][j] = mass;
      }
    }
    for (std::size_t j = 0; j < y.size(); ++j)
      out.value += b[j] * (std::isinf(tau) ? g[j] : tau * (1 - std::exp(-g[j] / tau)));
    return out;
  }

  // Plain gradient ascent.
  std::vector<double> maximise() const {
    std::vector<double> g(y.size(), 0.0);
    for (int k = 0; k < 4000; ++k) {
      const Look at = look(g);
      for (std::size_t j = 0; j < g.size(); ++j)
        g[j] += 0.4 * (b[j] * (std::isinf(tau) ? 1.0 : std::exp(-g[j] / tau)) - at.mass[j]);
    }
    return g;
  }
};

// Atoms of two labels on the line, each in order; within a label the weights sum to its share.
struct TwoLines {
  std::vector<float> y = {-1.5f, -2.0f, 0.2f, -0.5f, 1.0f, 1.5f, 3.0f};
  std::vector<double> b = {0.1, 0.1, 0.2, 0.3, 0.1, 0.15, 0.05};
  std::vector<std::int32_t> labels = {7, -4, 7, -4, 7, -4, -4};  // shares 0.4 and 0.6

  MatrixView<const float> view() const { return {y.data(), static_cast<Index>(y.size()), 1}; }
  std::vector<std::size_t> members(std::int32_t label) const {
    std::vector<std::size_t> out;
    for (std::size_t j = 0; j < y.size(); ++j)
      if (labels[j] == label) out.push_back(j);
    return out;
  }
  // The problem of one label alone.
  Line line(std::int32_t label) const {
    std::vector<float> points;
    std::vector<double> weights;
    double total = 0;
    for (const std::size_t j : members(label)) points.push_back(y[j]), weights.push_back(b[j]), total += b[j];
    for (double& w : weights) w /= total;
    return {points, weights};
  }
  double cost() const { return 0.4 * line(7).cost + 0.6 * line(-4).cost; }
  NaiveSemidual naive(double share_of_7, double penalty) const {
    NaiveSemidual problem{.y = y, .b = b, .labels = {}, .noise = {1 - share_of_7, share_of_7}, .penalty = penalty};
    for (const std::int32_t label : labels) problem.labels.push_back(label == 7);
    return problem;
  }
};

inline void expect_error(Errc code, const std::string& part, const std::function<void()>& call) {
  try {
    call();
    ADD_FAILURE() << "no error about " << part;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

}  // namespace monge::ot::truth
