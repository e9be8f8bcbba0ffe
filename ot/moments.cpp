#include "monge/ot/moments.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>

#include "monge/ot/core/parallel.h"

namespace monge::ot {
namespace {

constexpr Index block = 2048;  // rows whose sum one task makes; partial sums are added in order

double weight(VectorView<const double> b, Index i, Index n) { return b.empty() ? 1.0 / static_cast<double>(n) : b[i]; }

// 2^e of about the largest distance of a coordinate from the mean.
int exponent_of(MatrixView<const float> y, const std::vector<double>& mean, const Context& context) {
  const Index tasks = (y.rows + block - 1) / block;
  std::vector<double> largest(static_cast<std::size_t>(tasks), 0.0);
  parallel_for(context.threads, tasks, [&](Index task, int) {
    double most = 0;
    for (Index i = task * block; i < std::min(y.rows, (task + 1) * block); ++i) {
      const float* row = y.row(i);
      for (Index k = 0; k < y.cols; ++k) most = std::max(most, std::abs(static_cast<double>(row[k]) - mean[k]));
    }
    largest[static_cast<std::size_t>(task)] = most;
  });
  const double most = largest.empty() ? 0.0 : *std::max_element(largest.begin(), largest.end());
  return most > 0 ? std::ilogb(most) : 0;
}

}  // namespace

std::vector<double> cloud_mean(MatrixView<const float> y, VectorView<const double> b, const Context& context) {
  const Index tasks = (y.rows + block - 1) / block;
  Matrix<double> partial(tasks, y.cols);
  parallel_for(context.threads, tasks, [&](Index task, int) {
    double* sum = partial.view().row(task);
    std::fill_n(sum, y.cols, 0.0);
    for (Index i = task * block; i < std::min(y.rows, (task + 1) * block); ++i) {
      const double w = weight(b, i, y.rows);
      for (Index k = 0; k < y.cols; ++k) sum[k] += w * static_cast<double>(y(i, k));
    }
  });
  std::vector<double> mean(static_cast<std::size_t>(y.cols), 0.0);
  for (Index t = 0; t < tasks; ++t) {
    for (Index k = 0; k < y.cols; ++k) mean[static_cast<std::size_t>(k)] += partial(t, k);
  }
  return mean;
}

Moments cloud_moments(MatrixView<const float> y, VectorView<const double> b, const Context& context) {
  const Index d = y.cols;
  Moments moments{cloud_mean(y, b, context), std::vector<double>(static_cast<std::size_t>(d * d), 0.0)};
  const int exponent = exponent_of(y, moments.mean, context);
  // Waves of a few row blocks bound the memory of the partial products, whose number does not depend on the threads.
  constexpr Index wave = 4;
  std::vector<Matrix<double>> partial(wave);
  for (Index first = 0; first < y.rows; first += wave * block) {
    const Index tasks = std::min(wave, (y.rows - first + block - 1) / block);
    parallel_for(context.threads, tasks, [&](Index task, int) {
      auto& product = partial[static_cast<std::size_t>(task)];
      if (product.rows() == 0) product = Matrix<double>(d, d);
      const Index begin = first + task * block, rows = std::min(block, y.rows - begin);
      Matrix<float> centred(rows, d);
      Matrix<float> gram(d, d);
      for (Index i = 0; i < rows; ++i) {
        const double root = std::ldexp(std::sqrt(weight(b, begin + i, y.rows)), -exponent);
        for (Index k = 0; k < d; ++k) {
          centred(i, k) = static_cast<float>(
              root * (static_cast<double>(y(begin + i, k)) - moments.mean[static_cast<std::size_t>(k)]));
        }
      }
      cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, static_cast<int>(d), static_cast<int>(rows), 1.0f,
                  centred.data(), static_cast<int>(d), 0.0f, gram.data(), static_cast<int>(d));
      for (Index i = 0; i < d; ++i) {
        for (Index j = i; j < d; ++j) product(i, j) = static_cast<double>(gram(i, j));
      }
    });
    for (Index t = 0; t < tasks; ++t) {
      for (Index i = 0; i < d; ++i) {
        for (Index j = i; j < d; ++j) {
          moments.covariance[static_cast<std::size_t>(i * d + j)] += partial[static_cast<std::size_t>(t)](i, j);
        }
      }
    }
  }
  for (double& c : moments.covariance) c = std::ldexp(c, 2 * exponent);
  for (Index i = 0; i < d; ++i) {
    for (Index j = 0; j < i; ++j) {
      moments.covariance[static_cast<std::size_t>(i * d + j)] = moments.covariance[static_cast<std::size_t>(j * d + i)];
    }
  }
  return moments;
}

}  // namespace monge::ot
