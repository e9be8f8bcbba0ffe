// Solvers, unchanged, on the CUDA room.
#include <cmath>

#include "../ot/passes_problem.h"
#include "monge/ot/matcher.h"
#include "monge/ot/plan.h"
#include "monge/ot/semidiscrete.h"
#include "monge/ot/sinkhorn.h"
#include "monge/ot/sinkhorn_solver.h"
#include "monge/ot/source.h"
#include "rooms.h"

namespace monge::ot {
namespace {

class CudaSolversTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    if (!cuda_room(&why)) GTEST_SKIP() << why;
  }
};

// Both rooms solve the same problem: potentials, costs, and certificates that overlap, as both hold the optimum.
TEST_F(CudaSolversTest, SinkhornGivesWhatTheCpuGives) {
  struct Setting {
    Index n, m, d;
    Cost cost;
  };
  for (const Setting& c : {Setting{37, 50, 3, Cost::squared_euclidean}, Setting{40, 33, 20, Cost::squared_euclidean},
                           Setting{30, 30, 12, Cost::euclidean}}) {
    SCOPED_TRACE(concat(c.n, " x ", c.m, " d=", c.d, " ", to_string(c.cost)));
    Matrix<float> x(c.n, c.d), y(c.m, c.d);
    fill_normal(Rng{1}, 0, {x.data(), c.n * c.d});
    fill_normal(Rng{2}, 0, {y.data(), c.m * c.d});
    for (Index j = 0; j < c.m * c.d; ++j) y.data()[j] = 0.5f * y.data()[j] + 1;
    SinkhornOptions options{.epsilon = 0.1, .tolerance = 1e-4};
    const Problem<float> problem{.x = x.view(), .y = y.view(), .cost = c.cost};
    const SinkhornResult there = sinkhorn(problem, options);
    options.context.device = cuda_device();
    const SinkhornResult here = sinkhorn(problem, options);
    EXPECT_EQ(here.status, Status::converged);
    // A marginal error of 1e-4 leaves costs free by about that share.
    EXPECT_NEAR(here.cost, there.cost, 1e-3 * there.cost);
    ASSERT_EQ(here.certificate.kind, Certificate::Kind::proven);
    EXPECT_LE(here.certificate.lower, there.certificate.upper);
    EXPECT_LE(there.certificate.lower, here.certificate.upper);
    EXPECT_NEAR(here.certificate.upper, there.certificate.upper, 2e-3 * there.cost);
    EXPECT_NEAR(here.certificate.lower, there.certificate.lower, 2e-3 * there.cost);
  }
}

// Scores that are kept there are those that are made there, and a plan is what it is on the CPU.
TEST_F(CudaSolversTest, SinkhornKeepsScoresOnADevice) {
  Matrix<float> x(30, 12), y(41, 12), matrix(30, 41);
  fill_normal(Rng{1}, 0, {x.data(), 30 * 12});
  fill_normal(Rng{2}, 0, {y.data(), 41 * 12});
  fill_normal(Rng{3}, 0, {matrix.data(), 30 * 41});
  std::vector<std::int32_t> rows(30), cols(41);
  for (std::size_t k = 0; k < cols.size(); ++k) cols[k] = rows[k % 30] = static_cast<std::int32_t>(k % 3);
  Problem<float> products{.x = x.view(), .y = y.view()}, distances = products, labelled = products;
  distances.cost = Cost::euclidean;
  labelled.x_labels = rows, labelled.y_labels = cols, labelled.label_penalty = 3;
  Problem<float> dense{.cost_matrix = matrix.view()}, both = dense;
  both.x_labels = rows, both.y_labels = cols, both.label_penalty = 0.5;
  for (const Problem<float>& problem : {products, distances, labelled, dense, both}) {
    SinkhornOptions options{.epsilon = 0.1, .tolerance = 1e-5, .storage = Storage::recompute};
    options.context.device = cuda_device();
    const SinkhornResult made = sinkhorn(problem, options);
    options.storage = Storage::store;
    const SinkhornResult kept = sinkhorn(problem, options);
    EXPECT_EQ(kept.status, Status::converged);
    EXPECT_NEAR(kept.cost, made.cost, 1e-4 * std::abs(made.cost));
    EXPECT_LE(kept.certificate.lower, made.certificate.upper);
    EXPECT_LE(made.certificate.lower, kept.certificate.upper);
    Matrix<double> here(problem.rows(), problem.cols()), there(problem.rows(), problem.cols());
    Plan(problem, kept, {}).to_dense(here.view());
    Plan(problem, kept, options.context).to_dense(there.view());
    for (Index k = 0; k < here.rows() * here.cols(); ++k) EXPECT_NEAR(here.data()[k], there.data()[k], 1e-6) << k;
  }
}

