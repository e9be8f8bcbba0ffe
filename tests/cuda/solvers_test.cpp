// Solvers, unchanged, on the CUDA room.
#include <cmath>

#include "../ot/passes_problem.h"
#include "monge/ot/sinkhorn.h"
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
    options.context.device = {DeviceType::cuda, 0};
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

TEST_F(CudaSolversTest, SinkhornStoresNothingOnADevice) {
  const Matrix<float> x(3, 2);
  const Problem<float> problem{.x = x.view(), .y = x.view()};
  SinkhornOptions options{.storage = Storage::store};
  options.context.device = {DeviceType::cuda, 0};
  EXPECT_THROW(sinkhorn(problem, options), Error);
}

}  // namespace
}  // namespace monge::ot
