#include "monge/ot/pca.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "monge/ot/atoms.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/cpu/gemm.h"
#include "monge/ot/eigenpairs.h"
#include "monge/ot/finite.h"
#include "monge/ot/moments.h"

namespace monge::ot {
namespace {

// A cloud's principal directions, and what its variances sum to.
struct Principal {
  std::vector<double> mean;
  detail::Eigenpairs pairs;  // k
  double total = 0;
};

double trace(const double* c, Index n) {
  double sum = 0;
  for (Index i = 0; i < n; ++i) sum += c[i * (n + 1)];
  return sum;
}

Principal of_covariance(MatrixView<const float> y, Index k, const std::vector<double>& b, const Context& context) {
  const Index d = y.cols;
  Moments moments = cloud_moments(y, b, context);
  const double* c = moments.covariance.data();
  return {std::move(moments.mean), detail::leading_eigenpairs({c, d, d}, k, context), trace(c, d)};
}

// Of fewer points than dimensions: with the centred points, times the roots of their weights, as the rows of s, s^T s
// is the covariance, and u s an eigenvector of it if u is one of s s^T.
Principal of_products(MatrixView<const float> y, Index k, const std::vector<double>& b, const Context& context) {
  const Index n = y.rows, d = y.cols;
  Principal p;
  p.mean = cloud_mean(y, b, context);
  Matrix<double> s(n, d), products(n, n);
  constexpr Index block = 64;
  const auto for_rows = [&](auto body) {
    parallel_for(context.threads, (n + block - 1) / block, [&](Index task, int) {
      if (context.stop) context.stop->look();
      body(task * block, std::min(block, n - task * block));
    });
  };
  for_rows([&](Index first, Index count) {
    for (Index i = first; i < first + count; ++i) {
      const double root = std::sqrt(b[static_cast<std::size_t>(i)]);
      for (Index c = 0; c < d; ++c)
        s(i, c) = root * (static_cast<double>(y(i, c)) - p.mean[static_cast<std::size_t>(c)]);
    }
  });
  const MatrixView<const double> rows = std::as_const(s).view();
  for_rows([&](Index first, Index count) {
    cpu::gemm(1.0, rows.rows_from(first, count), rows.rows_from(0, first + count), products.view().row(first), n);
  });
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < i; ++j) products(j, i) = products(i, j);
  p.total = trace(products.data(), n);
  p.pairs = detail::leading_eigenpairs(std::as_const(products).view(), std::min(k, n), context);

  Matrix<double> directions(k, d);
  std::fill_n(directions.data(), k * d, 0.0);
  detail::multiply(std::as_const(p.pairs.vectors).view(), rows, directions.view().rows_from(0, std::min(k, n)),
                   context);
  detail::orthonormalise(directions);  // those of next to no variance are mostly rounding
  p.pairs.vectors = std::move(directions);
  p.pairs.values.resize(static_cast<std::size_t>(k), 0.0);
  return p;
}

}  // namespace

Pca Pca::clone() const {
  Pca copy{Matrix<float>(basis.rows(), basis.cols()), mean, variance, total_variance};
  std::copy_n(basis.data(), basis.rows() * basis.cols(), copy.basis.data());
  return copy;
}

double Pca::lost_variance() const {
  double kept = 0;
  for (double v : variance) kept += v;
  return total_variance > 0 ? std::clamp(1 - kept / total_variance, 0.0, 1.0) : 0.0;
}

Pca fit_pca(MatrixView<const float> y, Index k, VectorView<const double> b, const Context& context) {
  require(k >= 1 && k <= y.cols, "fit_pca: asked for ", k, " directions of a cloud in ", y.cols, " dimensions");
  require(y.rows > 0, "fit_pca: the cloud is empty");
  require_finite(y, "fit_pca: y");
  const std::vector<double> weights = normalised_weights("fit_pca", b, y.rows);
  const Principal p = y.rows < y.cols ? of_products(y, k, weights, context) : of_covariance(y, k, weights, context);

  const Index d = y.cols;
  Pca pca;
  pca.basis = Matrix<float>(k, d);
  pca.mean.assign(p.mean.begin(), p.mean.end());
  pca.total_variance = p.total;
  for (Index i = 0; i < k; ++i) {
    const double* direction = p.pairs.vectors.view().row(i);
    const double* largest =
        std::max_element(direction, direction + d, [](double a, double b) { return std::abs(a) < std::abs(b); });
    const double sign = *largest < 0 ? -1 : 1;
    for (Index c = 0; c < d; ++c) pca.basis(i, c) = static_cast<float>(sign * direction[c]);
    pca.variance.push_back(std::max(0.0, p.pairs.values[static_cast<std::size_t>(i)]));
  }
  return pca;
}

void project(const Pca& pca, MatrixView<const float> x, MatrixView<float> out, const Context& context) {
  require(x.cols == pca.basis.cols(), "project: points have ", x.cols, " dimensions, the basis ", pca.basis.cols());
  require(out.rows == x.rows && out.cols == pca.dimensions(), "project: ", x.rows, " points on ", pca.dimensions(),
          " directions, room for ", out.rows, " x ", out.cols);
  constexpr Index block = 256;
  parallel_for(context.threads, (x.rows + block - 1) / block, [&](Index task, int) {
    const Index first = task * block, rows = std::min(block, x.rows - first);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(rows), static_cast<int>(pca.basis.rows()),
                static_cast<int>(x.cols), 1.0f, x.row(first), static_cast<int>(x.stride), pca.basis.data(),
                static_cast<int>(pca.basis.cols()), 0.0f, out.row(first), static_cast<int>(out.stride));
  });
}

}  // namespace monge::ot