TEST_F(CudaSolversTest, BatchesOfSinkhornAreTheirProblems) {
  Matrix<float> x(60, 3), y(60, 3);
  fill_normal(Rng{1}, 0, {x.data(), 60 * 3});
  fill_normal(Rng{2}, 0, {y.data(), 60 * 3});
  std::vector<Problem<float>> problems;
  for (Index k = 0; k < 3; ++k)
    problems.push_back(
        {.x = std::as_const(x).view().rows_from(20 * k, 20), .y = std::as_const(y).view().rows_from(20 * k, 20)});
  SinkhornOptions options;
  options.context.device = cuda_device();
  options.context.threads = is_emulated() ? 1 : 2;  // the emulator's work is one thread's
  const std::vector<SinkhornResult> all = sinkhorn(problems, options);
  for (std::size_t k = 0; k < 3; ++k) {
    const SinkhornResult one = sinkhorn(problems[k], options);
    EXPECT_EQ(all[k].f, one.f);
    EXPECT_EQ(all[k].cost, one.cost);
  }
}

template <class T>
bool keeps_there(Index d, Cost cost, SinkhornOptions options, bool dense = false) {
  Matrix<T> x(2, d), matrix(2, 2);
  std::fill_n(x.data(), 2 * d, T(0)), std::fill_n(matrix.data(), 4, T(1));
  x(0, 0) = 1, x(1, 0) = -1;
  Problem<T> problem{.x = x.view(), .y = x.view(), .cost = cost};
  if (dense) problem = {.cost_matrix = matrix.view()};
  options.context.device = cuda_device();
  detail::Geometry<T> geometry(problem);
  detail::store_if_worthwhile(geometry, problem.dims(), options);
  const Scores<T> scores = geometry.scores({});
  return scores.is_stored() && scores.stored.device == cuda_device();
}

TEST_F(CudaSolversTest, ScoresAreKeptWhereTheyAreDear) {
  EXPECT_FALSE(keeps_there<float>(300, Cost::squared_euclidean, {}));
  EXPECT_TRUE(keeps_there<float>(301, Cost::squared_euclidean, {}));
  EXPECT_FALSE(keeps_there<float>(301, Cost::squared_euclidean, {.storage = Storage::recompute}));
  EXPECT_TRUE(keeps_there<float>(2, Cost::squared_euclidean, {.storage = Storage::store}));
  EXPECT_FALSE(keeps_there<float>(32, Cost::l1, {}));
  EXPECT_TRUE(keeps_there<float>(33, Cost::l1, {}));
  EXPECT_TRUE(keeps_there<double>(33, Cost::squared_euclidean, {}));
  EXPECT_FALSE(keeps_there<double>(33, Cost::squared_euclidean, {.storage_bytes = 31}));
  EXPECT_TRUE(keeps_there<double>(33, Cost::squared_euclidean, {.storage_bytes = 32}));
  EXPECT_TRUE(keeps_there<float>(1, Cost::squared_euclidean, {}, true));
}

TEST_F(CudaSolversTest, ScoresThatDoNotFitAreMadeAnew) {
  Matrix<float> matrix(60, 50);
  fill_normal(Rng{3}, 0, {matrix.data(), 60 * 50});
  const Problem<float> problem{.cost_matrix = matrix.view()};
  SinkhornOptions options{.epsilon = 0.1};
  options.context.device = cuda_device();
  const SinkhornResult kept = sinkhorn(problem, options);
  options.storage_bytes = 4 * 60 * 50 - 1;
  const SinkhornResult copied = sinkhorn(problem, options);
  EXPECT_NEAR(kept.cost, copied.cost, 1e-5 * std::abs(copied.cost));
}

