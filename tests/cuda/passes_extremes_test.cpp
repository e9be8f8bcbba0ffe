// Passes on the CUDA room where numbers are at their limits. Without a GPU the kernels run in the emulator, if that was
// built, or the tests are skipped.
#include <cmath>
#include <numeric>

#include "passes_fixture.h"

namespace monge::ot {
namespace {

template <class T>
class CudaExtremesTest : public CudaPassesTest<T> {};
TYPED_TEST_SUITE(CudaExtremesTest, PassesTypes);

// Scores and potentials that are exact and cancel: what is left is how (s + f) / epsilon is rounded. Where it is far
// too large the sum is that of the largest number, not infinite.
TYPED_TEST(CudaExtremesTest, MassesOfLargePotentials) {
  using T = TypeParam;
  constexpr Index n = 300, m = 5;
  const std::vector<T> zeros(n), v(m, T(-1000));
  std::vector<T> f(n, T(1000));
  const Scores<T> s{.x = {zeros.data(), n, 1, 1}, .y = {zeros.data(), m, 1, 1}, .v = v};
  std::vector<double> mass(m);
  this->passes().histogram(s, T(0.3), VectorView<const T>(f), {}, mass, this->context);
  for (const double some : mass) EXPECT_NEAR(some, n, 16 * unit<T>() * n);

  f[17] += 1000;
  this->passes().histogram(s, T(0.3), VectorView<const T>(f), {}, mass, this->context);
  for (const double some : mass) EXPECT_NEAR(some / static_cast<double>(std::numeric_limits<T>::max()), 0.5, 1e-3);
}

// More weights than a block looks at for the largest, which is the last; the others' power of two is not that of all.
TYPED_TEST(CudaExtremesTest, MassesOfManyWeights) {
  using T = TypeParam;
  constexpr Index n = 20000;
  const T tiny = std::numeric_limits<T>::min();
  const std::vector<T> zeros(n), f(n, T(-3));
  std::vector<T> weights(n, tiny);
  const Scores<T> s{.x = {zeros.data(), n, 1, 1}, .y = {zeros.data(), 1, 1, 1}};
  const auto expect_mass = [&](double sum) {
    std::vector<double> mass(1);
    this->passes().histogram(s, T(1), VectorView<const T>(f), VectorView<const T>(weights), mass, this->context);
    EXPECT_NEAR(mass[0] / (sum * std::exp(-3.0)), 1, 16 * unit<T>());
  };
  std::fill_n(weights.begin(), 8192, T(0));
  expect_mass((n - 8192) * static_cast<double>(tiny));
  weights[n - 1] = 1000;
  expect_mass(1000);
}

// Potentials so large that their products with 1 / epsilon are rounded by more than an exponential can hold.
TYPED_TEST(CudaExtremesTest, MassesOfPotentialsBeyondRounding) {
  using T = TypeParam;
  constexpr Index n = 256;
  const std::vector<T> zeros(n);
  for (int q = 0; q < 40; ++q) {
    const std::vector<T> f(n, T(1000 + 7 * q)), v(1, -f[0]);
    const Scores<T> s{.x = {zeros.data(), n, 1, 1}, .y = {zeros.data(), 1, 1, 1}, .v = v};
    for (const T epsilon : {T(1e-5), T(1e-7), T(1e-15), T(1e-37)}) {
      std::vector<double> mass(1);
      this->passes().histogram(s, epsilon, VectorView<const T>(f), {}, mass, this->context);
      EXPECT_NEAR(mass[0], n, 8 * unit<T>() * n) << q << " " << epsilon;
      Matrix<T> ones(1, 1), out(n, 1);
      ones(0, 0) = 1;
      this->passes().apply(s, epsilon, std::as_const(ones).view(), out.view(), this->context);
      for (Index i = 0; i < n; i += 17) EXPECT_NEAR(out(i, 0), 1, 8 * unit<T>()) << q << " " << epsilon;
    }
  }
}

TYPED_TEST(CudaExtremesTest, EqualScoresShareAtAnyEpsilon) {
  using T = TypeParam;
  constexpr Index n = 3, m = 700;
  for (const int of : {-1000, -909, -181, 1000, 1001, 1609, 1987}) {
    const T best = static_cast<T>(of);
    const std::vector<T> zeros(m);
    std::vector<T> v(m, T(-2000));
    v[3] = v[67] = v[131] = v[699] = best;  // of the first three, two are one thread's
    const Scores<T> s{.x = {zeros.data(), n, 1, 1}, .y = {zeros.data(), m, 1, 1}, .v = v};
    Matrix<T> values(m, 1), out(n, 1);
    for (Index j = 0; j < m; ++j) values(j, 0) = static_cast<T>(j);
    for (const double epsilon : {1.0, 1e-4, 1e-6, 1e-7, 1e-15, 1e-30}) {
      this->passes().apply(s, static_cast<T>(epsilon), std::as_const(values).view(), out.view(), this->context);
      for (Index i = 0; i < n; ++i)
        ASSERT_NEAR(out(i, 0), (3 + 67 + 131 + 699) / 4.0, 1e-3) << best << " " << epsilon << " row " << i;
    }
  }
}

// Values near the largest number, and sums that are measured from a score far below the best.
TYPED_TEST(CudaExtremesTest, AppliesLargeValues) {
  using T = TypeParam;
  constexpr Index n = 3, m = 256;  // two tiles of one part
  const T large = std::numeric_limits<T>::max() / 1000;
  const std::vector<T> zeros(m);
  std::vector<T> v(m, T(36));
  std::fill_n(v.begin(), 128, T(0));
  const Scores<T> s{.x = {zeros.data(), n, 1, 1}, .y = {zeros.data(), m, 1, 1}, .v = v};
  for (const Index count : {1, 6}) {
    Matrix<T> values(m, count), out(n, count);
    std::fill_n(values.data(), m * count, large);
    this->passes().apply(s, T(1), std::as_const(values).view(), out.view(), this->context);
    for (Index i = 0; i < n; ++i)
      for (Index k = 0; k < count; ++k) EXPECT_NEAR(out(i, k) / large, 1, 64 * unit<T>()) << count;
  }
}

// A row bias of -infinity leaves no score, whatever the others are.
TYPED_TEST(CudaExtremesTest, RowsOfMinusInfinityGiveNothing) {
  using T = TypeParam;
  PassProblem<T> p({5, 40, 3}, normal<T>(3));
  p.u[2] = -std::numeric_limits<T>::infinity();
  Matrix<T> out(5, 3);
  this->passes().apply(p.scores(), T(1), p.scores().y, out.view(), this->context);
  for (Index k = 0; k < 3; ++k) EXPECT_EQ(out(2, k), 0);
  EXPECT_NE(out(1, 0), 0);
  std::vector<std::int32_t> drawn(5);
  this->passes().sample(p.scores(), T(1), Rng{1}, 0, drawn, this->context);
  for (Index i = 0; i < 5; ++i) EXPECT_EQ(drawn[i] == -1, i == 2);
  std::vector<double> mass(40);
  this->passes().histogram(p.scores(), T(0), {}, {}, mass, this->context);
  EXPECT_EQ(std::accumulate(mass.begin(), mass.end(), 0.0), 4);
}

// Where epsilon is below the rounding of scores a draw is the best column, or one as good.
TYPED_TEST(CudaExtremesTest, DrawsWithoutEpsilonToSpeakOf) {
  using T = TypeParam;
  constexpr Index n = 100, m = 512;
  for (const Index d : {2, 4, 5, 6, 7, 8, 16}) {
    PassProblem<T> p({n, m, d}, normal<T>(static_cast<std::uint64_t>(d)));
    const auto s = reference::dense(p.scores());
    for (const double epsilon : {1e-8, 1e-12, 1e-30}) {
      std::vector<std::int32_t> drawn(n, -7);
      this->passes().sample(p.scores(), static_cast<T>(epsilon), Rng{1}, 0, drawn, this->context);
      for (Index i = 0; i < n; ++i) {
        ASSERT_TRUE(drawn[i] >= 0 && drawn[i] < m) << d << " " << epsilon << " row " << i;
        EXPECT_GE(s(i, drawn[i]), reference::largest(s, i) - 2 * rounding<T>(s, d) - 50 * epsilon);
      }
    }
  }
}

TYPED_TEST(CudaExtremesTest, ScoresOfMinusInfinityCountForNothing) {
  using T = TypeParam;
  const T infinity = std::numeric_limits<T>::infinity();
  for (const Index d : {2, 20}) {
    for (const Index m : {3, 300}) {
      SCOPED_TRACE(concat("m=", m, " d=", d));
      PassProblem<T> p({3, m, d}, integers<T>(13));
      p.u[1] = -infinity;  // a row without any score
      for (Index j = 0; j < m; ++j) {
        if (j != 2) p.v[static_cast<std::size_t>(j)] = -infinity;  // a single column left
      }
      const auto s = reference::dense(p.scores());
      for (const double epsilon : {1e-3, 1.0}) {
        std::vector<T> f(3);
        this->passes().softmin(p.scores(), T(epsilon), f, this->context);
        EXPECT_EQ(f[0], -s(0, 2));
        EXPECT_EQ(f[1], infinity);
        EXPECT_EQ(f[2], -s(2, 2));
        std::vector<double> mass(static_cast<std::size_t>(m), -1), expected(mass.size(), 0.0);
        expected[2] = 2;
        this->passes().histogram(p.scores(), T(epsilon), VectorView<const T>(f), {}, mass, this->context);
        EXPECT_EQ(mass, expected);
      }
      std::vector<T> empty(static_cast<std::size_t>(m), -infinity), f(3);
      Scores<T> none = p.scores();
      none.v = empty;
      this->passes().softmin(none, T(1), f, this->context);
      EXPECT_EQ(f, std::vector<T>(3, infinity));
      std::vector<double> mass(static_cast<std::size_t>(m), -1);
      this->passes().histogram(none, T(1), VectorView<const T>(f), {}, mass, this->context);
      EXPECT_EQ(mass, std::vector<double>(mass.size(), 0.0));
      this->passes().histogram(none, T(0), {}, {}, mass, this->context);
      EXPECT_EQ(mass, std::vector<double>(mass.size(), 0.0));
      for (const Index k : {1, 3}) {
        Matrix<T> values(3, k);
        Matrix<std::int32_t> columns(3, k);
        this->passes().hardmin(none, values.view(), columns.view(), this->context);
        for (Index i = 0; i < 3 * k; ++i) {
          EXPECT_EQ(values.data()[i], -infinity);
          EXPECT_EQ(columns.data()[i], i % k);
        }
      }
      std::vector<std::int32_t> drawn(3);
      this->passes().sample(none, T(1), Rng{1}, 0, drawn, this->context);
      EXPECT_EQ(drawn, std::vector<std::int32_t>(3, -1));
      Matrix<T> out(3, d);
      this->passes().apply(none, T(1), p.scores().y, out.view(), this->context);
      for (Index i = 0; i < 3 * d; ++i) EXPECT_EQ(out.data()[i], 0);
    }
  }
}

TYPED_TEST(CudaExtremesTest, ExtremeScalesAndEpsilons) {
  using T = TypeParam;
  for (const Index d : {3, 20}) {
    SCOPED_TRACE(d);
    PassProblem<T> p({20, 300, d}, normal<T>(14));
    std::fill(p.u.begin(), p.u.end(), T(0));
    std::fill(p.v.begin(), p.v.end(), T(0));
    std::vector<T> f(20), scaled(20);
    this->passes().softmin(p.scores(), T(0.25), f, this->context);
    for (const int power : {-100, 100}) {
      p.scale = std::ldexp(T(1), power);
      const T epsilon = std::ldexp(T(0.25), power);
      this->passes().softmin(p.scores(), epsilon, scaled, this->context);
      for (Index i = 0; i < 20; ++i)
        EXPECT_NEAR(std::ldexp(double(scaled[i]), -power), double(f[i]), 1e-5 * std::abs(double(f[i])) + 1e-6) << power;
      std::vector<double> mass(300);
      this->passes().histogram(p.scores(), epsilon, VectorView<const T>(scaled), {}, mass, this->context);
      EXPECT_NEAR(std::accumulate(mass.begin(), mass.end(), 0.0), 20, 1e-3);
    }
    p.scale = 1;
    const auto s = reference::dense(p.scores());
    for (const double epsilon : {1e-38, 1e-20}) {
      this->passes().softmin(p.scores(), T(epsilon), f, this->context);
      for (Index i = 0; i < 20; ++i) EXPECT_NEAR(f[i], -reference::largest(s, i), rounding<T>(s, d));
    }
    this->passes().softmin(p.scores(), T(1e30), f, this->context);
    for (Index i = 0; i < 20; ++i) EXPECT_NEAR(f[i] / 1e30, -std::log(300.0), 1e-5);
  }
}

TYPED_TEST(CudaExtremesTest, NoRowsAndTooManyAskedFor) {
  using T = TypeParam;
  const std::vector<T> y(60, T(1));
  for (const Index d : {2, 12}) {
    const Scores<T> s{.x = {nullptr, 0, d}, .y = {y.data(), 5, d}};
    std::vector<T> nothing;
    std::vector<double> mass(5, 7.0);
    this->passes().softmin(s, T(1), nothing, this->context);
    this->passes().histogram(s, T(1), {}, {}, mass, this->context);
    EXPECT_EQ(mass, std::vector<double>(5, 0.0));
    const Scores<T> two{.x = {y.data(), 2, d}, .y = {y.data(), 5, d}};
    Matrix<T> values(2, 6);
    Matrix<std::int32_t> columns(2, 6);
    EXPECT_THROW(this->passes().hardmin(two, values.view(), columns.view(), this->context), Error);
  }
}

}  // namespace
}  // namespace monge::ot
