#include "monge/flow/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

struct Set {
  std::vector<float> values;
  Index rows, cols;
  MatrixView<const float> view() const { return {values.data(), rows, cols}; }
};

Set gaussian(Index rows, Index cols, unsigned seed, double scale = 1, double shift = 0) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Set s{std::vector<float>(rows * cols), rows, cols};
  for (float& v : s.values) v = static_cast<float>(shift + scale * normal(random));
  return s;
}

// The documented directions: row l is elements l d to (l + 1) d of the normals of Rng{seed}, made a unit vector.
std::vector<std::vector<double>> directions(Index d, const SlicedOptions& options = {}) {
  std::vector<std::vector<double>> out;
  for (Index l = 0; l < options.directions; ++l) {
    std::vector<float> theta(d);
    fill_normal(Rng{options.seed}, l * d, VectorView<float>(theta));
    double square = 0;
    for (const float v : theta) square += static_cast<double>(v) * v;
    out.emplace_back();
    for (const float v : theta) out.back().push_back(v / std::sqrt(square));
  }
  return out;
}

std::vector<double> sorted_projections(MatrixView<const float> x, const std::vector<double>& theta) {
  std::vector<double> p;
  for (Index i = 0; i < x.rows; ++i) p.push_back(std::inner_product(theta.begin(), theta.end(), x.row(i), 0.0));
  std::sort(p.begin(), p.end());
  return p;
}

// Each quantile function sampled in the middle of the cells of a grid that holds all breaks of both.
double naive_squared_w2(const std::vector<double>& a, const std::vector<double>& b) {
  const std::size_t cells = std::lcm(a.size(), b.size());
  double sum = 0;
  for (std::size_t c = 0; c < cells; ++c) {
    const double difference = a[c * a.size() / cells] - b[c * b.size() / cells];
    sum += difference * difference;
  }
  return sum / static_cast<double>(cells);
}

double naive_sliced(MatrixView<const float> x, MatrixView<const float> y, const SlicedOptions& options = {}) {
  double sum = 0;
  for (const auto& theta : directions(x.cols, options))
    sum += naive_squared_w2(sorted_projections(x, theta), sorted_projections(y, theta));
  return std::sqrt(sum / static_cast<double>(options.directions));
}

// In one dimension every direction is +1 or -1.
TEST(SlicedW2, OneDimension) {
  const Set x{{1, 0}, 2, 1}, y{{3, 0}, 2, 1}, point{{5}, 1, 1};
  EXPECT_NEAR(sliced_w2(x.view(), y.view()), std::sqrt(2.0), 1e-6);
  EXPECT_NEAR(sliced_w2(point.view(), y.view()), std::sqrt((25 + 4) / 2.0), 1e-6);
  EXPECT_NEAR(sliced_w2(y.view(), point.view()), std::sqrt((25 + 4) / 2.0), 1e-6);
  EXPECT_EQ(sliced_w2(x.view(), x.view()), 0);
}

TEST(SlicedW2, AgreesWithNaive) {
  SlicedOptions options;
  options.directions = 100;  // not a multiple of a tile
  for (const auto& [n, m, d] : {std::tuple<Index, Index, Index>{600, 600, 30},
                                {1, 1, 1},
                                {1030, 1030, 3},
                                {300, 170, 20},
                                {7, 500, 5},
                                {512, 1, 2}}) {
    const Set x = gaussian(n, d, 1, 2, 0.5), y = gaussian(m, d, 2);
    const double expected = naive_sliced(x.view(), y.view(), options);
    EXPECT_NEAR(sliced_w2(x.view(), y.view(), options), expected, 1e-6 * expected) << n << " " << m << " " << d;
    EXPECT_NEAR(sliced_w2(y.view(), x.view(), options), expected, 1e-6 * expected) << n << " " << m << " " << d;
  }
}

