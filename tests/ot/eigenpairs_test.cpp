// Leading eigenpairs of matrices whose eigenpairs are known: a diagonal between reflections.
#include "monge/ot/eigenpairs.h"

#include <gtest/gtest.h>

#include <Eigen/Core>
#include <chrono>
#include <cmath>
#include <functional>

#include "monge/ot/core/random.h"
#include "monge/ot/core/stop.h"

namespace monge::ot::detail {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Known {
  Eigen::VectorXd values;  // descending
  RowMajor vectors, matrix;

  MatrixView<const double> view() const { return {matrix.data(), matrix.rows(), matrix.cols()}; }
};

Known known(Index n, const std::function<double(double)>& value) {
  Known k{Eigen::VectorXd(n), RowMajor::Identity(n, n), {}};
  for (Index i = 0; i < n; ++i) k.values(i) = value(static_cast<double>(i));
  k.matrix = k.values.asDiagonal();
  for (const std::uint64_t seed : {1u, 2u}) {
    Eigen::VectorXd u(n);
    fill_normal(Rng{seed}, 0, VectorView<double>(u.data(), n));
    u.normalize();
    k.vectors -= 2 * k.vectors * u * u.transpose();
    k.matrix -= 2 * k.matrix * u * u.transpose();
    k.matrix -= 2 * u * (u.transpose() * k.matrix);
  }
  k.matrix = ((k.matrix + k.matrix.transpose()) / 2).eval();
  return k;
}

constexpr Index n = 1100, wanted = 6;  // large enough to be iterated

double decaying(double i) { return std::pow(i + 1, -1.5); }
double edge_of_noise(double i) { return 1 - 0.3 * std::pow(i / n, 2.0 / 3); }  // covariances of plain noise end so
double nearly_flat(double i) { return 1 - 1e-6 * i / n; }

// A residual r says no more of a space than r / gap, of its eigenvalues than r; rounding leaves as much.
void expect_known(const Eigenpairs& pairs, const Known& k, double residual) {
  ASSERT_EQ(pairs.values.size(), static_cast<std::size_t>(wanted));
  const Eigen::Map<const RowMajor> v(pairs.vectors.data(), wanted, n);
  for (Index i = 0; i < wanted; ++i) EXPECT_NEAR(pairs.values[static_cast<std::size_t>(i)], k.values(i), residual);
  EXPECT_LT((v * v.transpose() - RowMajor::Identity(wanted, wanted)).norm(), 1e-13);
  const RowMajor off = v - v * k.vectors.topRows(wanted).transpose() * k.vectors.topRows(wanted);
  EXPECT_LT(off.norm(), std::sqrt(wanted) * residual / (k.values(wanted - 1) - k.values(wanted)));
}

TEST(Eigenpairs, AreFoundByIteration) {
  for (const auto& spectrum : {decaying, edge_of_noise}) {
    const Known k = known(n, spectrum);
    const std::optional<Eigenpairs> pairs = iterated_eigenpairs(k.view(), wanted, {});
    ASSERT_TRUE(pairs);
    expect_known(*pairs, k, 1.1e-12);
  }
}

TEST(Eigenpairs, AreLeftToLapackWhereIterationTakesLonger) {
  const Known k = known(n, nearly_flat);
  EXPECT_FALSE(iterated_eigenpairs(k.view(), wanted, {}));
  expect_known(leading_eigenpairs(k.view(), wanted, {}), k, 1e-13);
}

TEST(Eigenpairs, OfMatricesOfLowRankAndOfNone) {
  for (const double rank : {0, 3, 15}) {
    const Known k = known(n, [&](double i) { return i < rank ? 1 / (i + 1) : 0.0; });
    const std::optional<Eigenpairs> pairs = iterated_eigenpairs(k.view(), wanted, {});
    ASSERT_TRUE(pairs);
    const Eigen::Map<const RowMajor> v(pairs->vectors.data(), wanted, n);
    EXPECT_LT((v * v.transpose() - RowMajor::Identity(wanted, wanted)).norm(), 1e-13);
    for (Index i = 0; i < wanted; ++i) {
      EXPECT_NEAR(pairs->values[static_cast<std::size_t>(i)], k.values(i), 1e-12);
      EXPECT_LT((v.row(i) * k.matrix - k.values(i) * v.row(i)).norm(), 2e-12);
    }
  }
}

TEST(Eigenpairs, DoNotDependOnThreads) {
  const Known k = known(n, decaying);
  const Eigenpairs one = leading_eigenpairs(k.view(), wanted, {.threads = 1});
  for (const int threads : {2, 3}) {
    const Eigenpairs more = leading_eigenpairs(k.view(), wanted, {.threads = threads});
    EXPECT_EQ(more.values, one.values);
    EXPECT_TRUE(std::equal(one.vectors.data(), one.vectors.data() + wanted * n, more.vectors.data()));
  }
}

// Whenever it comes: before the start, and at its deadline, in the midst of iterations that would take far longer.
TEST(Eigenpairs, HeedAStop) {
  const Known k = known(n, nearly_flat);
  for (const int microseconds : {0, 3000}) {
    const Stop stop({}, Stop::Clock::now() + std::chrono::microseconds(microseconds));
    EXPECT_FALSE(finishes([&] { iterated_eigenpairs(k.view(), wanted, {.stop = &stop}); }));
    EXPECT_FALSE(finishes([&] { leading_eigenpairs(k.view(), wanted, {.stop = &stop}); }));
    EXPECT_FALSE(finishes([&] { dense_eigenpairs(k.view(), wanted, {.stop = &stop}); }));
  }
}

TEST(Orthonormalise, KeepsWhatTheFirstRowsSpan) {
  Matrix<double> rows(4, 9);
  fill_normal(Rng{3}, 0, VectorView<double>(rows.data(), 36));
  for (Index c = 0; c < 9; ++c) rows(2, c) = rows(0, c) - 1e5 * rows(1, c);  // no direction of its own
  Eigen::Map<RowMajor> v(rows.data(), 4, 9);
  const RowMajor before = v;
  orthonormalise(rows);
  EXPECT_LT((v * v.transpose() - RowMajor::Identity(4, 4)).norm(), 1e-14);
  for (Index j = 1; j <= 4; ++j) {
    const RowMajor first = v.topRows(j), left = before.topRows(j) - before.topRows(j) * first.transpose() * first;
    EXPECT_LT(left.norm(), 1e-15 * 9 * before.topRows(j).norm()) << j;
  }
}

}  // namespace
}  // namespace monge::ot::detail
