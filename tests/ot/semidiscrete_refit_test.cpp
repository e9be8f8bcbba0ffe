// Potentials carried over to a cloud that has changed.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "monge/ot/matcher.h"
#include "semidiscrete_truth.h"

namespace monge::ot {
namespace {

using namespace truth;

// Rows of y, and whatever is appended.
Matrix<float> rows(MatrixView<const float> y, const std::vector<Index>& which, MatrixView<const float> more = {}) {
  Matrix<float> out(static_cast<Index>(which.size()) + more.rows, y.cols);
  for (Index i = 0; i < out.rows(); ++i) {
    const Index own = static_cast<Index>(which.size());
    std::copy_n(i < own ? y.row(which[static_cast<std::size_t>(i)]) : more.row(i - own), y.cols, out.view().row(i));
  }
  return out;
}

std::vector<Index> all(Index n) {
  std::vector<Index> out(static_cast<std::size_t>(n));
  std::iota(out.begin(), out.end(), Index{0});
  return out;
}

std::vector<std::int32_t> same(Index n) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(n));
  std::iota(out.begin(), out.end(), 0);
  return out;
}

void expect_fits(MatrixView<const float> y, const SemidiscreteResult& r, VectorView<const double> b = {}) {
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_LE(r.marginal.upper, 0.05);
  const MarginalError fresh = marginal_error(*pass_matcher(y, r.potentials), y.rows, y.cols, 10 * y.rows, 99, b);
  EXPECT_LE(fresh.lower, 0.05);
}

class Refit : public testing::Test {
 protected:
  static constexpr Index n = 3000, d = 8;
  static void SetUpTestSuite() {
    y_ = new Matrix<float>(normal_cloud(n, d, 1));
    first_ = new SemidiscreteResult(semidiscrete(y_->view(), {}, {.seed = 1}));
  }
  static void TearDownTestSuite() {
    delete y_;
    delete first_;
  }
  static MatrixView<const float> y() { return y_->view(); }
  static const SemidiscreteResult& first() { return *first_; }

 private:
  static Matrix<float>* y_;
  static SemidiscreteResult* first_;
};
Matrix<float>* Refit::y_ = nullptr;
SemidiscreteResult* Refit::first_ = nullptr;

TEST_F(Refit, OfTheSameAtomsIsALook) {
  ASSERT_EQ(first().status, Status::converged);
  const SemidiscreteResult r = refit(y(), first().potentials, same(n), {}, {.seed = 2});
  expect_fits(y(), r);
  // A batch to measure the gap and a look or two of some five samples per atom each; the first fit may have had a look
  // at its start.
  EXPECT_LT(r.samples_per_atom, 0.65 * first().samples_per_atom);
}

TEST_F(Refit, AfterAtomsWereRemovedAndAdded) {
  std::vector<Index> kept;
  for (Index j = 0; j < n; ++j)
    if (j % 20 != 3) kept.push_back(j);
  const Matrix<float> more = normal_cloud(120, d, 7), now = rows(y(), kept, more.view());
  const std::vector<std::int32_t> origin = origin_of(now.view(), y());
  for (std::size_t i = 0; i < kept.size(); ++i) ASSERT_EQ(origin[i], kept[i]);
  for (std::size_t i = kept.size(); i < origin.size(); ++i) ASSERT_EQ(origin[i], -1);
  const SemidiscreteResult r = refit(now.view(), first().potentials, origin, {}, {.seed = 2});
  expect_fits(now.view(), r);
  EXPECT_LT(r.samples_per_atom, 0.8 * semidiscrete(now.view(), {}, {.seed = 2}).samples_per_atom);
}

TEST_F(Refit, UnderOtherWeights) {
  std::vector<double> b(static_cast<std::size_t>(n), 1.0);
  for (std::size_t j = 0; j < b.size(); j += 10) b[j] = 1.5;
  b[5] = 0;
  const SemidiscreteResult r = refit(y(), first().potentials, same(n), b, {.seed = 2});
  expect_fits(y(), r, b);
  EXPECT_EQ(r.dropped, 1);
  EXPECT_EQ(r.potentials.g[5], -HUGE_VAL);
  // And back: atom 5 has no potential to start from.
  const SemidiscreteResult back = refit(y(), r.potentials, same(n), {}, {.seed = 3});
  expect_fits(y(), back);
  EXPECT_TRUE(std::isfinite(back.potentials.g[5]));
}