// A shift by s moves every projection by <theta, s>; its mean square is |s|^2 / d up to the choice of directions.
TEST(SlicedW2, Translation) {
  const Index n = 500, d = 16;
  const Set x = gaussian(n, d, 3);
  Set y = x;
  std::vector<double> shift(d);
  for (Index k = 0; k < d; ++k) shift[k] = 0.25 * static_cast<double>(k % 5) - 0.5;
  for (Index i = 0; i < n; ++i)
    for (Index k = 0; k < d; ++k) y.values[i * d + k] += static_cast<float>(shift[k]);
  double sum = 0;
  for (const auto& theta : directions(d))
    sum += std::pow(std::inner_product(theta.begin(), theta.end(), shift.begin(), 0.0), 2);
  const double measured = sliced_w2(x.view(), y.view());
  EXPECT_NEAR(measured * measured, sum / 1000, 1e-5 * sum / 1000);
  // d <theta, s>^2 / |s|^2 has mean 1 and variance 2 (d - 1) / (d + 2) < 2: five deviations of the mean of 1,000.
  const double square = std::inner_product(shift.begin(), shift.end(), shift.begin(), 0.0);
  EXPECT_NEAR(measured * measured * d / square, 1, 5 * std::sqrt(2.0 / 1000));
}

// Far from the origin float keeps little of the points; what it keeps is not lost again.
TEST(SlicedW2, FarFromTheOrigin) {
  const Set x = gaussian(400, 50, 4, 1, 1e4), y = gaussian(400, 50, 5, 2, 1e4);
  const double expected = naive_sliced(x.view(), y.view());
  EXPECT_NEAR(sliced_w2(x.view(), y.view()), expected, 1e-5 * expected);
}

// N(0, I) against N(0, 4 I): 1 in every direction. The scale estimated from n d values is off by s / sqrt(2 n d).
TEST(SlicedW2, GaussiansOfDifferentScale) {
  const Index n = 5000, d = 8;
  const Set x = gaussian(n, d, 6, 1), y = gaussian(n, d, 7, 2);
  EXPECT_NEAR(sliced_w2(x.view(), y.view()), 1, 5 * std::sqrt((1 + 4) / (2.0 * n * d)) + 0.01);
}

TEST(SlicedW2, IgnoresTheOrderOfTheRows) {
  const Index n = 777, d = 12;
  const Set x = gaussian(n, d, 8), y = gaussian(n, d, 9);
  Set shuffled = x;
  std::vector<Index> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(10));
  for (Index i = 0; i < n; ++i) std::copy_n(x.view().row(order[i]), d, shuffled.values.begin() + i * d);
  const double expected = sliced_w2(x.view(), y.view());
  EXPECT_NEAR(sliced_w2(shuffled.view(), y.view()), expected, 1e-6 * expected);
  EXPECT_LT(sliced_w2(shuffled.view(), x.view()), 1e-6);
}

TEST(SlicedW2, SameBitsAtAnyThreadCount) {
  const Set x = gaussian(3000, 40, 11), y = gaussian(2000, 40, 12, 2);
  SlicedOptions one, two;
  one.context.threads = 1;
  two.context.threads = 2;
  EXPECT_EQ(sliced_w2(x.view(), y.view(), one), sliced_w2(x.view(), y.view(), two));
}

TEST(SlicedW2, RefusesBadInput) {
  const Set good = gaussian(5, 3, 13), narrow = gaussian(5, 2, 13);
  Set bad = good;
  bad.values[2 * 3 + 1] = std::numeric_limits<float>::quiet_NaN();
  const auto code = [](const Set& x, const Set& y, SlicedOptions options = {}) {
    try {
      sliced_w2(x.view(), y.view(), options);
    } catch (const Error& e) {
      return e.code();
    }
    ADD_FAILURE() << "nothing was thrown";
    return Errc::io;
  };
  EXPECT_EQ(code(bad, good), Errc::not_finite);
  EXPECT_EQ(code(good, bad), Errc::not_finite);
  EXPECT_EQ(code(good, narrow), Errc::invalid_argument);
  EXPECT_EQ(code(good, Set{{}, 0, 3}), Errc::invalid_argument);
  SlicedOptions none;
  none.directions = 0;
  EXPECT_EQ(code(good, good, none), Errc::invalid_argument);
  // Huge sets are scaled down, unless it is only the reference that is not huge.
  const Set huge{{3e38f, 3e38f, 3e38f, -3e38f, -3e38f, -3e38f}, 2, 3};
  EXPECT_TRUE(std::isfinite(sliced_w2(huge.view(), good.view())));
  EXPECT_TRUE(std::isfinite(SlicedReference(huge.view()).distance(good.view())));
  EXPECT_THROW(SlicedReference(good.view()).distance(huge.view()), Error);
}

