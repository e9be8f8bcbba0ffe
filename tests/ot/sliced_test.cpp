#include "monge/ot/sliced.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "monge/ot/assignment.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::ot {
namespace {

template <class T>
struct Cloud {
  std::vector<T> values;
  Index rows, cols;
  MatrixView<const T> view() const { return {values.data(), rows, cols}; }
  Cloud scaled(double by) const {
    Cloud c = *this;
    for (T& v : c.values) v = static_cast<T>(v * by);
    return c;
  }
};

template <class T>
Cloud<T> gaussian(Index rows, Index cols, unsigned seed, double scale = 1, double shift = 0) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Cloud<T> c{std::vector<T>(rows * cols), rows, cols};
  for (T& v : c.values) v = static_cast<T>(static_cast<float>(shift + scale * normal(random)));
  return c;
}

// Whole weights that add up to `total`; some are zero.
std::vector<double> whole_weights(Index n, int total, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<double> w(n, 0.0);
  for (int k = 0; k < total; ++k) ++w[random() % n];
  return w;
}

// The documented directions.
std::vector<std::vector<double>> directions(Index count, Index d, std::uint64_t seed) {
  std::vector<std::vector<double>> out;
  for (Index l = 0; l < count; ++l) {
    std::vector<float> normals(d);
    fill_normal(Rng{seed}, l * d, VectorView<float>(normals));
    double square = 0;
    for (const float v : normals) square += static_cast<double>(v) * v;
    out.emplace_back();
    for (const float v : normals) out.back().push_back(v / std::sqrt(square));
  }
  return out;
}

// W_p^p on one direction: points of whole weights spelled out, both lists then repeated to one length, sorted, matched.
template <class T>
double naive_line(const Cloud<T>& x, const std::vector<double>& a, const Cloud<T>& y, const std::vector<double>& b,
                  const std::vector<double>& theta, double p) {
  const auto spell_out = [&](const Cloud<T>& c, const std::vector<double>& w) {
    std::vector<double> out;
    for (Index i = 0; i < c.rows; ++i)
      out.insert(out.end(), w.empty() ? 1 : static_cast<std::size_t>(w[i]),
                 std::inner_product(theta.begin(), theta.end(), c.view().row(i), 0.0));
    std::sort(out.begin(), out.end());
    return out;
  };
  const auto u = spell_out(x, a), v = spell_out(y, b);
  const std::size_t cells = std::lcm(u.size(), v.size());
  double sum = 0;
  for (std::size_t c = 0; c < cells; ++c)
    sum += std::pow(std::abs(u[c * u.size() / cells] - v[c * v.size() / cells]), p);
  return sum / static_cast<double>(cells);
}

struct Naive {
  double distance, standard_error;
};
template <class T>
Naive naive(const Cloud<T>& x, const std::vector<double>& a, const Cloud<T>& y, const std::vector<double>& b,
            const SlicedOptions& o) {
  std::vector<double> powers;
  for (const auto& theta : directions(o.directions, x.cols, o.seed))
    powers.push_back(naive_line(x, a, y, b, theta, o.p));
  const auto count = static_cast<double>(powers.size());
  const double mean = std::accumulate(powers.begin(), powers.end(), 0.0) / count;
  double squares = 0;
  for (const double v : powers) squares += (v - mean) * (v - mean);
  const double root = std::pow(mean, 1 / o.p);
  return {root, root / (o.p * mean) * std::sqrt(squares / (count - 1) / count)};
}

template <class T>
class Sliced : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Sliced, Types);

