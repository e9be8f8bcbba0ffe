#include "monge/ot/cpu/digits.h"

#include <gtest/gtest.h>

#include <cmath>

#include "monge/ot/core/random.h"
#include "monge/ot/cpu/tile_source.h"

namespace monge::ot::cpu {
namespace {

struct DigitsTest : testing::Test {
  void SetUp() override {
    if (!has_digit_products()) GTEST_SKIP() << "no integer matrix unit here";
  }
};

Matrix<float> product(MatrixView<const float> x, MatrixView<const float> y, float alpha = 1, bool past = false) {
  Digits rows(Digits::Operand::left, x.rows, x.cols);
  rows.read(x, 0);
  const Digits columns = read_digits(y, {});
  Matrix<float> out(x.rows, y.rows);
  digit_products(alpha, rows, 0, x.rows, columns, 0, y.rows, out.data(), y.rows, past);
  return out;
}

Matrix<float> normal(Index rows, Index cols, std::uint64_t seed) {
  Matrix<float> x(rows, cols);
  fill_normal(Rng{seed}, 0, {x.data(), rows * cols});
  return x;
}

// What the header promises of <x, y>.
double bound(const float* x, const float* y, Index d) {
  double xx = 0, yy = 0, x_most = 0, y_most = 0;
  for (Index k = 0; k < d; ++k) {
    const double a = std::abs(static_cast<double>(x[k])), b = std::abs(static_cast<double>(y[k]));
    xx += a * a, yy += b * b, x_most = std::max(x_most, a), y_most = std::max(y_most, b);
  }
  const double root = std::sqrt(static_cast<double>(d)), nx = std::sqrt(xx), ny = std::sqrt(yy);
  return 0x1p-24 *
         (2.1 * root * (x_most * ny + nx * y_most) + 0.1 * static_cast<double>(d) * x_most * y_most + 8 * nx * ny);
}

void expect_within_bound(const Matrix<float>& x, const Matrix<float>& y) {
  const Matrix<float> out = product(x.view(), y.view());
  for (Index i = 0; i < x.rows(); ++i) {
    for (Index j = 0; j < y.rows(); ++j) {
      double truth = 0;
      for (Index k = 0; k < x.cols(); ++k) truth += static_cast<double>(x(i, k)) * static_cast<double>(y(j, k));
      ASSERT_LE(std::abs(out(i, j) - truth), bound(x.view().row(i), y.view().row(j), x.cols())) << i << " " << j;
    }
  }
}

TEST_F(DigitsTest, ProductsAreWithinTheirBound) {
  for (const auto& [n, m, d] : {std::tuple<Index, Index, Index>{1, 1, 1},
                                {17, 33, 9},
                                {64, 300, 64},
                                {50, 47, 65},
                                {31, 40, 784},
                                {16, 16, 3072},
                                {5, 6, 32768}}) {
    SCOPED_TRACE(testing::Message() << n << " x " << m << ", d = " << d);
    expect_within_bound(normal(n, d, 1), normal(m, d, 2));
  }
}

TEST_F(DigitsTest, RowsMayHaveAnyScaleAndHeavyTails) {
  Matrix<float> x = normal(40, 100, 3), y = normal(50, 100, 4);
  for (Index i = 0; i < 40; ++i) {
    for (Index k = 0; k < 100; ++k) {
      x(i, k) = static_cast<float>(std::ldexp(std::pow(x(i, k), 5), static_cast<int>(i) - 20));
      y(i, k) = static_cast<float>(std::ldexp(y(i, k), 30 - 2 * static_cast<int>(i)));
    }
  }
  std::fill_n(x.view().row(7), 100, 0.0f);
  std::fill_n(x.view().row(8), 100, -1.0f);  // all digits at their ends
  std::fill_n(y.view().row(8), 100, std::nextafter(1.0f, 0.0f));
  expect_within_bound(x, y);
}

TEST_F(DigitsTest, HugeTimesTinyIsNeither) {
  Matrix<float> x = normal(16, 20, 9), y = normal(16, 20, 10);
  for (Index k = 0; k < 16 * 20; ++k) x.data()[k] *= 1e37f, y.data()[k] *= 1e-37f;
  expect_within_bound(x, y);
  expect_within_bound(y, x);
}

// Pixels, grids and counts: nothing is rounded, so ties stay ties.
TEST_F(DigitsTest, SmallIntegersAreExact) {
  Matrix<float> x(20, 784), y(30, 784);
  for (Index k = 0; k < 20 * 784; ++k) x.data()[k] = static_cast<float>(k * 7919 % 511 - 255);
  for (Index k = 0; k < 30 * 784; ++k) y.data()[k] = static_cast<float>(k * 104729 % 511 - 255);
  const Matrix<float> out = product(x.view(), y.view(), 0.5f);
  for (Index i = 0; i < 20; ++i) {
    for (Index j = 0; j < 30; ++j) {
      std::int64_t sum = 0;
      for (Index k = 0; k < 784; ++k) sum += static_cast<std::int64_t>(x(i, k)) * static_cast<std::int64_t>(y(j, k));
      ASSERT_EQ(out(i, j), static_cast<float>(0.5 * static_cast<double>(sum)));
    }
  }
}

// A product is the same bits wherever its points are, and however it is written.
TEST_F(DigitsTest, ProductsDoNotDependOnTheirPlace) {
  const Matrix<float> x = normal(100, 200, 5), y = normal(150, 200, 6);
  const Matrix<float> all = product(x.view(), y.view()), past = product(x.view(), y.view(), 1, true);
  for (const Index i : {0, 1, 37, 99}) {
    const Matrix<float> row = product(x.view().rows_from(i, 1), y.view());
    for (Index j = 0; j < 150; ++j) {
      ASSERT_EQ(row(0, j), all(i, j)) << i << " " << j;
      ASSERT_EQ(past(i, j), all(i, j)) << i << " " << j;
    }
  }
}

TEST_F(DigitsTest, PassesOfManyDimensionsUseThem) {
  const Matrix<float> x = normal(300, 32, 7), y = normal(300, 32, 8);
  Scores<float> s;
  s.x = x.view(), s.y = y.view();
  EXPECT_EQ(column_digits(s, {}).rows(), 300);
  s.x = x.view().rows_from(0, 8);  // too few to be worth reading y for
  EXPECT_EQ(column_digits(s, {}).rows(), 0);
}

}  // namespace
}  // namespace monge::ot::cpu
