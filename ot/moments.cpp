#include "monge/ot/moments.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>

#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"

namespace monge::ot {
namespace {

constexpr Index block = 1024;  // rows whose sum one task makes; partial sums are added in order

double weight(VectorView<const double> b, Index i, Index n) { return b.empty() ? 1.0 / static_cast<double>(n) : b[i]; }

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
  // Waves of a few row blocks bound the memory of the partial products, whose number does not depend on the threads.
  constexpr Index wave = 4;
  Matrix<double> partial[wave];
  for (Index first = 0; first < y.rows; first += wave * block) {
    const Index tasks = std::min(wave, (y.rows - first + block - 1) / block);
    parallel_for(context.threads, tasks, [&](Index task, int) {
      if (context.stop) context.stop->look();
      Matrix<double>& product = partial[task];
      if (product.rows() == 0) product = Matrix<double>(d, d);
      const Index begin = first + task * block, rows = std::min(block, y.rows - begin);
      Matrix<double> centred(rows, d);
      for (Index i = 0; i < rows; ++i) {
        const double root = std::sqrt(weight(b, begin + i, y.rows));
        for (Index k = 0; k < d; ++k) {
          centred(i, k) = root * (static_cast<double>(y(begin + i, k)) - moments.mean[static_cast<std::size_t>(k)]);
        }
      }
      cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, static_cast<int>(d), static_cast<int>(rows), 1.0,
                  centred.data(), static_cast<int>(d), 0.0, product.data(), static_cast<int>(d));
    });
    for (Index t = 0; t < tasks; ++t) {
      for (Index i = 0; i < d; ++i) {
        for (Index j = i; j < d; ++j) moments.covariance[static_cast<std::size_t>(i * d + j)] += partial[t](i, j);
      }
    }
  }
  for (Index i = 0; i < d; ++i) {
    for (Index j = 0; j < i; ++j) {
      moments.covariance[static_cast<std::size_t>(i * d + j)] = moments.covariance[static_cast<std::size_t>(j * d + i)];
    }
  }
  return moments;
}

}  // namespace monge::ot
