#include "monge/flow/sample.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "monge/flow/runge_kutta.h"
#include "monge/ot/core/error.h"

namespace monge::flow {
namespace {

// A linear equation whose matrix rotates and shrinks, driven in time; each row of x is an independent solution.
//   z' = (-a + i w) z + cos t,  z(t) = (z0 - p(0)) exp((-a + i w) t) + p(t),
// p the forced oscillation. The nonlinear one: y' = y (1 - y), logistic growth.
struct Problem {
  Velocity velocity;
  std::vector<float> start;  // rows x cols
  Index rows, cols;
  std::function<std::vector<double>(double t)> solution;
};

constexpr double kDecay = 0.7, kSpin = 2.0;

Problem linear(Index rows) {
  Problem p{nullptr, {}, rows, 2, nullptr};
  for (Index i = 0; i < rows; ++i) {
    p.start.push_back(1 + 0.01f * static_cast<float>(i % 97));
    p.start.push_back(-0.5f + 0.02f * static_cast<float>(i % 31));
  }
  p.velocity = [](double t, MatrixView<const float> x, MatrixView<float> v) {
    for (Index i = 0; i < x.rows; ++i) {
      v(i, 0) = static_cast<float>(-kDecay * x(i, 0) - kSpin * x(i, 1) + std::cos(t));
      v(i, 1) = static_cast<float>(kSpin * x(i, 0) - kDecay * x(i, 1));
    }
  };
  p.solution = [start = p.start](double t) {
    using C = std::complex<double>;
    const C i(0, 1), l(-kDecay, kSpin);
    const auto forced = [&](double s) { return 0.5 * (std::exp(i * s) / (i - l) + std::exp(-i * s) / (-i - l)); };
    std::vector<double> out;
    for (std::size_t k = 0; k < start.size(); k += 2) {
      const C z = (C(start[k], start[k + 1]) - forced(0)) * std::exp(l * t) + forced(t);
      out.push_back(z.real());
      out.push_back(z.imag());
    }
    return out;
  };
  return p;
}

Problem logistic(Index rows) {
  Problem p{nullptr, {}, rows, 3, nullptr};
  for (Index i = 0; i < rows * 3; ++i) p.start.push_back(0.05f + 0.002f * static_cast<float>(i % 120));
  p.velocity = [](double, MatrixView<const float> x, MatrixView<float> v) {
    for (Index i = 0; i < x.rows; ++i)
      for (Index k = 0; k < x.cols; ++k) v(i, k) = 3 * x(i, k) * (1 - x(i, k));
  };
  p.solution = [start = p.start](double t) {
    std::vector<double> out;
    for (const double y : start) out.push_back(y / (y + (1 - y) * std::exp(-3 * t)));
    return out;
  };
  return p;
}

struct Outcome {
  SampleResult result;
  std::vector<float> x;
  Index counted = 0;
  double error = 0;  // largest, against the closed form
};

Outcome solve(const Problem& p, const SampleOptions& options) {
  Outcome r;
  r.x = p.start;
  const Velocity counting = [&](double t, MatrixView<const float> x, MatrixView<float> v) {
    ++r.counted;
    p.velocity(t, x, v);
  };
  r.result = integrate(counting, MatrixView<float>(r.x.data(), p.rows, p.cols), options);
  const std::vector<double> truth = p.solution(r.result.t - options.t0);
  for (std::size_t i = 0; i < truth.size(); ++i) r.error = std::max(r.error, std::abs(r.x[i] - truth[i]));
  return r;
}

// The slope of log error between h and h / 2 at time `end`, with equal steps of any method.
double observed_order(const Problem& p, Solver solver, double end, Index steps) {
  double errors[2];
  for (int half = 0; half < 2; ++half) {
    const Index count = steps << half;
    const MatrixView<const float> start(p.start.data(), p.rows, p.cols);
    RungeKutta method(tableau(solver), p.velocity, start, {});
    for (Index s = 0; s < count; ++s) {
      EXPECT_TRUE(method.attempt(end * static_cast<double>(s) / count, end * static_cast<double>(s + 1) / count));
      method.accept();
    }
    const std::vector<double> truth = p.solution(end);
    double sum = 0;
    for (std::size_t i = 0; i < truth.size(); ++i) sum += std::pow(method.state().data[i] - truth[i], 2);
    errors[half] = std::sqrt(sum);
  }
  return std::log2(errors[0] / errors[1]);
}

TEST(Sample, OrderOfConvergence) {
  for (const Problem& p : {linear(50), logistic(50)}) {
    EXPECT_NEAR(observed_order(p, Solver::euler, 1, 64), 1, 0.1);
    EXPECT_NEAR(observed_order(p, Solver::midpoint, 1, 32), 2, 0.2);
    EXPECT_NEAR(observed_order(p, Solver::heun, 1, 32), 2, 0.2);
  }
  // Steps so long that the error stands well above float's own rounding: the order is not quite reached yet.
  EXPECT_NEAR(observed_order(linear(50), Solver::rk4, 3, 8), 4, 0.4);
  EXPECT_NEAR(observed_order(logistic(50), Solver::rk4, 1, 4), 4, 0.4);
  EXPECT_NEAR(observed_order(linear(50), Solver::dopri5, 3, 8), 5, 0.6);
  EXPECT_NEAR(observed_order(logistic(50), Solver::dopri5, 1, 3), 5, 0.6);
}

TEST(Sample, EqualStepsCountTheirEvaluations) {
  const Problem p = linear(33);
  for (const auto& [solver, per_step] :
       {std::pair{Solver::euler, 1}, {Solver::midpoint, 2}, {Solver::heun, 2}, {Solver::rk4, 4}}) {
    SampleOptions options;
    options.solver = solver;
    options.steps = 10;
    const Outcome r = solve(p, options);
    EXPECT_EQ(r.result.status, ot::Status::converged);
    EXPECT_EQ(r.result.nfe, 10 * per_step);
    EXPECT_EQ(r.counted, r.result.nfe);
    EXPECT_EQ(r.result.accepted, 10);
    EXPECT_EQ(r.result.rejected, 0);
    EXPECT_EQ(r.result.t, 1);
    EXPECT_LT(r.error, solver == Solver::euler ? 0.3 : 0.03);
  }
}

// One Euler step by hand: x + v(0, x).
TEST(Sample, OneEulerStep) {
  std::vector<float> x{1, 2, 3, 4, 5, 6};
  const Velocity velocity = [](double t, MatrixView<const float> x, MatrixView<float> v) {
    EXPECT_EQ(t, 0);
    for (Index i = 0; i < x.rows; ++i)
      for (Index k = 0; k < x.cols; ++k) v(i, k) = 10 * x(i, k);
  };
  SampleOptions options;
  options.steps = 1;
  integrate(velocity, MatrixView<float>(x.data(), 3, 1, 2), options);  // the first of two columns
  EXPECT_EQ(x, (std::vector<float>{11, 2, 33, 4, 55, 6}));
}

TEST(Sample, Dopri5KeepsItsTolerance) {
  for (const Problem& p : {linear(40), logistic(40)}) {
    Index last = 0;
    for (const double tolerance : {1e-2, 1e-3, 1e-4, 1e-5}) {
      SampleOptions options;
      options.solver = Solver::dopri5;
      options.rtol = options.atol = tolerance;
      options.t1 = 3;
      const Outcome r = solve(p, options);
      EXPECT_EQ(r.result.status, ot::Status::converged);
      EXPECT_EQ(r.result.t, 3);
      EXPECT_LT(r.error, 10 * tolerance + 1e-6);
      EXPECT_EQ(r.counted, r.result.nfe);
      EXPECT_EQ(r.result.nfe, 2 + 6 * (r.result.accepted + r.result.rejected));
      EXPECT_GE(r.result.nfe, last);
      EXPECT_LT(r.result.nfe, 300);
      last = r.result.nfe;
    }
  }
}

// A velocity that turns sharp in the middle makes steps fail; what is reported must still add up.
TEST(Sample, Dopri5RejectsAndRecovers) {
  Problem p{nullptr, {0.0f}, 1, 1, nullptr};
  p.velocity = [](double t, MatrixView<const float>, MatrixView<float> v) {
    v(0, 0) = static_cast<float>(1 / (1e-4 + (t - 0.5) * (t - 0.5)));
  };
  p.solution = [](double t) { return std::vector<double>{100 * (std::atan(100 * (t - 0.5)) + std::atan(50.0))}; };
  SampleOptions options;
  options.solver = Solver::dopri5;
  const Outcome r = solve(p, options);
  EXPECT_EQ(r.result.status, ot::Status::converged);
  EXPECT_GT(r.result.rejected, 0);
  EXPECT_EQ(r.result.nfe, 2 + 6 * (r.result.accepted + r.result.rejected));
  EXPECT_EQ(r.counted, r.result.nfe);
  EXPECT_LT(r.error, 0.3);  // of 312
}

TEST(Sample, RunsBackwards) {
  const Problem p = logistic(20);
  for (const Solver solver : {Solver::heun, Solver::dopri5}) {
    SampleOptions options;
    options.solver = solver;
    options.steps = 100;
    std::vector<float> x = p.start;
    const MatrixView<float> view(x.data(), p.rows, p.cols);
    integrate(p.velocity, view, options);
    std::swap(options.t0, options.t1);
    const SampleResult back = integrate(p.velocity, view, options);
    EXPECT_EQ(back.status, ot::Status::converged);
    EXPECT_EQ(back.t, 0);
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], p.start[i], 2e-3);
  }
}