TEST(ExactW2, AgreesWithBruteForce) {
  const Index n = 7;
  const Set x = gaussian(n + 3, 2, 14), y = gaussian(n + 1, 2, 15, 2, 1);  // only the first n rows count
  std::vector<Index> order(n);
  std::iota(order.begin(), order.end(), 0);
  double best = std::numeric_limits<double>::infinity();
  do {
    double sum = 0;
    for (Index i = 0; i < n; ++i)
      for (Index k = 0; k < 2; ++k) sum += std::pow(static_cast<double>(x.view()(i, k)) - y.view()(order[i], k), 2);
    best = std::min(best, sum);
  } while (std::next_permutation(order.begin(), order.end()));
  const W2 w = exact_w2(x.view(), y.view(), n);
  EXPECT_EQ(w.status, ot::Status::converged);
  EXPECT_NEAR(w.distance, std::sqrt(best / n), 1e-12);
  EXPECT_EQ(w.certificate.kind, ot::Certificate::Kind::proven);
  EXPECT_LE(w.certificate.lower, w.distance);
  EXPECT_GE(w.certificate.upper, w.distance);
  EXPECT_NEAR(w.certificate.lower, w.certificate.upper, 1e-9 * w.distance);
  EXPECT_THROW(exact_w2(x.view(), y.view(), n + 2), Error);
}

// For any coupling the mean of <theta, x - y>^2 over all theta is |x - y|^2 / d.
TEST(ExactW2, BoundsSliced) {
  const Index d = 10;
  const Set x = gaussian(300, d, 16), y = gaussian(300, d, 17, 1.5, 0.3);
  EXPECT_LE(sliced_w2(x.view(), y.view()), 1.1 * exact_w2(x.view(), y.view(), 300).distance / std::sqrt(d));
}

TEST(HeldOut, ComparesAndGivesTheFloor) {
  const Set test = gaussian(400, 6, 18), samples = gaussian(300, 6, 19, 1.3), train = gaussian(900, 6, 20);
  MetricsOptions options;
  options.exact_rows = 100;
  const HeldOut held_out(test.view(), options);
  const Metrics m = held_out.compare(samples.view());
  EXPECT_EQ(m.sliced_w2, sliced_w2(samples.view(), test.view()));
  EXPECT_EQ(m.w2.distance, exact_w2(samples.view(), test.view(), 100).distance);
  const Metrics floor = held_out.floor(train.view(), 300);
  EXPECT_EQ(floor.sliced_w2, sliced_w2(train.view().rows_from(0, 300), test.view()));
  EXPECT_LT(floor.sliced_w2, m.sliced_w2);
  EXPECT_LT(floor.w2.distance, m.w2.distance);

  EXPECT_THROW(held_out.floor(train.view(), 901), Error);
  EXPECT_THROW(held_out.compare(samples.view().rows_from(0, 99)), Error);
  options.exact_rows = 401;
  EXPECT_THROW(HeldOut(test.view(), options), Error);
  options.exact_rows = 0;
  EXPECT_EQ(HeldOut(test.view(), options).compare(samples.view()).sliced_w2, m.sliced_w2);
}

TEST(HeldOut, CanBeStopped) {
  const Set test = gaussian(400, 6, 21), samples = gaussian(400, 6, 22);
  MetricsOptions options;
  options.exact_rows = 400;
  options.exact.progress = [](const ot::AssignmentProgress&) { return false; };
  const Metrics m = HeldOut(test.view(), options).compare(samples.view());
  EXPECT_EQ(m.w2.status, ot::Status::stopped_by_caller);
  const double truth = exact_w2(samples.view(), test.view(), 400).distance;
  EXPECT_LE(m.w2.certificate.lower, truth);
  EXPECT_GE(m.w2.certificate.upper, truth);
}

}  // namespace
}  // namespace monge::flow
