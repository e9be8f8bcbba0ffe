#include "monge/flow/train.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

constexpr Index points = 500, dimensions = 37;

Matrix<float> cloud() {
  Matrix<float> data(points, dimensions);
  fill_normal(Rng{21, 0}, 0, VectorView<float>(data.data(), points * dimensions));
  return data;
}

// Odd sizes, several tiles and chunks.
TrainOptions options(int threads) {
  return {.model = {.width = 300, .blocks = 2, .time_features = 8},
          .batch = 150,
          .steps = 20,
          .warmup_steps = 3,
          .seed = 4,
          .context = {.threads = threads}};
}

std::vector<float> copy(std::span<const float> s) { return {s.begin(), s.end()}; }

std::vector<float> weights_after(int steps, int threads) {
  const Matrix<float> data = cloud();
  const auto coupling = independent_coupling(points, 9, {.threads = threads});
  Trainer trainer(options(threads), data.view(), *coupling);
  for (int k = 0; k < steps; ++k) trainer.step();
  return copy(trainer.weights());
}

TEST(Trainer, GivesTheSameBitsAtAnyThreadCount) {
  const std::vector<float> one = weights_after(6, 1);
  EXPECT_EQ(one, weights_after(6, 2));
  EXPECT_EQ(one, weights_after(6, 5));
}

TEST(Trainer, ResumesToTheSameBits) {
  const Matrix<float> data = cloud();
  const auto coupling = independent_coupling(points, 9);
  Trainer whole(options(0), data.view(), *coupling);
  for (int k = 0; k < 5; ++k) whole.step();

  const auto again = independent_coupling(points, 9);
  Trainer resumed(options(0), data.view(), *again);
  resumed.restore(whole.steps_done(), whole.weights(), whole.ema(), whole.adam_m(), whole.adam_v());
  for (int k = 0; k < 4; ++k) {
    const StepReport a = whole.step(), b = resumed.step();
    EXPECT_EQ(a.step, b.step);
    EXPECT_EQ(a.loss, b.loss);
    EXPECT_EQ(a.gradient_norm, b.gradient_norm);
    EXPECT_EQ(a.learning_rate, b.learning_rate);
  }
  EXPECT_EQ(copy(whole.weights()), copy(resumed.weights()));
  EXPECT_EQ(copy(whole.ema()), copy(resumed.ema()));
  EXPECT_EQ(copy(whole.adam_m()), copy(resumed.adam_m()));
  EXPECT_EQ(copy(whole.adam_v()), copy(resumed.adam_v()));
  EXPECT_THROW(resumed.restore(1, std::vector<float>(3), whole.ema(), whole.adam_m(), whole.adam_v()), Error);
}

TEST(Trainer, ReadsBytesAsTheFloatsTheyStandFor) {
  std::vector<std::uint8_t> bytes(points * dimensions);
  std::vector<float> values(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(i * 37 % 256);
    values[i] = static_cast<float>(bytes[i]) * 0.0078125f - 1;
  }
  const auto coupling = independent_coupling(points, 9);
  Trainer a(options(0), {MatrixView<const std::uint8_t>(bytes.data(), points, dimensions), 0.0078125f, -1}, *coupling);
  Trainer b(options(0), MatrixView<const float>(values.data(), points, dimensions), *coupling);
  for (int k = 0; k < 3; ++k) EXPECT_EQ(a.step().loss, b.step().loss);
}

// Pairs every row with an atom, and says so by number, or by the point itself while the number is of another atom.
class Told final : public Coupling {
 public:
  Told(MatrixView<const float> y, bool by_points) : y_(y), by_points_(by_points) {}
  void draw(std::uint64_t step, MatrixView<float> x0, VectorView<std::int32_t> atoms) override {
    for (Index i = 0; i < x0.rows; ++i) {
      first_ = static_cast<Index>(step) * x0.rows;
      fill_normal(Rng{7, step}, static_cast<std::uint64_t>(i * x0.cols), {x0.row(i), x0.cols});
      atoms[i] = by_points_ ? 0 : static_cast<std::int32_t>((first_ + i) % y_.rows);
    }
  }
  bool has_targets() const override { return by_points_; }
  void targets(MatrixView<float> x1) const override {
    for (Index i = 0; i < x1.rows; ++i) std::copy_n(y_.row((first_ + i) % y_.rows), x1.cols, x1.row(i));
  }

 private:
  MatrixView<const float> y_;
  bool by_points_;
  Index first_ = 0;
};

TEST(Trainer, LearnsFromTargetsWhereACouplingHasThem) {
  const Matrix<float> data = cloud();
  Told atoms(data.view(), false), points(data.view(), true);
  Trainer a(options(0), data.view(), atoms), b(options(0), data.view(), points);
  for (int k = 0; k < 4; ++k) EXPECT_EQ(a.step().loss, b.step().loss);
  EXPECT_EQ(copy(a.weights()), copy(b.weights()));
}

TEST(Trainer, RefusesNonFiniteLossAndKeepsItsState) {
  Matrix<float> broken = cloud();
  const Matrix<float>& data = broken;
  for (Index i = 0; i < points; ++i) broken(i, 3) = std::numeric_limits<float>::quiet_NaN();
  const auto coupling = independent_coupling(points, 9);
  Trainer trainer(options(0), data.view(), *coupling);
  const std::vector<float> before = copy(trainer.weights());
  try {
    trainer.step();
    FAIL() << "a NaN loss went unnoticed";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Errc::not_finite);
    EXPECT_NE(std::string(e.what()).find("step 0"), std::string::npos) << e.what();
  }
  EXPECT_EQ(copy(trainer.weights()), before);
  EXPECT_EQ(trainer.steps_done(), 0u);
}

