// Long work ends when it should: at a deadline, when a question is answered with no, and never otherwise.
#include "monge/ot/core/stop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/random.h"
#include "monge/ot/plan.h"
#include "monge/ot/sinkhorn.h"

namespace monge::ot {
namespace {

Matrix<float> cloud(Index n, Index d, std::uint64_t seed, float offset = 0) {
  Matrix<float> x(n, d);
  fill_normal(Rng{seed}, 0, {x.data(), n * d});
  for (Index k = 0; k < n * d; ++k) x.data()[k] += offset;
  return x;
}

using std::chrono::duration;
using std::chrono::milliseconds;

double now() { return duration<double>(Stop::Clock::now().time_since_epoch()).count(); }

// A pass over all pairs of them takes long: seconds, at least.
constexpr Index many = 200000;

TEST(Stop, EndsAtItsDeadlineAndCanBeRearmed) {
  Stop stop({}, Stop::Clock::now() + milliseconds(20));
  EXPECT_FALSE(stop.requested());
  std::this_thread::sleep_for(milliseconds(25));
  EXPECT_TRUE(stop.requested());
  EXPECT_FALSE(finishes([&] { stop.look(); }));
  stop.rearm(Stop::never);
  EXPECT_TRUE(finishes([&] { stop.look(); }));
  stop.request();
  EXPECT_FALSE(finishes([&] { stop.look(); }));
  EXPECT_THROW(finishes([] { throw Error(Errc::io, "another"); }), Error);
}

TEST(Stop, AsksTheThreadThatMadeItAndNoOther) {
  std::atomic<int> questions = 0, elsewhere = 0;
  const auto maker = std::this_thread::get_id();
  const Stop stop([&] {
    elsewhere += std::this_thread::get_id() != maker;
    return ++questions < 3;
  });
  Index done = 0;
  EXPECT_FALSE(finishes([&] {
    parallel_for(3, 1000, [&](Index, int worker) {
      std::this_thread::sleep_for(milliseconds(2));
      done += worker == 0;
      stop.look();
    });
  }));
  EXPECT_EQ(questions, 3);
  EXPECT_EQ(elsewhere, 0);
  EXPECT_LT(done, 900);
}

// Every pass leaves soon, and gives nothing.
TEST(StopPasses, EachEndsSoon) {
  const Matrix<float> x = cloud(many, 4, 1), y = cloud(many, 4, 2);
  const Matrix<float> wide = cloud(many, 24, 1), wide_y = cloud(many, 24, 2);
  Passes<float>& passes = passes_for<float>({});
  std::vector<float> out(many), ones(many, 1.0f);
  std::vector<double> f(many), mass(many), weights(many, 1.0);
  std::vector<std::int32_t> columns(many);
  Matrix<float> images(many, 4);
  Matrix<double> sums(many, 3);
  for (const bool few : {true, false}) {
    const Scores<float> s{.x = few ? x.view() : wide.view(), .y = few ? y.view() : wide_y.view()};
    const std::pair<const char*, std::function<void(const Context&)>> all[] = {
        {"softmin", [&](const Context& c) { passes.softmin(s, 1, out, c); }},
        {"hardmin",
         [&](const Context& c) {
           passes.hardmin(s, {out.data(), many, 1}, {columns.data(), many, 1}, c);
         }},
        {"sample", [&](const Context& c) { passes.sample(s, 1, Rng{1}, 0, columns, c); }},
        {"histogram",
         [&](const Context& c) {
           passes.histogram(s, 1, VectorView<const float>(ones), VectorView<const float>(ones), mass, c);
         }},
        {"apply", [&](const Context& c) { passes.apply(s, 1, y.view(), images.view(), c); }},
        {"balance", [&](const Context& c) { passes.balance(s, 1, weights, f, mass, c); }},
        {"energy", [&](const Context& c) { passes.energy(s, 1, f, {}, {}, sums.view(), c); }},
    };
    for (const auto& [name, pass] : all) {
      for (const int threads : {1, 2}) {
        const Stop stop({}, Stop::Clock::now() + milliseconds(30));
        const double begin = now();
        EXPECT_FALSE(finishes([&, &pass = pass] { pass({.threads = threads, .stop = &stop}); })) << name;
        EXPECT_LT(now() - begin, 1.0) << name << " on " << threads << " threads";
      }
    }
  }
}

TEST(StopSinkhorn, KeepsItsTimeLimitOnLargeClouds) {
  const Matrix<float> x = cloud(many, 3, 1), y = cloud(many, 3, 2);
  for (const Cost cost : {Cost::squared_euclidean, Cost::l1}) {  // of l1 the mean cost takes a pass, too
    const double begin = now();
    const auto r = sinkhorn(Problem<float>{.x = x.view(), .y = y.view(), .cost = cost}, {.max_seconds = 0.5});
    EXPECT_LT(now() - begin, 3);
    EXPECT_EQ(r.status, Status::time_limit);
    // Not one iteration was over: nothing is known, and nothing is made up.
    EXPECT_EQ(r.iterations, 0);
    EXPECT_TRUE(r.f.empty());
    EXPECT_TRUE(r.g.empty());
    EXPECT_FALSE(r.has_cost);
    EXPECT_EQ(r.certificate.kind, Certificate::Kind::none);
    EXPECT_THROW(Plan(Problem<float>{.x = x.view(), .y = y.view()}, r), Error);
  }
}

TEST(StopSinkhorn, TheCallerMayChangeItsMindDuringAPass) {
  const Matrix<float> x = cloud(many, 3, 1), y = cloud(many, 3, 2);
  std::atomic<bool> enough = false;
  std::jthread user([&] {
    std::this_thread::sleep_for(milliseconds(400));
    enough = true;
  });
  const double begin = now();
  const auto caller = std::this_thread::get_id();
  const auto r = sinkhorn(x.view(), y.view(), {.coarse_start = false, .progress = [&](const SinkhornProgress& p) {
                                                 EXPECT_EQ(std::this_thread::get_id(), caller);
                                                 EXPECT_EQ(p.iterations, 0);
                                                 EXPECT_GT(p.seconds, 0);
                                                 return !enough;
                                               }});
  EXPECT_LT(now() - begin, 2);
  EXPECT_EQ(r.status, Status::stopped_by_caller);
  // The same by a Stop of the context's.
  const Stop stop([&] { return now() - begin < 3; });
  const auto s = sinkhorn(x.view(), y.view(), {.context = {.stop = &stop}});
  EXPECT_EQ(s.status, Status::stopped_by_caller);
  EXPECT_LT(now() - begin, 5);
}

// Wherever it is stopped, what comes back is a whole iterate: potentials, errors and bounds that belong together.
TEST(StopSinkhorn, ReturnsWholeIterates) {
  const Index n = 1500;
  const Matrix<float> x = cloud(n, 3, 1), y = cloud(n, 3, 2, 1.5);
  const Problem<float> problem{.x = x.view(), .y = y.view()};
  const SinkhornOptions precise{.epsilon = 0.003, .tolerance = 1e-5};
  const auto truth = sinkhorn(problem, precise);
  ASSERT_EQ(truth.status, Status::converged);
  int known = 0;
  for (int k = 0; k < 16; ++k) {
    const auto deadline = Stop::Clock::now() + milliseconds(15 * k);
    // Looked at by passes alone: the progress callback says nothing.
    const Stop stop({}, deadline);
    SinkhornOptions o = precise;
    o.tolerance = 1e-14, o.context.stop = &stop;
    const auto r = sinkhorn(problem, o);
    ASSERT_EQ(r.status, Status::stopped_by_caller);
    if (r.iterations == 0) continue;
    ++known;
    ASSERT_EQ(r.f.size(), static_cast<std::size_t>(n));
    const Plan plan(problem, r);
    const auto masses = plan.col_masses();
    double error = 0;
    for (const double mass : masses) error += std::abs(mass - 1.0 / n);
    EXPECT_NEAR(error, r.marginal_error, 1e-4);
    EXPECT_NEAR(plan.mass(), r.mass, 1e-5);
    if (r.certificate.kind == Certificate::Kind::none) continue;
    EXPECT_TRUE(r.has_cost);
    EXPECT_LE(r.certificate.lower, truth.certificate.upper);
    EXPECT_GE(r.certificate.upper, truth.certificate.lower);
  }
  EXPECT_GT(known, 3);
}

// The limit leaves time for the certificate.
TEST(StopSinkhorn, CertifiesWithinItsTimeLimit) {
  const Matrix<float> x = cloud(6000, 3, 1), y = cloud(6000, 3, 2);
  const double begin = now();
  const auto r = sinkhorn(x.view(), y.view(), {.epsilon = 0.003, .tolerance = 1e-14, .max_seconds = 2});
  EXPECT_LT(now() - begin, 4);
  EXPECT_EQ(r.status, Status::time_limit);
  EXPECT_EQ(r.certificate.kind, Certificate::Kind::proven);
  EXPECT_TRUE(r.has_cost);
  EXPECT_GT(r.certificate.lower, 0);
}

// A Stop that is never requested changes nothing.
TEST(StopSinkhorn, SameBitsWithAndWithout) {
  const Matrix<float> x = cloud(2500, 5, 1), y = cloud(2300, 5, 2);
  const Problem<float> problem{.x = x.view(), .y = y.view()};
  const auto plain = sinkhorn(problem);
  const Stop stop([] { return true; });
  const auto watched = sinkhorn(
      problem,
      {.max_seconds = 1e6, .context = {.stop = &stop}, .progress = [](const SinkhornProgress&) { return true; }});
  EXPECT_EQ(plain.f, watched.f);
  EXPECT_EQ(plain.g, watched.g);
  EXPECT_EQ(plain.cost, watched.cost);
  EXPECT_EQ(plain.certificate.lower, watched.certificate.lower);
  EXPECT_EQ(plain.certificate.upper, watched.certificate.upper);
}

}  // namespace
}  // namespace monge::ot
