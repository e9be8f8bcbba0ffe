#include "monge/ot/assignment_cloud.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "monge/ot/core/parallel.h"

namespace monge::ot::detail {
namespace {

constexpr Index kTile = 256;  // rows of a GEMM

// The power of two just above the largest magnitude.
template <class T>
int exponent_of(MatrixView<const T> x) {
  T largest = 0;
  for (Index i = 0; i < x.rows; ++i)
    for (Index k = 0; k < x.cols; ++k) largest = std::max(largest, std::abs(x(i, k)));
  return largest > 0 ? std::ilogb(largest) + 1 : std::numeric_limits<int>::min();
}

template <class T>
std::vector<double> mean_of(MatrixView<const T> x, double scale) {
  std::vector<double> mean(x.cols, 0.0);
  for (Index i = 0; i < x.rows; ++i)
    for (Index k = 0; k < x.cols; ++k) mean[k] += scale * static_cast<double>(x(i, k));
  for (double& v : mean) v /= static_cast<double>(x.rows);
  return mean;
}

template <class T>
void centre(MatrixView<const T> x, const std::vector<double>& at, double scale, int threads, Matrix<double>& points,
            std::vector<double>& squares) {
  points = Matrix<double>(x.rows, x.cols);
  squares.resize(x.rows);
  parallel_for(threads_worth(threads, x.rows * x.cols), (x.rows + kTile - 1) / kTile, [&](Index tile, int) {
    for (Index i = tile * kTile; i < std::min(x.rows, (tile + 1) * kTile); ++i) {
      double square = 0;
      for (Index k = 0; k < x.cols; ++k) {
        const double value = scale * static_cast<double>(x(i, k)) - at[k];
        points(i, k) = value;
        square += value * value;
      }
      squares[i] = square;
    }
  });
}

double dot(const double* a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t k = 0; k < b.size(); ++k) sum += a[k] * b[k];
  return sum;
}

double sum_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum;
}

}  // namespace

template <class T>
CentredClouds centred_clouds(MatrixView<const T> x, MatrixView<const T> y, const Context& context) {
  const Index n = x.rows, m = y.rows, d = x.cols;
  CentredClouds c;
  c.exponent = std::max(exponent_of(x), exponent_of(y));
  if (c.exponent == std::numeric_limits<int>::min()) c.exponent = 0;  // all zeros
  // Exact, and in two factors where 2^-exponent alone would overflow: subnormal clouds.
  const double scale = std::ldexp(1.0, std::min(-c.exponent, 1000));
  c.exponent = -std::ilogb(scale);

  const std::vector<double> y_centre = mean_of(y, scale);
  const std::vector<double> x_centre = n == m ? mean_of(x, scale) : y_centre;
  centre(x, x_centre, scale, context.threads, c.x, c.x_squares);
  centre(y, y_centre, scale, context.threads, c.y, c.y_squares);

  std::vector<double> offset(d);
  for (Index k = 0; k < d; ++k) offset[k] = x_centre[k] - y_centre[k];
  const double offset_square = dot(offset.data(), offset);
  c.row_shift.resize(n);
  c.column_shift.resize(m);
  for (Index i = 0; i < n; ++i) c.row_shift[i] = 2 * dot(c.x.data() + i * d, offset) + offset_square;
  for (Index j = 0; j < m; ++j) c.column_shift[j] = -2 * dot(c.y.data() + j * d, offset);
  const double x_total = sum_of(c.x_squares), y_total = sum_of(c.y_squares);
  c.x_size = std::sqrt(x_total / static_cast<double>(n));
  c.y_size = std::sqrt(y_total / static_cast<double>(m));

  // docs/exact.md derives it: (d + 8) u times 3 (|x'_i|^2 + |y'_j|^2 + |offset|^2) for each pair of the assignment, and
  // d + 8 underflows.
  const double unit = 3 * static_cast<double>(d + 8) * BoundedSum::u;
  const double y_largest = *std::max_element(c.y_squares.begin(), c.y_squares.end());
  c.error = unit * (x_total + std::min(y_total, static_cast<double>(n) * y_largest) + n * offset_square) +
            static_cast<double>(n) * (d + 8) * std::numeric_limits<double>::min();
  return c;
}

std::vector<double> isotropic_start(const CentredClouds& c) {
  const double ratio = c.y_size > 0 ? c.x_size / c.y_size : 1.0;
  std::vector<double> v(c.y_squares);
  for (double& value : v) value *= 1 - ratio;
  return v;
}

Matrix<double> cost_matrix(const CentredClouds& c, const Context& context) {
  const Index n = c.x.rows(), m = c.y.rows(), d = c.x.cols();
  Matrix<double> cost(n, m);
  parallel_for(context.threads, (n + kTile - 1) / kTile, [&](Index tile, int) {
    const Index first = tile * kTile, rows = std::min(kTile, n - first);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, m, d, -2.0, c.x.data() + first * d, d, c.y.data(), d,
                0.0, cost.data() + first * m, m);
    for (Index i = first; i < first + rows; ++i)
      for (Index j = 0; j < m; ++j) cost(i, j) += c.x_squares[i] + c.y_squares[j];
  });
  return cost;
}

template <class T>
double squared_distance(const T* x, const T* y, Index d, int exponent) {
  const double scale = std::ldexp(1.0, -exponent);
  double sums[8] = {};  // independent, so that processors need not wait for each
  const auto step = [&](Index k) {
    const double difference = scale * static_cast<double>(x[k]) - scale * static_cast<double>(y[k]);
    return difference * difference;
  };
  Index k = 0;
  for (; k + 8 <= d; k += 8)
    for (Index l = 0; l < 8; ++l) sums[l] += step(k + l);
  for (; k < d; ++k) sums[k % 8] += step(k);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

template CentredClouds centred_clouds(MatrixView<const float>, MatrixView<const float>, const Context&);
template CentredClouds centred_clouds(MatrixView<const double>, MatrixView<const double>, const Context&);
template double squared_distance(const float*, const float*, Index, int);
template double squared_distance(const double*, const double*, Index, int);

}  // namespace monge::ot::detail
