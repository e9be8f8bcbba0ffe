#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "monge/flow/semidiscrete_coupling.h"
#include "monge/flow/train.h"
#include "monge/ot/core/random.h"

// Every allocation of this test program is counted, those of the library's buffers included.
namespace {
std::atomic<long> allocations{0};
}
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes == 0 ? 1 : bytes)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  ++allocations;
  if (void* p = memalign(static_cast<std::size_t>(alignment), bytes)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  ++allocations;
  return memalign(alignment, bytes);
}

namespace monge::flow {
namespace {

constexpr Index points = 500, dimensions = 37;

// Steps with pairs from `coupling`, made for the points of `data`.
void expect_no_allocations(const Matrix<float>& data, Coupling& coupling) {
  Trainer trainer({.model = {.width = 300, .blocks = 2}, .batch = 150, .context = {.threads = 2}}, data.view(),
                  coupling);
  VelocityModel model(trainer.options().model, trainer.weights(), 64, {.threads = 2});
  Matrix<float> x(100, dimensions), v(100, dimensions);
  fill_normal(Rng{2, 0}, 0, VectorView<float>(x.data(), 100 * dimensions));
  trainer.step();
  model(0.5, x.view(), v.view());

  const long untouched = allocations;
  { const Matrix<float> buffer(3, 3); }
  const long before = allocations;
  ASSERT_GT(before, untouched) << "buffers are not counted";
  for (int k = 0; k < 5; ++k) trainer.step();
  model.set_weights(trainer.ema());
  model(0.7, x.view(), v.view());
  EXPECT_EQ(allocations - before, 0);
}

Matrix<float> normal_points() {
  Matrix<float> data(points, dimensions);
  fill_normal(Rng{21, 0}, 0, VectorView<float>(data.data(), points * dimensions));
  return data;
}

TEST(Allocations, NoneAfterTheFirstStep) {
  const Matrix<float> data = normal_points();
  expect_no_allocations(data, *independent_coupling(points, 9, {.threads = 2}));
}

// Two times, derivatives along them, classes, dropout, noise on the path, states that follow the weights.
TEST(Allocations, NoneForAnyObjective) {
  const Matrix<float> data = normal_points();
  const auto coupling = independent_coupling(points, 9, {.threads = 2});
  const std::vector<std::int32_t> labels(points, 1);
  TrainingData labelled(data.view());
  labelled.labels = labels;
  for (const ObjectiveKind kind : {ObjectiveKind::neural_flow, ObjectiveKind::fmm, ObjectiveKind::lsd,
                                   ObjectiveKind::psd, ObjectiveKind::mean_flow}) {
    const bool flow = kind == ObjectiveKind::neural_flow;
    TrainOptions options{.model = {.width = 30, .blocks = 2, .classes = 3, .dropout = 0.1},
                         .objective = {.kind = kind},
                         .batch = 50,
                         .context = {.threads = 2}};
    options.model.path.noise = 0.1;
    if (flow) options.model.network = Network::residual_flow;
    Trainer trainer(options, labelled, *coupling);
    trainer.step();
    const long before = allocations;
    for (int k = 0; k < 3; ++k) trainer.step();
    EXPECT_EQ(allocations - before, 0) << static_cast<int>(kind);
  }
}

// As long as a pool of noise lasts; filling the next one takes scratch memory.
TEST(Allocations, NoneAfterTheFirstSemidiscreteStep) {
  const Matrix<float> data = normal_points();
  const ot::SemidiscretePotentials potentials{.g = std::vector<double>(points, 0.0), .b = {}, .pca = {}};
  expect_no_allocations(data, *semidiscrete_coupling(data.view(), potentials, {.context = {.threads = 2}}));
}

}  // namespace
}  // namespace monge::flow