TEST_F(Refit, OfNothingKnownIsAFit) {
  const Matrix<float> other = normal_cloud(500, d, 30);
  const SemidiscreteResult r = refit(other.view(), first().potentials, origin_of(other.view(), y()), {}, {.seed = 2});
  expect_fits(other.view(), r);
}

TEST(RefitOptions, AreThoseOfThePotentials) {
  Matrix<float> y = normal_cloud(400, 12, 3);
  for (Index i = 0; i < 400; ++i)
    for (Index k = 4; k < 12; ++k) y(i, k) *= 0.1f;
  std::vector<std::int32_t> labels(400);
  for (std::size_t j = 0; j < labels.size(); ++j) labels[j] = static_cast<std::int32_t>(j % 2);
  const SemidiscreteResult first = semidiscrete(
      y.view(), {},
      {.cost = Cost::squared_euclidean, .epsilon = 0.1, .pca = 4, .labels = labels, .label_penalty = 3, .tau = 50});
  std::vector<Index> kept = all(400);
  kept.erase(kept.begin() + 100, kept.begin() + 110);
  const Matrix<float> now = rows(y.view(), kept);
  std::vector<std::int32_t> fewer;
  for (const Index j : kept) fewer.push_back(labels[static_cast<std::size_t>(j)]);
  const SemidiscreteResult r = refit(now.view(), first.potentials, origin_of(now.view(), y.view()), {},
                                     {.epsilon = 7, .pca = 2, .labels = fewer});
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_EQ(r.potentials.cost, Cost::squared_euclidean);
  EXPECT_EQ(r.potentials.epsilon, 0.1);
  EXPECT_EQ(r.potentials.label_penalty, 3);
  EXPECT_EQ(r.potentials.tau, 50);
  EXPECT_EQ(r.potentials.labels, fewer);
  ASSERT_TRUE(r.potentials.pca);
  for (Index k = 0; k < 4 * 12; ++k)
    ASSERT_EQ(r.potentials.pca->basis.data()[k], first.potentials.pca->basis.data()[k]);
  EXPECT_LE(r.samples_per_atom, first.samples_per_atom);
}

TEST(Origin, IsTheFirstEqualRow) {
  const std::vector<float> before = {1, 2, 0, 5, 1, 2, -0.0f, 7}, now = {0, 7, 1, 2, -0.0f, 5, 3, 3};
  const MatrixView<const float> old(before.data(), 4, 2), y(now.data(), 4, 2);
  EXPECT_EQ(origin_of(y, old), (std::vector<std::int32_t>{3, 0, 1, -1}));
  EXPECT_EQ(origin_of(y, {before.data(), 0, 2}), (std::vector<std::int32_t>{-1, -1, -1, -1}));
  EXPECT_TRUE(origin_of({now.data(), 0, 2}, old).empty());
  expect_error(Errc::invalid_argument, "origin_of", [&] { origin_of({now.data(), 8, 1}, old); });
}

TEST(RefitErrors, SayWhatDoesNotFit) {
  const Matrix<float> y = normal_cloud(20, 3, 1), wide = normal_cloud(20, 4, 1);
  const SemidiscretePotentials p = semidiscrete(y.view(), {}, {.max_samples_per_atom = 1, .pca = 2}).potentials;
  std::vector<std::int32_t> origin = same(20);
  const auto call = [&](MatrixView<const float> points) { return [&, points] { refit(points, p, origin); }; };
  expect_error(Errc::invalid_argument, "refit: 20 origins for 19 atoms", call(y.view().rows_from(0, 19)));
  expect_error(Errc::invalid_argument, "4 dimensions", call(wide.view()));
  origin[4] = 20;
  expect_error(Errc::invalid_argument, "atom 4 was atom 20 of 20", call(y.view()));
  origin[4] = -2;
  expect_error(Errc::invalid_argument, "atom 4 was atom -2", call(y.view()));
}

// What a start is worth is no sample drawn: a limit below it leaves the fit its turns.
TEST(RefitErrors, ALimitCountsWhatIsDrawn) {
  const Matrix<float> y = normal_cloud(400, 6, 1);
  const SemidiscreteResult r =
      semidiscrete(y.view(), {}, {.tolerance = 1e-4, .max_samples_per_atom = 20, .check_samples = 1024});
  EXPECT_EQ(r.status, Status::iteration_limit);
  EXPECT_GE(r.samples_per_atom, 20);
}

}  // namespace
}  // namespace monge::ot