// Velocities are only asked for inside [t0, t1].
TEST(Sample, StaysInsideTheInterval) {
  for (const Solver solver : {Solver::euler, Solver::midpoint, Solver::heun, Solver::rk4, Solver::dopri5}) {
    SampleOptions options;
    options.solver = solver;
    options.steps = 7;
    std::vector<float> x{1e-3f, 1, 100};
    const Velocity velocity = [](double t, MatrixView<const float>, MatrixView<float> v) {
      EXPECT_GE(t, 0);
      EXPECT_LE(t, 1);
      for (Index k = 0; k < 3; ++k) v(0, k) = 1e-3f;
    };
    EXPECT_EQ(integrate(velocity, MatrixView<float>(x.data(), 1, 3), options).t, 1);
    EXPECT_NEAR(x[0], 2e-3, 1e-6);
  }
}

TEST(Sample, NothingToDo) {
  const Problem p = linear(3);
  SampleOptions options;
  options.t1 = 0;
  const Outcome r = solve(p, options);
  EXPECT_EQ(r.result.nfe, 0);
  EXPECT_EQ(r.x, p.start);
}

TEST(Sample, SameBitsAtAnyThreadCount) {
  const Problem p = linear(20000);  // many tiles, the last one short
  for (const Solver solver : {Solver::euler, Solver::midpoint, Solver::heun, Solver::rk4, Solver::dopri5}) {
    SampleOptions options;
    options.solver = solver;
    options.context.threads = 1;
    const Outcome one = solve(p, options);
    options.context.threads = 2;
    const Outcome two = solve(p, options);
    EXPECT_EQ(one.result.nfe, two.result.nfe);
    EXPECT_EQ(std::memcmp(one.x.data(), two.x.data(), one.x.size() * sizeof(float)), 0) << to_string(solver);
  }
}