TYPED_TEST(Sliced, AgreesWithNaive) {
  const double tolerance = std::is_same_v<TypeParam, float> ? 3e-6 : 1e-12;
  for (const auto& [n, m, d] : {std::tuple<Index, Index, Index>{600, 600, 30}, {1, 1, 1}, {90, 70, 3}, {1, 40, 5}})
    for (const double p : {1.0, 2.0, 3.5})
      for (const int weighted : {0, 1, 2, 3}) {
        if (n > 512 && p != 2) continue;  // more than one block of rows: once is enough
        const auto x = gaussian<TypeParam>(n, d, 1, 2, 0.5), y = gaussian<TypeParam>(m, d, 2);
        const int total = weighted == 1 ? static_cast<int>(2 * m) : weighted == 2 ? static_cast<int>(2 * n) : 210;
        const auto a = weighted & 1 ? whole_weights(n, total, 3) : std::vector<double>{};
        const auto b = weighted & 2 ? whole_weights(m, total, 4) : std::vector<double>{};
        SlicedOptions o;
        o.p = p;
        o.directions = 70;  // more than a tile, not a multiple of it
        o.context.threads = 1;
        const double mass = std::pow(weighted ? total : 1, 1 / p);
        const auto [distance, error] = naive(x, a, y, b, o);
        const SlicedResult r = sliced(x.view(), y.view(), o, a, b);
        EXPECT_NEAR(r.distance, distance * mass, tolerance * r.distance)
            << n << " " << m << " " << p << " " << weighted;
        if (d > 1) {
          EXPECT_NEAR(r.standard_error, error * mass, 1e-4 * r.standard_error);
        } else {
          EXPECT_EQ(r.standard_error, 0);
        }
        EXPECT_EQ(r.directions, 70);
        EXPECT_EQ(r.status, Status::converged);
        EXPECT_EQ(SlicedReference<TypeParam>(y.view(), o, b).distance(x.view(), a).distance, r.distance);
      }
}

// A translation by s: E <theta, s>^2 = |s|^2 / d, whatever the cloud. And the error reported is the error made.
TYPED_TEST(Sliced, Translation) {
  const Index n = 100, d = 8;
  const auto x = gaussian<TypeParam>(n, d, 5);
  auto y = x;
  for (Index i = 0; i < n; ++i)
    for (Index k = 0; k < d; ++k) y.values[i * d + k] += static_cast<TypeParam>(0.5 * (k % 3));
  const double truth = std::sqrt(3 * (0.25 + 1) - 1) / std::sqrt(d);  // |s|^2: k % 3 is 1 three times, 2 twice
  int within = 0;
  double spread = 0, error = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const SlicedResult r = sliced(x.view(), y.view(), {.directions = 100, .seed = seed, .context = {.threads = 1}});
    within += std::abs(r.distance - truth) < 2 * r.standard_error;
    spread += (r.distance - truth) * (r.distance - truth) / 40;
    error += r.standard_error / 40;
  }
  EXPECT_GE(within, 34);  // of 40, at 95%: five or more outside have a chance of 5%, seven or more 0.3%
  EXPECT_NEAR(std::sqrt(spread) / error, 1, 0.35);  // three deviations of a standard deviation from 40 values
}

TYPED_TEST(Sliced, Scales) {
  const auto x = gaussian<TypeParam>(30, 6, 6), y = gaussian<TypeParam>(40, 6, 7, 2);
  const bool single = std::is_same_v<TypeParam, float>;
  for (const double p : {1.0, 2.0, 5.0, 300.0}) {
    const SlicedOptions o{.p = p, .directions = 20};
    const double unit = sliced(x.view(), y.view(), o).distance;
    ASSERT_TRUE(std::isfinite(unit) && unit > 0);
    for (const int power : {single ? -110 : -1000, single ? 120 : 1000})
      EXPECT_NEAR(
          std::ldexp(sliced(x.scaled(std::ldexp(1, power)).view(), y.scaled(std::ldexp(1, power)).view(), o).distance,
                     -power),
          unit, 1e-5 * unit);
    EXPECT_EQ(sliced(x.view(), x.view(), o).distance, 0);
    EXPECT_EQ(sliced(x.view(), x.view(), o).standard_error, 0);
  }
}