TEST(Trainer, RefusesOptionsThatMakeNoSense) {
  const Matrix<float> data = cloud();
  const auto coupling = independent_coupling(points, 9);
  const auto refuses = [&](auto&& change) {
    TrainOptions o = options(0);
    change(o);
    EXPECT_THROW(Trainer(o, data.view(), *coupling), Error);
  };
  refuses([](TrainOptions& o) { o.batch = 0; });
  refuses([](TrainOptions& o) { o.learning_rate = -1; });
  refuses([](TrainOptions& o) { o.ema_decay = 1; });
  refuses([](TrainOptions& o) { o.model.dimensions = 5; });
  refuses([](TrainOptions& o) { o.model.width = 0; });
  refuses([](TrainOptions& o) { o.model.time_features = 3; });
  EXPECT_THROW(Trainer(options(0), MatrixView<const float>(), *coupling), Error);
}

TEST(LearningRate, RisesToThePeakAndFallsToZero) {
  const TrainOptions o{.steps = 1000, .learning_rate = 2, .warmup_steps = 99};
  EXPECT_DOUBLE_EQ(learning_rate_at(o, 0), 0.02);
  EXPECT_DOUBLE_EQ(learning_rate_at(o, 98), 1.98);
  EXPECT_DOUBLE_EQ(learning_rate_at(o, 99), 2);
  EXPECT_NEAR(learning_rate_at(o, 999), 0, 1e-5);
  EXPECT_EQ(learning_rate_at(o, 5000), 0);
}

TEST(LearningRate, FallsInALineOrStays) {
  TrainOptions o{.steps = 1000, .learning_rate = 2, .warmup_steps = 200, .schedule = Schedule::linear};
  EXPECT_DOUBLE_EQ(learning_rate_at(o, 200), 2);
  EXPECT_DOUBLE_EQ(learning_rate_at(o, 400), 1.5);
  EXPECT_NEAR(learning_rate_at(o, 999), 2.0 / 800, 1e-15);  // rounding of one less something next to it
  EXPECT_EQ(learning_rate_at(o, 1000), 0);
  const double first = learning_rate_at(o, 0);
  o.schedule = Schedule::constant;
  EXPECT_EQ(learning_rate_at(o, 0), first);
  EXPECT_EQ(learning_rate_at(o, 999), 2);
}

TEST(IndependentCoupling, IsAFunctionOfSeedAndStep) {
  const auto a = independent_coupling(1000, 3, {.threads = 1}), b = independent_coupling(1000, 3, {.threads = 2});
  Matrix<float> x(200, 7), y(200, 7);
  std::vector<std::int32_t> i(200), j(200);
  b->draw(8, y.view(), j);
  a->draw(8, x.view(), i);
  b->draw(5, y.view(), j);
  EXPECT_NE(i, j);
  b->draw(8, y.view(), j);
  EXPECT_EQ(i, j);
  EXPECT_TRUE(std::equal(x.data(), x.data() + 1400, y.data()));
  EXPECT_THROW(independent_coupling(0, 1), Error);
}

// N(0, I) to N(m, s^2 I) along the linear path: E[x1 | x_t = x] = m + t s^2 (x - t m) / (t^2 s^2 + (1-t)^2), and the
// velocity is (E[x1 | x] - x) / (1 - t).
TEST(Training, LearnsTheVelocityOfAGaussian) {
  constexpr Index atoms = 20'000;
  constexpr double mean[2] = {1.5, -0.5}, deviation = 0.5;
  Matrix<float> data(atoms, 2);
  fill_normal(Rng{31, 0}, 0, VectorView<float>(data.data(), atoms * 2));
  for (Index k = 0; k < atoms * 2; ++k) data.data()[k] = static_cast<float>(mean[k % 2] + deviation * data.data()[k]);
  const auto coupling = independent_coupling(atoms, 1);
  for (const Prediction prediction : {Prediction::data, Prediction::velocity}) {
    Trainer trainer(
        {.model = {.width = 64, .blocks = 2, .time_features = 16, .max_frequency = 8, .prediction = prediction},
         .steps = 800,
         .learning_rate = 4e-3,
         .seed = 2},
        data.view(), *coupling);
    while (trainer.steps_done() < trainer.options().steps) trainer.step();

    VelocityModel model(trainer.options().model, trainer.ema());
    constexpr Index rows = 1000;
    Matrix<float> x(rows, 2), v(rows, 2);
    for (const double t : {0.0, 0.3, 0.6, 0.9}) {
      const double variance = t * t * deviation * deviation + (1 - t) * (1 - t);
      fill_normal(Rng{41, 0}, 0, VectorView<float>(x.data(), rows * 2));
      for (Index k = 0; k < rows * 2; ++k) {
        x.data()[k] = static_cast<float>(t * mean[k % 2] + std::sqrt(variance) * x.data()[k]);
      }
      model(t, x.view(), v.view());
      double error = 0, size = 0;
      for (Index k = 0; k < rows * 2; ++k) {
        const double m = mean[k % 2], xk = x.data()[k];
        const double x1 = m + t * deviation * deviation * (xk - t * m) / variance, exact = (x1 - xk) / (1 - t);
        error += std::pow(v.data()[k] - exact, 2);
        size += exact * exact;
      }
      EXPECT_LT(std::sqrt(error / size), 0.1) << "t = " << t;
    }
  }
}

}  // namespace
}  // namespace monge::flow