TEST(Sample, NonFiniteVelocityIsAFailure) {
  const Problem p = linear(5000);
  for (const Solver solver : {Solver::euler, Solver::midpoint, Solver::heun, Solver::rk4, Solver::dopri5})
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 3e38f}) {
      SampleOptions options;
      options.solver = solver;
      options.steps = 4;
      options.t1 = 4;  // so that a finite velocity of 3e38 overflows the state
      std::vector<float> x = p.start;
      const Velocity velocity = [&](double t, MatrixView<const float> now, MatrixView<float> v) {
        p.velocity(t, now, v);
        if (t >= 2) v(4999, 1) = t >= 3 ? bad : std::min(bad, 3e38f);
      };
      const SampleResult r = integrate(velocity, MatrixView<float>(x.data(), p.rows, p.cols), options);
      EXPECT_EQ(r.status, ot::Status::numerical_failure) << to_string(solver) << " " << bad;
      EXPECT_LT(r.t, 4);
      for (const float v : x) ASSERT_TRUE(std::isfinite(v));
    }
}

TEST(Sample, StopsWhenAsked) {
  const Problem p = linear(10);
  for (const Solver solver : {Solver::euler, Solver::dopri5}) {
    SampleOptions options;
    options.solver = solver;
    options.t1 = 5;
    Index calls = 0;
    double reached = 0;
    options.progress = [&](const SampleProgress& now) {
      reached = now.t;
      return ++calls < 3;
    };
    const Outcome r = solve(p, options);
    EXPECT_EQ(r.result.status, ot::Status::stopped_by_caller);
    EXPECT_EQ(r.result.accepted, 3);
    EXPECT_EQ(r.result.t, reached);
    EXPECT_LT(r.result.t, 5);
    EXPECT_EQ(r.result.nfe, r.counted);
    EXPECT_LT(r.error, solver == Solver::euler ? 1 : 1e-2);  // x stands at the time reported
  }
}

