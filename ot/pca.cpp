#include "monge/ot/pca.h"

#include <cblas.h>

#include <Eigen/Eigenvalues>
#include <algorithm>

#include "monge/ot/atoms.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"
#include "monge/ot/moments.h"

namespace monge::ot {

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
  const Moments moments = cloud_moments(y, normalised_weights("fit_pca", b, y.rows), context);
  const Index d = y.cols;
  const Eigen::Map<const Eigen::MatrixXd> covariance(moments.covariance.data(), d, d);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(covariance);  // ascending
  require(eigen.info() == Eigen::Success, "fit_pca: the eigenproblem of the covariance did not converge");

  Pca pca;
  pca.basis = Matrix<float>(k, d);
  pca.mean.assign(moments.mean.begin(), moments.mean.end());
  pca.total_variance = covariance.trace();
  for (Index i = 0; i < k; ++i) {
    const Eigen::VectorXd direction = eigen.eigenvectors().col(d - 1 - i);
    Index largest = 0;
    direction.cwiseAbs().maxCoeff(&largest);
    const double sign = direction(largest) < 0 ? -1 : 1;
    for (Index c = 0; c < d; ++c) pca.basis(i, c) = static_cast<float>(sign * direction(c));
    pca.variance.push_back(std::max(0.0, eigen.eigenvalues()(d - 1 - i)));
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
