// Eigen matrices, however they lie in memory, give what views of the same numbers give.
#include "monge/ot/eigen.h"

#include <gtest/gtest.h>

#include "naive_plan.h"

namespace monge::ot {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

TEST(Eigen, MatricesOfAnyLayoutAreTheirRows) {
  const Matrix<float> x = cloud<float>(60, 3, 1), y = cloud<float>(80, 3, 2);
  const SinkhornResult expected = sinkhorn(x.view(), y.view());
  const RowMajor rows = as_eigen(x), ys = as_eigen(y);
  const Eigen::MatrixXf columns = rows;
  RowMajor wide(100, 7);
  wide.setConstant(NAN);
  wide.block(5, 2, 60, 3) = rows;

  EXPECT_EQ(sinkhorn(rows, ys).f, expected.f);
  EXPECT_EQ(sinkhorn(columns, ys).f, expected.f);
  EXPECT_EQ(sinkhorn(wide.block(5, 2, 60, 3), ys).f, expected.f);
  EXPECT_EQ(sinkhorn(Eigen::Map<const RowMajor>(x.data(), 60, 3), ys).f, expected.f);
  EXPECT_EQ(sinkhorn(2 * rows - rows, ys).f, expected.f);

  const EigenRows<RowMajor> read(rows);
  EXPECT_EQ((MatrixView<const float>(read).data), rows.data());  // in place
}

TEST(Eigen, EverySolverTakesThem) {
  const Matrix<double> x = cloud<double>(40, 2, 1), y = cloud<double>(40, 2, 2);
  const Eigen::MatrixXd xs = as_eigen(x), ys = as_eigen(y);
  EXPECT_EQ(assign(xs, ys).columns, assign(x.view(), y.view()).columns);
  EXPECT_EQ(sliced(xs, ys).distance, sliced(x.view(), y.view()).distance);
  EXPECT_EQ(divergence(xs, ys).divergence, divergence({.x = x.view(), .y = y.view()}).divergence);
  const Eigen::MatrixXf atoms = ys.cast<float>();
  EXPECT_EQ(semidiscrete(atoms).status, Status::converged);
  EXPECT_EQ(semidiscrete(ys.cast<float>()).status, Status::converged);  // an expression

  const Weights a = random_weights(40, 3), b = random_weights(40, 4);
  const SinkhornResult weighted = sinkhorn(xs, ys, as_eigen(a), as_eigen(b));
  EXPECT_EQ(weighted.g, sinkhorn({.x = x.view(), .y = y.view(), .a = a, .b = b}).g);
  EXPECT_EQ(as_eigen(weighted.g).size(), 40);
  EXPECT_EQ(as_eigen(weighted.g)[7], weighted.g[7]);
}

}  // namespace
}  // namespace monge::ot