TYPED_TEST(Sliced, SameBitsAtAnyThreadCount) {
  const auto x = gaussian<TypeParam>(700, 40, 8), y = gaussian<TypeParam>(500, 40, 9, 2);
  const auto a = whole_weights(700, 5000, 10);
  const auto measure = [&](int threads) {
    return sliced(x.view(), y.view(), {.directions = 300, .context = {.threads = threads}}, a);
  };
  const SlicedResult one = measure(1), two = measure(2);
  EXPECT_EQ(one.distance, two.distance);
  EXPECT_EQ(one.standard_error, two.standard_error);
  const auto search = [&](int threads) {
    return max_sliced(x.view(), y.view(), {.iterations = 5, .restarts = 3, .context = {.threads = threads}}, a);
  };
  EXPECT_EQ(search(1).distance, search(2).distance);
  EXPECT_EQ(search(1).direction, search(2).direction);
}

TEST(SlicedDirections, SameForFloatAndDouble) {
  const auto x = gaussian<float>(50, 4, 11), y = gaussian<float>(60, 4, 12);
  const auto u = gaussian<double>(50, 4, 11), v = gaussian<double>(60, 4, 12);
  EXPECT_NEAR(sliced(x.view(), y.view()).distance, sliced(u.view(), v.view()).distance, 1e-6);
}

TEST(SlicedProgress, StopsWhenAsked) {
  const auto x = gaussian<float>(50, 4, 13), y = gaussian<float>(60, 4, 14);
  for (const int threads : {1, 2}) {  // the same directions on either
    SlicedOptions o;
    o.context.threads = threads;
    o.directions = 2000;
    Index told = 0;
    o.progress = [&](Index done) { return (told = done) < 1000; };
    const SlicedResult r = sliced(x.view(), y.view(), o);
    EXPECT_EQ(r.status, Status::stopped_by_caller);
    EXPECT_EQ(r.directions, 1024);
    o.progress = {};
    o.directions = 1024;
    EXPECT_EQ(sliced(x.view(), y.view(), o).distance, r.distance);
  }
}

// Of so many points that the projections on all directions of a tile would take much memory: some are made at a time.
TEST(SlicedMemory, ManyPointsGiveWhatFewDirectionsAtATimeDo) {
  const auto x = gaussian<float>(150000, 3, 15), y = gaussian<float>(100000, 3, 16);
  const SlicedOptions o{.directions = 40};
  const SlicedReference<float> reference(y.view(), o);
  const double all = reference.distance(x.view()).distance;
  EXPECT_EQ(sliced(x.view(), y.view(), o).distance, all);
  EXPECT_NEAR(all, sliced(x.view().rows_from(0, 100000), y.view(), o).distance, 0.01);
}

// In the plane every direction can be tried.
TEST(MaxSliced, AgreesWithASweepOfThePlane) {
  for (const double p : {1.0, 2.0, 3.0})
    for (const bool weighted : {false, true}) {
      const auto x = gaussian<double>(40, 2, 15, 2), y = gaussian<double>(30, 2, 16, 1, 0.3);
      const auto a = weighted ? whole_weights(40, 300, 17) : std::vector<double>{};
      const auto b = weighted ? whole_weights(30, 300, 18) : std::vector<double>{};
      double best = 0;
      for (int k = 0; k < 2000; ++k) {
        const double angle = std::numbers::pi * k / 2000;
        best = std::max(best, naive_line(x, a, y, b, {std::cos(angle), std::sin(angle)}, p));
      }
      best = std::pow(best * (weighted ? 300 : 1), 1 / p);
      const MaxSlicedResult r = max_sliced(x.view(), y.view(), {.p = p}, a, b);
      EXPECT_GE(r.distance, best) << p << weighted;  // the sweep misses the top a little
      EXPECT_NEAR(std::hypot(r.direction[0], r.direction[1]), 1, 1e-14);
      EXPECT_NEAR(std::pow(naive_line(x, a, y, b, r.direction, p) * (weighted ? 300 : 1), 1 / p), r.distance,
                  1e-12 * r.distance);
    }
}

