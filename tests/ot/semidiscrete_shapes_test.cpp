// Fits of clouds whose cells are of very different sizes, or narrower than floats tell apart.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <string>

#include "monge/ot/semidiscrete.h"
#include "semidiscrete_truth.h"

namespace monge::ot {
namespace {

using truth::chi2_of;
using truth::naive_hits;
using truth::normal_cloud;

// Fits, and counts fresh noise in double. Standard errors of sqrt(2 n) / rows = 0.003 and less.
void expect_fit(const Matrix<float>& y, double most_samples, const SemidiscreteOptions& options = {.seed = 1}) {
  const SemidiscreteResult r = semidiscrete(y.view(), {}, options);
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_LT(r.samples_per_atom, most_samples);
  std::vector<double> scores(r.potentials.g);  // of -<x, y>
  for (Index j = 0; j < y.rows() && options.cost == Cost::squared_euclidean; ++j)
    for (Index k = 0; k < y.cols(); ++k)
      scores[static_cast<std::size_t>(j)] -= static_cast<double>(y(j, k)) * static_cast<double>(y(j, k));
  for (double& score : scores) score /= options.cost == Cost::squared_euclidean ? 2 : 1;
  EXPECT_LT(chi2_of(naive_hits(y, scores, 30000)), 0.05 + 0.01);
}

Matrix<float> sizes_over_decades(Index n, Index d, double decades) {
  Matrix<float> y = normal_cloud(n, d, 7);
  for (Index j = 0; j < n; ++j) {
    double square = 0;
    for (Index k = 0; k < d; ++k) square += std::pow(y(j, k), 2);
    const double size = std::pow(10.0, decades * (static_cast<double>(j) / static_cast<double>(n) - 0.5));
    for (Index k = 0; k < d; ++k) y(j, k) *= static_cast<float>(size / std::sqrt(square));
  }
  return y;
}

// Steps of single atoms, and Newton's with one temperature for all borders, ended with chi-squares of 0.6 to 1.6.
TEST(SemidiscreteShapes, SizesOverSixDecades) {
  for (const Index d : {2, 3, 5, 8}) {
    SCOPED_TRACE(d);
    expect_fit(sizes_over_decades(2500, d, 6), 200);
  }
  expect_fit(sizes_over_decades(1500, 2, 6), 200, {.cost = Cost::squared_euclidean, .seed = 2});
}

// Ended with 0.2 to 4.
TEST(SemidiscreteShapes, ClustersOfAllDensities) {
  for (const Index d : {2, 3, 5}) {
    SCOPED_TRACE(d);
    const Matrix<float> centres = normal_cloud(20, d, 3, 5);
    Matrix<float> y = normal_cloud(3000, d, 4);
    for (Index j = 0; j < y.rows(); ++j)
      for (Index k = 0; k < d; ++k)
        y(j, k) =
            centres(j % 20, k) + y(j, k) * static_cast<float>(std::pow(10.0, -3 * static_cast<double>(j % 20) / 19));
    expect_fit(y, 300);
  }
}

TEST(SemidiscreteShapes, HeavyTails) {
  for (const Index d : {3, 4}) {
    SCOPED_TRACE(d);
    Matrix<float> y = normal_cloud(3000, d, 5);
    for (Index i = 0; i < y.rows() * d; ++i) y.data()[i] = std::exp(1.5f * y.data()[i]);
    expect_fit(y, 150);
  }
}

// Scores of neighbours differ by 1e-7 to 1e-6. With floats 6000 points ended with 0.1 to 0.3.
TEST(SemidiscreteShapes, Curves) {
  const std::function<void(double, float*)> curves[] = {
      [](double t, float* y) {  // a circle
        y[0] = static_cast<float>(std::cos(2 * M_PI * t)), y[1] = static_cast<float>(std::sin(2 * M_PI * t));
      },
      [](double t, float* y) {  // a cross
        y[t < 0.5] = static_cast<float>(4 * std::fmod(t, 0.5) - 1), y[t >= 0.5] = 0;
      },
      [](double t, float* y) {  // a spiral
        y[0] = static_cast<float>(t * std::cos(9 * t)), y[1] = static_cast<float>(t * std::sin(9 * t));
      }};
  std::mt19937_64 random(6);
  std::uniform_real_distribution<double> uniform;
  for (const auto& curve : curves) {
    SCOPED_TRACE(&curve - curves);
    Matrix<float> y(4000, 2);
    for (Index j = 0; j < y.rows(); ++j) curve(uniform(random), y.view().row(j));
    expect_fit(y, 600);
  }
}

// Centred, two of the atoms are one in double.
TEST(SemidiscreteShapes, AtomsThatCoincide) {
  for (const Index n : {60, 500})
    for (const std::uint64_t seed : {0, 1, 2}) {
      Matrix<float> y = normal_cloud(n, 2, seed);
      y(0, 0) = 0, y(1, 0) = 1e-30f;
      y(0, 1) = y(1, 1) = 0.1f;
      const SemidiscreteResult r = semidiscrete(y.view(), {}, {.seed = seed});
      EXPECT_EQ(r.status, Status::converged) << n << " " << seed;
    }
}

// Without a tree: labels whose penalty is finite, and epsilon.
TEST(SemidiscreteShapes, OneTemperatureForAll) {
  Matrix<float> y(1000, 2);
  std::vector<std::int32_t> labels;
  std::mt19937_64 random(4);
  std::uniform_real_distribution<float> uniform;
  for (std::int32_t j = 0; j < 1000; ++j) y(j, 0) = uniform(random), y(j, 1) = 0.5f * y(j, 0), labels.push_back(j % 2);
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    const SemidiscreteResult r = semidiscrete(y.view(), {}, {.labels = labels, .label_penalty = 1, .seed = seed});
    EXPECT_EQ(r.status, Status::converged) << seed;
  }
  const Matrix<float> cloud = normal_cloud(1000, 3, 6);
  EXPECT_EQ(semidiscrete(cloud.view(), {}, {.epsilon = 1e-3, .seed = 1}).status, Status::converged);
}

// The solution on a line is known, wherever the line is.
TEST(SemidiscreteShapes, LinesInSpace) {
  for (const Index d : {2, 3, 8}) {
    SCOPED_TRACE(d);
    const Matrix<float> along = normal_cloud(4000, 1, 9);
    Matrix<float> y(4000, d);
    for (Index j = 0; j < y.rows(); ++j)
      for (Index k = 0; k < d; ++k) y(j, k) = along(j, 0) * static_cast<float>(k + 1) + 3;
    expect_fit(y, 20);
  }
}

// Labels and masses that may stray, where cells differ by decades.
TEST(SemidiscreteShapes, OtherProblems) {
  const Matrix<float> y = sizes_over_decades(2000, 2, 6);
  std::vector<std::int32_t> labels;
  for (std::int32_t j = 0; j < 2000; ++j) labels.push_back(j % 2);
  for (const SemidiscreteOptions& options :
       {SemidiscreteOptions{.tau = 500, .seed = 2}, SemidiscreteOptions{.labels = labels, .seed = 2}}) {
    const SemidiscreteResult r = semidiscrete(y.view(), {}, options);
    EXPECT_EQ(r.status, Status::converged);
    EXPECT_LT(r.marginal.upper, 0.05);
  }
}

}  // namespace
}  // namespace monge::ot
