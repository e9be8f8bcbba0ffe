#include "monge/flow/likelihood.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "monge/ot/core/error.h"

namespace monge::flow {
namespace {

constexpr Index d = 3;

// From N(0, I) to N(m, S^2) with S symmetric, along x_t = t (m + S x0) + (1 - t) x0 = t m + A_t x0, A_t = I + t (S -
// I): the velocity at x is m + (S - I) A_t^-1 (x - t m), its Jacobian (S - I) A_t^-1. S = H D H, H a reflection.
struct GaussianFlow {
  double m[d] = {1, -0.5, 2};
  double u[d] = {0.6, 0.48, 0.64};  // unit
  double scale[d] = {0.4, 1.5, 2.5};

  void reflect(double* x) const {
    double along = 0;
    for (Index k = 0; k < d; ++k) along += 2 * u[k] * x[k];
    for (Index k = 0; k < d; ++k) x[k] -= along * u[k];
  }
  void jacobian(double t, double* x) const {
    reflect(x);
    for (Index k = 0; k < d; ++k) x[k] *= (scale[k] - 1) / (1 + t * (scale[k] - 1));
    reflect(x);
  }
  double log_density(const float* x) const {
    double z[d], sum = 0;
    for (Index k = 0; k < d; ++k) z[k] = x[k] - m[k];
    reflect(z);
    for (Index k = 0; k < d; ++k)
      sum -= 0.5 * std::log(2 * M_PI) + std::log(scale[k]) + 0.5 * (z[k] / scale[k]) * (z[k] / scale[k]);
    return sum;
  }
  VelocityProduct velocity() const {
    return [this](double t, MatrixView<const float> x, MatrixView<const float> w, MatrixView<float> v,
                  MatrixView<float> product) {
      for (Index i = 0; i < x.rows; ++i) {
        double a[d], b[d];
        for (Index k = 0; k < d; ++k) a[k] = x(i, k) - t * m[k], b[k] = w(i, k);
        jacobian(t, a);
        jacobian(t, b);
        for (Index k = 0; k < d; ++k)
          v(i, k) = static_cast<float>(m[k] + a[k]), product(i, k) = static_cast<float>(b[k]);
      }
    };
  }
};

Matrix<float> points(Index n) {
  Matrix<float> x(n, d);
  fill_normal(Rng{1}, 0, {x.data(), n * d});
  for (Index i = 0; i < n * d; ++i) x.data()[i] = 2 * x.data()[i] + 0.5f;
  return x;
}

TEST(Likelihood, ExactTraceIsTheClosedForm) {
  const GaussianFlow flow;
  const Matrix<float> x = points(200);
  const LikelihoodResult r = log_likelihood(flow.velocity(), x.view());
  ASSERT_EQ(r.status, ot::Status::converged);
  for (Index i = 0; i < 200; ++i) {
    EXPECT_NEAR(r.log_density[static_cast<std::size_t>(i)], flow.log_density(x.view().row(i)), 1e-3) << i;
    EXPECT_EQ(r.standard_error[static_cast<std::size_t>(i)], 0);
    double z[d];  // the source point is S^-1 (x - m)
    for (Index k = 0; k < d; ++k) z[k] = x(i, k) - flow.m[k];
    flow.reflect(z);
    for (Index k = 0; k < d; ++k) z[k] /= flow.scale[k];
    flow.reflect(z);
    for (Index k = 0; k < d; ++k) EXPECT_NEAR(r.source(i, k), z[k], 1e-3);
  }
  EXPECT_EQ(r.products % d, 0);
}

TEST(Likelihood, HutchinsonAgreesWithinItsErrorBars) {
  const GaussianFlow flow;
  const Matrix<float> x = points(300);
  const LikelihoodResult exact = log_likelihood(flow.velocity(), x.view());
  const LikelihoodResult r =
      log_likelihood(flow.velocity(), x.view(), {.trace = Trace::hutchinson, .probes = 16, .seed = 3});
  double chi = 0, mean = 0, variance = 0;
  for (std::size_t i = 0; i < 300; ++i) {
    const double off = r.log_density[i] - exact.log_density[i];
    EXPECT_GT(r.standard_error[i], 0);
    chi += std::pow(off / r.standard_error[i], 2) / 300;
    mean += off;
    variance += r.standard_error[i] * r.standard_error[i];
  }
  // Errors in units of their standard errors are about Student's t of 15 degrees: variance 15/13, and that of the mean
  // of 300 squares about 2.6 (15/13)^2 / 300.
  EXPECT_NEAR(chi, 15.0 / 13, 5 * std::sqrt(2.6 / 300) * 15 / 13);
  EXPECT_NEAR(mean, 0, 4 * std::sqrt(variance));  // unbiased
}

TEST(Likelihood, ProbesAreThoseOfTheRowAtAnyThreadCount) {
  const GaussianFlow flow;
  const Matrix<float> x = points(150);
  LikelihoodOptions options{.trace = Trace::hutchinson, .probes = 3, .seed = 3};
  options.solver = {.solver = Solver::rk4, .steps = 10, .context = {.threads = 1}};  // no step control over the batch
  const LikelihoodResult one = log_likelihood(flow.velocity(), x.view(), options);
  options.solver.context.threads = 3;
  EXPECT_EQ(one.log_density, log_likelihood(flow.velocity(), x.view(), options).log_density);
  options.first = 100;
  const LikelihoodResult part = log_likelihood(flow.velocity(), x.view().rows_from(100, 50), options);
  EXPECT_TRUE(std::equal(part.log_density.begin(), part.log_density.end(), one.log_density.begin() + 100));
  options.probes = 1;
  EXPECT_TRUE(std::isnan(log_likelihood(flow.velocity(), x.view(), options).standard_error[0]));
}

// A velocity that is not linear, in one dimension: v = -x^3 + sin t has trace -3 x^2. The slope of the
// inverse map, by differences, is the other way to the density.
TEST(Likelihood, NonlinearFlow) {
  const VelocityProduct velocity = [](double t, MatrixView<const float> x, MatrixView<const float> w,
                                      MatrixView<float> v, MatrixView<float> product) {
    for (Index i = 0; i < x.rows; ++i) {
      const double at = x(i, 0);
      v(i, 0) = static_cast<float>(-at * at * at + std::sin(t));
      product(i, 0) = static_cast<float>(-3 * at * at * w(i, 0));
    }
  };
  // Paths to beyond about [-0.5, 0.9] would come from infinity, in finite time.
  constexpr Index count = 161;
  constexpr double h = 0.8 / (count - 1);
  Matrix<float> x(count, 1);
  for (Index i = 0; i < count; ++i) x(i, 0) = static_cast<float>(-0.2 + h * static_cast<double>(i));
  const MatrixView<const float> inside = x.view();
  const LikelihoodResult r = log_likelihood(velocity, inside);
  ASSERT_EQ(r.status, ot::Status::converged);
  for (Index i = 1; i + 1 < count; ++i) {
    const double slope = (static_cast<double>(r.source(i + 1, 0)) - r.source(i - 1, 0)) / (2 * h);
    const double x0 = r.source(i, 0);
    const double by_slope = -0.5 * (x0 * x0 + std::log(2 * M_PI)) + std::log(slope);
    // central differences of steps h: relative error h^2 (source)'''/6, and float sources
    EXPECT_NEAR(r.log_density[static_cast<std::size_t>(i)], by_slope, 5e-3) << inside(i, 0);
  }
}

TEST(Likelihood, OtherSources) {
  const GaussianFlow flow;
  const Matrix<float> x = points(5);
  const LogDensity wide = [](VectorView<const float> z) {
    double sum = 0;
    for (const float value : z) sum -= 0.5 * std::log(8 * M_PI) + value * value / 8.0;
    return sum;
  };
  const LikelihoodResult r = log_likelihood(flow.velocity(), x.view(), {.source = wide});
  for (Index i = 0; i < 5; ++i) {  // N(m, (2 S)^2)
    GaussianFlow twice = flow;
    for (double& s : twice.scale) s *= 2;
    EXPECT_NEAR(r.log_density[static_cast<std::size_t>(i)], twice.log_density(x.view().row(i)), 1e-3);
  }
}

TEST(Likelihood, BitsPerDimension) {
  // Uniform on [-1, 1 + 2/255) in cells of 2/255 would be 256 equal cells: eight bits.
  const double width = 2.0 / 255;
  EXPECT_NEAR(bits_per_dimension(-100 * std::log(256 * width), 100, width), 8, 1e-12);

  Matrix<float> x(500, 7);
  std::fill_n(x.data(), 3500, 0.25f);
  dequantise(x.view(), width, Rng{4});
  double mean = 0, square = 0;
  for (Index i = 0; i < 3500; ++i) {
    const double off = (x.data()[i] - 0.25) / width;
    EXPECT_LE(std::abs(off), 0.5 + 1e-4);
    mean += off / 3500;
    square += off * off / 3500;
  }
  EXPECT_NEAR(mean, 0, 4 / std::sqrt(12 * 3500.0));
  EXPECT_NEAR(square, 1.0 / 12, 4 * std::sqrt(1.0 / 180 / 3500));
  Matrix<float> part(3, 7);
  std::fill_n(part.data(), 21, 0.25f);
  dequantise(part.view(), width, Rng{4}, 100);
  for (Index k = 0; k < 21; ++k) EXPECT_EQ(part.data()[k], x.data()[700 + k]);
}

TEST(Likelihood, Refusals) {
  const GaussianFlow flow;
  Matrix<float> x = points(3);
  EXPECT_THROW(log_likelihood(nullptr, x.view()), Error);
  EXPECT_THROW(log_likelihood(flow.velocity(), x.view().rows_from(0, 0)), Error);
  EXPECT_THROW(log_likelihood(flow.velocity(), x.view(), {.trace = Trace::hutchinson, .probes = 0}), Error);
  EXPECT_THROW(bits_per_dimension(1, 0, 1), Error);
  EXPECT_THROW(dequantise(x.view(), 0, Rng{}), Error);
  const VelocityProduct broken = [](double, MatrixView<const float>, MatrixView<const float>, MatrixView<float> v,
                                    MatrixView<float> product) {
    for (Index i = 0; i < v.rows; ++i)
      for (Index k = 0; k < v.cols; ++k) v(i, k) = product(i, k) = NAN;
  };
  const LikelihoodResult r = log_likelihood(broken, x.view());
  EXPECT_EQ(r.status, ot::Status::numerical_failure);
  EXPECT_TRUE(std::isnan(r.log_density[0]));
  x(1, 2) = NAN;
  EXPECT_THROW(log_likelihood(flow.velocity(), x.view()), Error);
}

}  // namespace
}  // namespace monge::flow