TEST(Sample, StopsAtMaxSteps) {
  SampleOptions options;
  options.solver = Solver::dopri5;
  options.rtol = options.atol = 1e-5;
  options.max_steps = 3;
  const Outcome r = solve(linear(4), options);
  EXPECT_EQ(r.result.status, ot::Status::iteration_limit);
  EXPECT_EQ(r.result.accepted + r.result.rejected, 3);
}

// Noise to data to noise: what invert() carries back is where it came from.
TEST(Sample, InvertsToTheStart) {
  const Problem p = linear(20);
  for (const Solver solver : {Solver::rk4, Solver::dopri5}) {
    const SampleOptions options{.solver = solver, .steps = 50, .rtol = 1e-6, .atol = 1e-6};
    std::vector<float> x = p.start;
    const MatrixView<float> view(x.data(), p.rows, p.cols);
    integrate(p.velocity, view, options);
    EXPECT_GT(std::abs(x[0] - p.start[0]), 0.1);
    const SampleResult back = invert(p.velocity, view, options);
    EXPECT_EQ(back.t, 0);
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], p.start[i], 1e-5);
  }
}

TEST(Sample, GuidanceIsAffineInItsScale) {
  Index conditional_calls = 0, unconditional_calls = 0;
  const Velocity with = [&](double t, MatrixView<const float> x, MatrixView<float> v) {
    ++conditional_calls;
    for (Index i = 0; i < x.rows; ++i)
      for (Index k = 0; k < x.cols; ++k) v(i, k) = static_cast<float>(2 * t + x(i, k));
  };
  const Velocity without = [&](double t, MatrixView<const float> x, MatrixView<float> v) {
    ++unconditional_calls;
    for (Index i = 0; i < x.rows; ++i)
      for (Index k = 0; k < x.cols; ++k) v(i, k) = static_cast<float>(t - 3 * x(i, k));
  };
  Matrix<float> x(200, 3), v(200, 3);
  for (Index i = 0; i < 600; ++i) x.data()[i] = static_cast<float>(i % 17) - 8;
  for (const double scale : {-0.5, 0.0, 1.0, 2.5}) {
    const Velocity both = guided(with, without, scale);
    conditional_calls = unconditional_calls = 0;
    both(0.25, x.view(), v.view());
    for (Index i = 0; i < 600; ++i) {
      const double at = x.data()[i];
      EXPECT_NEAR(v.data()[i], scale * (0.5 + at) + (1 - scale) * (0.25 - 3 * at), 1e-4);
    }
    EXPECT_EQ(conditional_calls, scale != 0);
    EXPECT_EQ(unconditional_calls, scale != 1);
    both(0.25, x.view().rows_from(0, 5), v.view().rows_from(0, 5));  // fewer rows, too
  }
  EXPECT_THROW(guided(with, nullptr, 2), Error);
  EXPECT_THROW(guided(with, without, NAN), Error);
}

TEST(Sample, SolverNames) {
  for (const Solver solver : {Solver::euler, Solver::midpoint, Solver::heun, Solver::rk4, Solver::dopri5})
    EXPECT_EQ(parse_solver(to_string(solver)), solver);
  try {
    parse_solver("rk5");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Errc::invalid_argument);
    EXPECT_NE(std::string(e.what()).find("rk5"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("dopri5"), std::string::npos);
  }
}

TEST(Sample, RefusesBadInput) {
  const Problem p = linear(4);
  const auto code = [&](SampleOptions options, std::vector<float> x, Index rows) {
    try {
      integrate(p.velocity, MatrixView<float>(x.data(), rows, 2), options);
    } catch (const Error& e) {
      return e.code();
    }
    ADD_FAILURE() << "nothing was thrown";
    return Errc::io;
  };
  SampleOptions options;
  EXPECT_EQ(code(options, p.start, 0), Errc::invalid_argument);
  std::vector<float> bad = p.start;
  bad[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code(options, bad, 4), Errc::not_finite);
  options.steps = 0;
  EXPECT_EQ(code(options, p.start, 4), Errc::invalid_argument);
  options.solver = Solver::dopri5;
  options.atol = 0;
  EXPECT_EQ(code(options, p.start, 4), Errc::invalid_argument);
}

}  // namespace
}  // namespace monge::flow