// The same noise, and scores that differ by their rounding alone: fits go the same way, so far as rounding does not
// send a row elsewhere.
TEST_F(CudaSolversTest, SemidiscreteGivesWhatTheCpuGives) {
  struct Setting {
    Index atoms, d;
    double epsilon = 0;
    bool labelled = false;
  };
  for (const Setting& c : {Setting{16, 12}, Setting{12, 2, 20}, Setting{12, 3, 0, true}}) {
    SCOPED_TRACE(concat(c.atoms, " atoms d=", c.d, " epsilon=", c.epsilon));
    Matrix<float> y(c.atoms, c.d);
    fill_normal(Rng{3}, 0, {y.data(), c.atoms * c.d});
    std::vector<std::int32_t> labels(static_cast<std::size_t>(c.atoms));
    for (std::size_t j = 0; j < labels.size(); ++j) labels[j] = static_cast<std::int32_t>(j % 2);
    SemidiscreteOptions options{
        .cost = Cost::squared_euclidean, .epsilon = c.epsilon, .tolerance = 0.5, .check_samples = 1100};
    if (c.labelled) options.labels = labels, options.label_penalty = 2;
    const SemidiscreteResult there = semidiscrete(y.view(), {}, options);
    options.context.device = cuda_device();
    const SemidiscreteResult here = semidiscrete(y.view(), {}, options);
    EXPECT_EQ(here.status, there.status);
    EXPECT_EQ(here.marginal.samples, there.marginal.samples);
    EXPECT_NEAR(here.cost, there.cost, 0.02 * there.cost);
    EXPECT_NEAR(here.certificate.lower, there.certificate.lower, 0.02 * std::abs(there.cost));
    EXPECT_NEAR(here.certificate.upper, there.certificate.upper, 0.02 * std::abs(there.cost));
    // A row that goes elsewhere moves two potentials by a step over the samples so far.
    for (std::size_t j = 0; j < here.potentials.g.size(); ++j)
      EXPECT_NEAR(here.potentials.g[j], there.potentials.g[j], 0.1) << j;
    if (c.d == 12) {
      EXPECT_EQ(semidiscrete(y.view(), {}, options).potentials.g, here.potentials.g);  // every time
    }
  }
}

TEST_F(CudaSolversTest, SemidiscreteTakesLawsOfTheCaller) {
  Matrix<float> y(8, 2);
  fill_normal(Rng{4}, 0, {y.data(), 16});
  const SourceLaw uniform = [](const Rng& rng, std::uint64_t first, MatrixView<float> out) {
    for (Index i = 0; i < out.rows; ++i) {
      const Rng::Block words = rng.bits(first + static_cast<std::uint64_t>(i));
      for (Index k = 0; k < 2; ++k) out(i, k) = 4 * Rng::uniform(words.w[k]) - 2;
    }
  };
  SemidiscreteOptions options{.tolerance = 0.5, .check_samples = 1100};
  const SemidiscreteResult there = semidiscrete(y.view(), {}, options, uniform);
  options.context.device = cuda_device();
  const SemidiscreteResult here = semidiscrete(y.view(), {}, options, uniform);
  EXPECT_EQ(here.status, there.status);
  EXPECT_NEAR(here.cost, there.cost, 0.02 * std::abs(there.cost));
}

// Matching from noise of the CPU and of the device, into either; with duplicates, labels and epsilon.
TEST_F(CudaSolversTest, MatchersMeetTheSameAtoms) {
  const Device device = cuda_device();
  for (const Index d : {3, 20}) {
    for (const double epsilon : {0.0, 1.0}) {
      for (const bool doubled : {false, true}) {
        SCOPED_TRACE(concat("d=", d, " epsilon=", epsilon, doubled ? " with duplicates" : ""));
        const Index n = 150, rows = 140;
        Matrix<float> y(n, d), x(rows, d), x_there(rows, d, device);
        fill_normal(Rng{5}, 0, {y.data(), n * d});
        if (doubled) std::copy_n(y.data(), 10 * d, y.data() + 10 * d);
        draw({}, Rng{6}, 7, x.view(), {});
        draw({}, Rng{6}, 7, x_there.view(), {});
        SemidiscretePotentials p{.epsilon = epsilon, .g = std::vector<double>(n)};
        fill_normal(Rng{7}, 0, VectorView<double>(p.g));
        const auto there = pass_matcher(y.view(), p), here = pass_matcher(y.view(), p, {.device = device});
        std::vector<std::int32_t> expected(rows), got(rows);
        Buffer<std::int32_t> kept(rows, device);
        there->match(x.view(), Rng{8}, 100, expected);
        here->match(x.view(), Rng{8}, 100, got);
        Index moved = 0;  // those on an edge
        for (Index i = 0; i < rows; ++i) moved += got[i] != expected[i];
        EXPECT_LE(moved, 1);
        std::vector<std::int32_t> again(rows, -1);
        here->match(x_there.view(), Rng{8}, 100, kept.view());
        copy(kept.view(), VectorView<std::int32_t>(again));
        EXPECT_EQ(again, got);
        std::fill(again.begin(), again.end(), -1);
        here->match(x_there.view(), Rng{8}, 100, again);
        EXPECT_EQ(again, got);
      }
    }
  }
}

}  // namespace
}  // namespace monge::ot
