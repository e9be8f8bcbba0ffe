#include <Eigen/Eigenvalues>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <string>

#include "monge/ot/closed_form.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"

namespace monge::ot {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void check(const Gaussian& g, const char* who) {
  const Index d = g.covariance.rows;
  require(d > 0 && g.covariance.cols == d && g.mean.size == d, who,
          ": a covariance must be d x d with a mean of d, not ", d, " x ", g.covariance.cols, " with ", g.mean.size);
  if (g.mean.device.type != DeviceType::cpu || g.covariance.device.type != DeviceType::cpu)
    throw Error(Errc::backend_unavailable, concat(who, " is not CPU memory"));
  for (Index k = 0; k < d; ++k)
    if (!std::isfinite(g.mean[k]))
      throw Error(Errc::not_finite, concat(who, ": the mean is ", g.mean[k], " at index ", k));
  require_finite(g.covariance, concat(who, ": the covariance").c_str());
}

constexpr int nothing = -5000;  // the exponent of zero, as it were

// The power of two near the largest standard deviation or component of the mean.
int size_exponent(const Gaussian& g) {
  double mean = 0, variance = 0;
  for (const double m : g.mean) mean = std::max(mean, std::abs(m));
  for (Index i = 0; i < g.covariance.rows; ++i)
    for (Index j = 0; j < g.covariance.cols; ++j) variance = std::max(variance, std::abs(g.covariance(i, j)));
  const double size = std::max(mean, std::sqrt(variance));
  return size > 0 ? std::ilogb(size) : nothing;
}

// A covariance as its symmetric square root.
struct Root {
  MatrixXd root;         // symmetric, positive semidefinite
  VectorXd eigenvalues;  // of the covariance, ascending; what counts as zero is
};

Root square_root(MatrixView<const double> covariance, int exponent, const char* who) {
  const Index d = covariance.rows;
  MatrixXd c(d, d);
  for (Index i = 0; i < d; ++i)
    for (Index j = 0; j < d; ++j) c(i, j) = std::ldexp(covariance(i, j), -2 * exponent);
  const double largest = c.cwiseAbs().maxCoeff();
  for (Index i = 0; i < d; ++i)
    for (Index j = 0; j < i; ++j) {
      require(std::abs(c(i, j) - c(j, i)) <= 1e-7 * largest, who,
              ": the covariance is not symmetric: ", covariance(i, j), " in row ", i, ", column ", j, ", ",
              covariance(j, i), " across");
      c(i, j) = c(j, i) = (c(i, j) + c(j, i)) / 2;
    }
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(c);
  require(eigen.info() == Eigen::Success, who, ": the eigenproblem of the covariance did not converge");
  Root r{{}, eigen.eigenvalues()};
  const double top = r.eigenvalues.cwiseAbs().maxCoeff();
  require(r.eigenvalues(0) >= -1e-7 * top, who, ": the covariance is not positive semidefinite: it has the eigenvalue ",
          std::ldexp(r.eigenvalues(0), 2 * exponent), ", the largest being ",
          std::ldexp(r.eigenvalues(d - 1), 2 * exponent));
  for (double& v : r.eigenvalues)
    if (v <= 1e-15 * static_cast<double>(d) * top) v = 0;
  r.root = eigen.eigenvectors() * r.eigenvalues.cwiseSqrt().asDiagonal() * eigen.eigenvectors().transpose();
  return r;
}

// Two Gaussians, brought near 1 by a power of two, and the SVD everything below follows from: A^1/2 B^1/2 = W s V^T.
struct Pair {
  int exponent;  // lengths are in units of 2^exponent
  double mean_distance;
  Root a, b;
  MatrixXd w, v;
  VectorXd s;

  // `least` bounds the exponent from below.
  Pair(const Gaussian& ga, const Gaussian& gb, const std::string& who, int least = nothing) {
    check(ga, (who + ": a").c_str());
    check(gb, (who + ": b").c_str());
    require(ga.mean.size == gb.mean.size, who, ": a has ", ga.mean.size, " dimensions, b ", gb.mean.size);
    exponent = std::max({size_exponent(ga), size_exponent(gb), least});
    if (exponent == nothing) exponent = 0;
    a = square_root(ga.covariance, exponent, (who + ": a").c_str());
    b = square_root(gb.covariance, exponent, (who + ": b").c_str());
    double square = 0;
    for (Index k = 0; k < ga.mean.size; ++k) {
      const double step = std::ldexp(ga.mean[k], -exponent) - std::ldexp(gb.mean[k], -exponent);
      square += step * step;
    }
    mean_distance = std::sqrt(square);
    const Eigen::BDCSVD<MatrixXd> svd(a.root * b.root, Eigen::ComputeFullU | Eigen::ComputeFullV);
    w = svd.matrixU();
    v = svd.matrixV();
    s = svd.singularValues();
  }