// A translation is longest along itself; one stretched direction is the one to look along; never above W2 itself.
TEST(MaxSliced, KnownAnswers) {
  const Index n = 100, d = 12;
  const auto x = gaussian<float>(n, d, 19);
  auto y = x;
  for (Index i = 0; i < n; ++i) y.values[i * d + 2] += 3, y.values[i * d + 7] += 4;
  MaxSlicedResult r = max_sliced(x.view(), y.view());
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_NEAR(r.distance, 5, 1e-5);
  EXPECT_NEAR(std::abs(r.direction[2]), 0.6, 1e-4);

  y = x;
  for (Index i = 0; i < n; ++i) y.values[i * d + 5] *= 10;
  r = max_sliced(x.view(), y.view());
  EXPECT_GT(std::abs(r.direction[5]), 0.99);

  const auto z = gaussian<float>(n, d, 20, 2);
  r = max_sliced(x.view(), z.view());
  EXPECT_LT(r.distance, std::sqrt(assign(x.view(), z.view()).cost));
  EXPECT_GT(r.distance, sliced(x.view(), z.view()).distance);
  EXPECT_GE(max_sliced(x.view(), z.view(), {.restarts = 12}).distance, r.distance);
  EXPECT_EQ(max_sliced(x.view(), z.view(), {.iterations = 1, .restarts = 2}).status, Status::iteration_limit);
  EXPECT_EQ(max_sliced(x.view(), x.view()).distance, 0);
  for (const int power : {-120, 120}) {
    const double scale = std::ldexp(1, power);
    EXPECT_NEAR(max_sliced(x.scaled(scale).view(), z.scaled(scale).view()).distance / scale, r.distance, 1e-6);
  }
}

TYPED_TEST(Sliced, RefusesBadInput) {
  using T = TypeParam;
  const auto good = gaussian<T>(5, 3, 21), narrow = gaussian<T>(5, 2, 22);
  auto bad = good;
  bad.values[2 * 3 + 1] = std::numeric_limits<T>::quiet_NaN();
  const auto fails = [](const Cloud<T>& x, const Cloud<T>& y, Errc code, const std::string& with,
                        const SlicedOptions& o = {}, const std::vector<double>& a = {}) {
    const std::function<void()> calls[] = {
        [&] { sliced(x.view(), y.view(), o, a); },
        [&] { max_sliced(x.view(), y.view(), {.p = o.p, .restarts = o.directions}, a); }};
    for (const auto& call : calls) {
      try {
        call();
        ADD_FAILURE() << "nothing was thrown, for " << with;
      } catch (const Error& e) {
        EXPECT_EQ(e.code(), code) << e.what();
        EXPECT_NE(std::string(e.what()).find("sliced: " + with), std::string::npos) << e.what();
      }
    }
  };
  fails(bad, good, Errc::not_finite, "x is nan in row 2, column 1");
  fails(good, bad, Errc::not_finite, "y is nan in row 2, column 1");
  fails(good, narrow, Errc::invalid_argument, "");
  fails(good, Cloud<T>{{}, 0, 3}, Errc::invalid_argument, "y is empty");
  fails(good, good, Errc::invalid_argument, "", {.directions = 0});
  fails(good, good, Errc::invalid_argument, "p must be", {.p = 0.9});
  fails(good, good, Errc::invalid_argument, "a has 2 weights for 5", {}, {1, 1});
  fails(good, good, Errc::invalid_argument, "a is negative, -1, at index 3", {}, {1, 1, 1, -1, 1});
  fails(good, good, Errc::not_finite, "a is inf at index 4", {}, {1, 1, 1, 1, HUGE_VAL});
  fails(good, good, Errc::invalid_argument, "a: all weights are zero", {}, {0, 0, 0, 0, 0});
  const SlicedReference<T> reference(good.view());
  const T most = std::numeric_limits<T>::max();
  const Cloud<T> huge{{most, most, most, -most, -most, -most}, 2, 3};
  EXPECT_THROW(reference.distance(huge.view()), Error);
  EXPECT_TRUE(std::isfinite(sliced(good.view(), good.view(), {}, {}, std::vector<double>(5, 1e200)).distance));
}

}  // namespace
}  // namespace monge::ot
