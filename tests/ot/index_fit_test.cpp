#include "monge/ot/index_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "monge/ot/core/error.h"

namespace monge::ot {
namespace {

// Clusters: approximate indices are at their worst between them.
Matrix<float> clusters(Index n, Index d) {
  Matrix<float> y(n, d), centres(12, d);
  fill_normal(Rng{1}, 0, {y.data(), n * d});
  fill_normal(Rng{2}, 0, {centres.data(), 12 * d});
  for (Index i = 0; i < n; ++i)
    for (Index k = 0; k < d; ++k) y(i, k) = 0.5f * y(i, k) + centres(i % 12, k);
  return y;
}

// An index that misses some best atoms gives them too little; potentials fitted through it make up for that, for every
// index of the same options.
TEST(IndexFit, GivesTheMassesThroughAnApproximateIndex) {
  constexpr Index n = 1500, d = 24, samples = 60000;
  const Matrix<float> y = clusters(n, d);
  const SemidiscreteResult exact = semidiscrete(y.view());
  const FaissOptions index{.index = FaissIndex::ivf, .lists = 32, .probes = 4};
  const auto before = faiss_matcher(y.view(), exact.potentials, index);
  const MarginalError off = marginal_error(*before, n, d, samples, 5);
  ASSERT_GT(off.lower, 0.05);  // or there is nothing to show

  const SemidiscreteResult fit = fit_to_index(y.view(), exact.potentials, index);
  ASSERT_EQ(fit.status, Status::converged);
  EXPECT_LE(fit.marginal.upper, 0.05);
  EXPECT_GT(fit.samples_per_atom, 0);
  const auto after = faiss_matcher(y.view(), fit.potentials, index);
  const MarginalError fresh = marginal_error(*after, n, d, samples, 5);
  EXPECT_LE(fresh.lower, 0.05);
  EXPECT_LE(fresh.chi2, 0.06);  // the interval's end has a spread of its own

  // Any potentials bound the optimum from below, and no plan of the right masses is cheaper than the bound.
  EXPECT_LE(fit.certificate.lower, exact.certificate.upper);
  EXPECT_LE(exact.certificate.lower, fit.certificate.upper);
  EXPECT_GT(fit.cost + fit.cost_error, fit.certificate.lower);
}

TEST(IndexFit, AnExactIndexHasNothingToMakeUpFor) {
  const Matrix<float> y = clusters(400, 8);
  const SemidiscreteResult exact = semidiscrete(y.view(), {}, {.cost = Cost::squared_euclidean});
  const SemidiscreteResult fit = fit_to_index(y.view(), exact.potentials, {.index = FaissIndex::flat});
  EXPECT_EQ(fit.status, Status::converged);
  EXPECT_EQ(fit.samples_per_atom, 0);
  for (std::size_t j = 0; j < exact.potentials.g.size(); ++j)
    EXPECT_NEAR(fit.potentials.g[j], exact.potentials.g[j], 1e-4) << j;  // recentred
  EXPECT_NEAR(fit.cost, exact.cost, fit.cost_error + exact.cost_error);
}

TEST(IndexFit, RepeatsItself) {
  const Matrix<float> y = clusters(600, 12);
  const SemidiscreteResult exact = semidiscrete(y.view());
  const FaissOptions index{.index = FaissIndex::hnsw, .links = 4, .search_width = 4};
  SemidiscreteOptions options{.max_samples_per_atom = 4};
  options.context.threads = 1;
  const SemidiscreteResult one = fit_to_index(y.view(), exact.potentials, index, options);
  options.context.threads = 2;
  const SemidiscreteResult two = fit_to_index(y.view(), exact.potentials, index, options);
  EXPECT_EQ(one.potentials.g, two.potentials.g);
  EXPECT_EQ(one.marginal.chi2, two.marginal.chi2);
}

TEST(IndexFit, RefusesWhatAnIndexCannotDo) {
  const Matrix<float> y = clusters(100, 4);
  SemidiscretePotentials potentials;
  potentials.g.assign(100, 0.0);
  potentials.epsilon = 0.1;
  EXPECT_THROW(fit_to_index(y.view(), potentials, {}), Error);
  potentials.epsilon = 0;
  EXPECT_THROW(fit_to_index(y.view(), potentials, {.probes = 0}), Error);
  EXPECT_THROW(fit_to_index(y.view(), potentials, {}, {.tolerance = 0}), Error);
  potentials.labels.assign(100, 1);
  potentials.noise_labels = {{1, 1.0}};
  EXPECT_THROW(fit_to_index(y.view(), potentials, {}), Error);
}

}  // namespace
}  // namespace monge::ot