  // |m_a - m_b|^2 + |A^1/2 - B^1/2 V W^T|^2, the last term being the least over all rotations in the place of V W^T:
  // nothing cancels, and errors of the rotation are felt in the second order only.
  double bures() const { return mean_distance * mean_distance + (a.root - b.root * v * w.transpose()).squaredNorm(); }
};

// In the coordinates of the SVD the entropic plan correlates the k-th pair by r_k, which minimises
// -2 s r - (epsilon / 2) log(1 - r^2): r = 4 s / (epsilon + q), q = sqrt(epsilon^2 + 16 s^2).
struct Mode {
  double correlation, kl, excess;  // excess: 2 s (1 - r), of <P, C> over the unregularised plan's
  Mode(double s, double epsilon) {
    const double q = std::hypot(epsilon, 4 * s);
    correlation = 4 * s / (epsilon + q);
    excess = 2 * s * (epsilon / (epsilon + q)) * (1 + epsilon / (q + 4 * s));
    // -log(1 - r^2) = log((epsilon + q) / (2 epsilon))
    kl = 4 * s < epsilon ? std::log1p(2 * s * correlation / epsilon) / 2
                         : (std::log((epsilon + q) / 2) - std::log(epsilon)) / 2;
  }
};

Matrix<double> scaled_copy(const MatrixXd& from, int exponent) {
  Matrix<double> to(from.rows(), from.cols());
  for (Index i = 0; i < from.rows(); ++i)
    for (Index j = 0; j < from.cols(); ++j) to(i, j) = std::ldexp(from(i, j), exponent);
  return to;
}

}  // namespace

BuresResult bures_w2(const Gaussian& a, const Gaussian& b) {
  const Pair pair(a, b, "bures_w2");
  const double squared = pair.bures();
  return {std::ldexp(squared, 2 * pair.exponent), std::ldexp(std::sqrt(squared), pair.exponent)};
}

AffineMap gaussian_map(const Gaussian& a, const Gaussian& b) {
  const Pair pair(a, b, "gaussian_map");
  // B^1/2 (B^1/2 A B^1/2)^-1/2 B^1/2, inverted on its range: A then goes to B^1/2 V_r V_r^T B^1/2, V_r being the
  // columns of V that are kept.
  const Index d = a.mean.size;
  const double least = 1e-15 * static_cast<double>(d) * pair.a.root.norm() * pair.b.root.norm();
  Index rank = 0;
  while (rank < d && pair.s(rank) > least) ++rank;
  const MatrixXd spread = pair.b.root * pair.v;
  const double lost = spread.rightCols(d - rank).norm(), all = spread.norm();
  if (lost > 1e-7 * all)
    throw Error(Errc::infeasible, concat("gaussian_map: b varies where a does not, in directions that hold ",
                                         (lost / all) * (lost / all), " of its variance"));
  const MatrixXd kept = spread.leftCols(rank) * pair.s.head(rank).cwiseSqrt().cwiseInverse().asDiagonal();

  const MatrixXd linear = kept * kept.transpose();
  return {{a.mean.begin(), a.mean.end()},
          {b.mean.begin(), b.mean.end()},
          scaled_copy((linear + linear.transpose()) / 2, 0)};
}

void apply(const AffineMap& map, MatrixView<const double> x, MatrixView<double> out, const Context& context) {
  const Index d = map.linear.rows();
  require(x.cols == d && out.cols == d && out.rows == x.rows, "apply: x is ", x.rows, " x ", x.cols, ", out ", out.rows,
          " x ", out.cols, ", the map has ", d, " dimensions");
  if (x.device.type != DeviceType::cpu || out.device.type != DeviceType::cpu)
    throw Error(Errc::backend_unavailable, "apply: x or out is not CPU memory");
  constexpr Index block = 256;
  const Eigen::Map<const RowMajor> linear(map.linear.data(), d, d);
  const Eigen::Map<const Eigen::RowVectorXd> from(map.from.data(), d), to(map.to.data(), d);
  using Rows = Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>>;
  parallel_for(context.threads, (x.rows + block - 1) / block, [&](Index task, int) {
    const Index first = task * block, rows = std::min(block, x.rows - first);
    const RowMajor centred = Rows(x.row(first), rows, d, Eigen::OuterStride<>(x.stride)).rowwise() - from;
    Eigen::Map<RowMajor, 0, Eigen::OuterStride<>>(out.row(first), rows, d, Eigen::OuterStride<>(out.stride)) =
        (centred * linear).rowwise() + to;  // linear is symmetric
  });
}

EntropicGaussian entropic_gaussians(const Gaussian& a, const Gaussian& b, double epsilon) {
  require(epsilon > 0 && std::isfinite(epsilon), "entropic_gaussians: epsilon must be positive and finite, not ",
          epsilon);
  const Pair pair(a, b, "entropic_gaussians", (std::ilogb(epsilon) - 900) / 2);
  const double scaled = std::ldexp(epsilon, -2 * pair.exponent);
  require(std::isnormal(scaled), "entropic_gaussians: epsilon is ", epsilon, ", too little for Gaussians of this size");
  const Index d = a.mean.size;
  const double bures = pair.bures();
  double excess = 0, kl = 0, own = 0;
  VectorXd correlations(d);
  for (Index k = 0; k < d; ++k) {
    const Mode mode(pair.s(k), scaled), a_to_a(pair.a.eigenvalues(k), scaled), b_to_b(pair.b.eigenvalues(k), scaled);
    correlations(k) = mode.correlation;
    excess += mode.excess;
    kl += mode.kl;
    own += a_to_a.excess + b_to_b.excess + scaled * (a_to_a.kl + b_to_b.kl);
  }
  EntropicGaussian r;
  const auto unscale = [&](double v) { return std::ldexp(v, 2 * pair.exponent); };
  r.value = unscale(bures + excess + scaled * kl);
  r.cost = unscale(bures + excess);
  r.kl = kl;
  r.divergence = unscale(std::max(0.0, bures + excess + scaled * kl - own / 2));
  r.cross_covariance = scaled_copy(pair.a.root * pair.w * correlations.asDiagonal() * pair.v.transpose() * pair.b.root,
                                   2 * pair.exponent);
  return r;
}

}  // namespace monge::ot
