#pragma once
#include <Eigen/Core>
#include <utility>
#include <vector>

#include "monge/ot/assignment.h"
#include "monge/ot/divergence.h"
#include "monge/ot/semidiscrete.h"
#include "monge/ot/sinkhorn.h"
#include "monge/ot/sliced.h"

// The solvers for clouds in Eigen matrices, a point per row, of float or double. Row-major ones are read in place,
// others, and expressions, are copied first. Needs Eigen 3.3 or newer where it is included; nothing else in monge's
// headers does.
namespace monge::ot {

// What a solver reads of an Eigen matrix: the matrix itself if it is row-major and in memory, else a copy.
template <class Derived>
class EigenRows {
 public:
  using T = typename Derived::Scalar;

  explicit EigenRows(const Eigen::MatrixBase<Derived>& x) {
    if constexpr (in_place) {
      const Derived& m = x.derived();
      if (m.innerStride() == 1 || m.cols() <= 1) {
        view_ = {m.data(), m.rows(), m.cols(), m.outerStride()};
        return;
      }
    }
    copy_ = Matrix<T>(x.rows(), x.cols());
    Eigen::Map<RowMajor>(copy_.data(), x.rows(), x.cols()) = x;
    view_ = std::as_const(copy_).view();
  }
  operator MatrixView<const T>() const { return view_; }

 private:
  using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  static constexpr bool in_place =
      bool(Eigen::internal::traits<Derived>::Flags & Eigen::DirectAccessBit) && bool(Derived::IsRowMajor);

  Matrix<T> copy_;
  MatrixView<const T> view_;
};

template <class X, class Y>
SinkhornResult sinkhorn(const Eigen::MatrixBase<X>& x, const Eigen::MatrixBase<Y>& y,
                        const SinkhornOptions& options = {}) {
  const EigenRows<X> xs(x);
  const EigenRows<Y> ys(y);
  return sinkhorn(Problem<typename X::Scalar>{.x = xs, .y = ys}, options);
}

// With weights.
template <class X, class Y>
SinkhornResult sinkhorn(const Eigen::MatrixBase<X>& x, const Eigen::MatrixBase<Y>& y, const Eigen::VectorXd& a,
                        const Eigen::VectorXd& b, const SinkhornOptions& options = {}) {
  const EigenRows<X> xs(x);
  const EigenRows<Y> ys(y);
  return sinkhorn(Problem<typename X::Scalar>{.x = xs, .y = ys, .a = {a.data(), a.size()}, .b = {b.data(), b.size()}},
                  options);
}

template <class X, class Y>
DivergenceResult divergence(const Eigen::MatrixBase<X>& x, const Eigen::MatrixBase<Y>& y,
                            const SinkhornOptions& options = {}) {
  const EigenRows<X> xs(x);
  const EigenRows<Y> ys(y);
  return divergence(Problem<typename X::Scalar>{.x = xs, .y = ys}, options);
}

template <class X, class Y>
AssignmentResult assign(const Eigen::MatrixBase<X>& x, const Eigen::MatrixBase<Y>& y,
                        const AssignmentOptions& options = {}) {
  const EigenRows<X> xs(x);
  const EigenRows<Y> ys(y);
  return assign(MatrixView<const typename X::Scalar>(xs), MatrixView<const typename Y::Scalar>(ys), options);
}

template <class X, class Y>
SlicedResult sliced(const Eigen::MatrixBase<X>& x, const Eigen::MatrixBase<Y>& y, const SlicedOptions& options = {}) {
  const EigenRows<X> xs(x);
  const EigenRows<Y> ys(y);
  return sliced(MatrixView<const typename X::Scalar>(xs), MatrixView<const typename Y::Scalar>(ys), options);
}

template <class Y>
SemidiscreteResult semidiscrete(const Eigen::MatrixBase<Y>& y, const SemidiscreteOptions& options = {}) {
  const EigenRows<Y> ys(y);
  return semidiscrete(MatrixView<const float>(ys), {}, options);
}

// Potentials, masses and weights as Eigen sees them, in place.
inline Eigen::Map<const Eigen::VectorXd> as_eigen(const std::vector<double>& v) {
  return {v.data(), static_cast<Eigen::Index>(v.size())};
}

// A matrix of monge's as Eigen sees it, in place.
template <class T>
Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> as_eigen(const Matrix<T>& x) {
  return {x.data(), x.rows(), x.cols()};
}

}  // namespace monge::ot
