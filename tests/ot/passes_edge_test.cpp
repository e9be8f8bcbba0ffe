// Infinities, extreme scales, thread counts and instruction sets.
#include <hwy/targets.h>

#include <numeric>

#include "monge/ot/core/parallel.h"
#include "passes_problem.h"

namespace monge::ot {
namespace {

template <class T>
class PassesEdgeTest : public PassesFixture<T> {};
TYPED_TEST_SUITE(PassesEdgeTest, PassesTypes);

TYPED_TEST(PassesEdgeTest, ScoresOfMinusInfinityCountForNothing) {
  using T = TypeParam;
  const T infinity = std::numeric_limits<T>::infinity();
  for (const Index m : {3, 40, 1000}) {
    SCOPED_TRACE(m);
    PassProblem<T> p({3, m, 2}, integers<T>(13));
    p.u[1] = -infinity;  // a row without any score
    for (Index j = 0; j < m; ++j) {
      if (j != 2) p.v[static_cast<std::size_t>(j)] = -infinity;  // a single column left
    }
    const auto s = reference::dense(p.scores());
    for (const double epsilon : {1e-3, 1.0, 1e3}) {
      const Buffer<T> f = this->softmin(p.scores(), T(epsilon));
      EXPECT_EQ(f[0], -s(0, 2));
      EXPECT_EQ(f[1], infinity);
      EXPECT_EQ(f[2], -s(2, 2));
      std::vector<double> mass(static_cast<std::size_t>(m), -1), expected(mass.size(), 0.0);
      expected[2] = 2;
      this->passes.histogram(p.scores(), T(epsilon), f.view(), {}, mass, {});
      EXPECT_EQ(mass, expected);
    }
    std::vector<T> empty(static_cast<std::size_t>(m), -infinity), f(3);
    Scores<T> none = p.scores();
    none.v = empty;
    this->passes.softmin(none, T(1), f, {});
    EXPECT_EQ(f, std::vector<T>(3, infinity));
    std::vector<double> mass(static_cast<std::size_t>(m), -1);
    this->passes.histogram(none, T(1), f, {}, mass, {});
    EXPECT_EQ(mass, std::vector<double>(mass.size(), 0.0));
    this->passes.histogram(none, T(0), {}, {}, mass, {});
    EXPECT_EQ(mass, std::vector<double>(mass.size(), 0.0));
    Matrix<T> values(3, 3), out(3, 3);
    Matrix<std::int32_t> columns(3, 3);
    this->passes.hardmin(none, values.view(), columns.view(), {});
    for (Index i = 0; i < 9; ++i) {
      EXPECT_EQ(values.data()[i], -infinity);
      EXPECT_EQ(columns.data()[i], i % 3);
    }
    std::vector<std::int32_t> drawn(3);
    this->passes.sample(none, T(1), Rng{1}, 0, drawn, {});
    EXPECT_EQ(drawn, std::vector<std::int32_t>(3, -1));
    this->passes.apply(none, T(1), p.scores().y.rows_from(0, m), {out.data(), 3, 2, 3}, {});
    for (Index i = 0; i < 3; ++i) EXPECT_EQ(out(i, 0), 0);
  }
}

// A row bias of -infinity leaves no score, whatever the others are.
TYPED_TEST(PassesEdgeTest, RowsOfMinusInfinityGiveNothing) {
  using T = TypeParam;
  PassProblem<T> p({5, 40, 3}, normal<T>(3));
  p.u[2] = -std::numeric_limits<T>::infinity();
  Matrix<T> out(5, 3);
  this->passes.apply(p.scores(), T(1), p.scores().y, out.view(), {});
  for (Index k = 0; k < 3; ++k) EXPECT_EQ(out(2, k), 0);
  EXPECT_NE(out(1, 0), 0);
  std::vector<std::int32_t> drawn(5);
  this->passes.sample(p.scores(), T(1), Rng{1}, 0, drawn, {});
  for (Index i = 0; i < 5; ++i) EXPECT_EQ(drawn[static_cast<std::size_t>(i)] == -1, i == 2);
  std::vector<double> mass(40);
  this->passes.histogram(p.scores(), T(0), {}, {}, mass, {});
  EXPECT_EQ(std::accumulate(mass.begin(), mass.end(), 0.0), 4);
}

// Also where epsilon is below the rounding of scores, and in different tiles.
TYPED_TEST(PassesEdgeTest, EqualScoresShareAtAnyEpsilon) {
  using T = TypeParam;
  constexpr Index n = 3000, m = 700;
  const std::vector<T> zeros(n);
  std::vector<T> v(m);
  v[3] = v[300] = v[699] = 1000;
  const Scores<T> s{.x = {zeros.data(), n, 1}, .y = {zeros.data(), m, 1}, .v = v};
  Matrix<T> values(m, 1), out(n, 1);
  for (Index j = 0; j < m; ++j) values(j, 0) = static_cast<T>(j);
  for (const double epsilon : {1.0, 1e-4, 1e-7, 1e-15, 1e-30}) {
    SCOPED_TRACE(epsilon);
    this->passes.apply(s, static_cast<T>(epsilon), std::as_const(values).view(), out.view(), {});
    EXPECT_NEAR(out(n / 2, 0), 334, 1e-3);
    std::vector<std::int32_t> drawn(n);
    this->passes.sample(s, static_cast<T>(epsilon), Rng{1}, 0, drawn, {});
    for (const int j : {3, 300, 699}) EXPECT_NEAR(std::count(drawn.begin(), drawn.end(), j), n / 3, 130) << j;
  }
}

// Scores times c at epsilon times c, c a power of two, are the same problem: results scale exactly but for the
// logarithm.
TYPED_TEST(PassesEdgeTest, ScalesFromTinyToHugeAreTheSameProblem) {
  using T = TypeParam;
  PassProblem<T> p({20, 900, 3}, normal<T>(14));
  std::fill(p.u.begin(), p.u.end(), T(0));
  std::fill(p.v.begin(), p.v.end(), T(0));
  const Buffer<T> f = this->softmin(p.scores(), T(0.25));
  for (const int power : {-100, -60, 60, 100}) {
    SCOPED_TRACE(power);
    p.scale = std::ldexp(T(1), power);
    const T epsilon = std::ldexp(T(0.25), power);
    const Buffer<T> scaled = this->softmin(p.scores(), epsilon);
    for (Index i = 0; i < 20; ++i)
      EXPECT_NEAR(std::ldexp(double(scaled[i]), -power), double(f[i]), 1e-5 * std::abs(double(f[i])) + 1e-6);
    Matrix<T> out(20, 3);
    this->passes.apply(p.scores(), epsilon, p.scores().y, out.view(), {});
    std::vector<double> mass(900);
    this->passes.histogram(p.scores(), epsilon, scaled.view(), {}, mass, {});
    EXPECT_NEAR(std::accumulate(mass.begin(), mass.end(), 0.0), 20, 1e-3);
    for (Index i = 0; i < 60; ++i) EXPECT_TRUE(std::isfinite(out.data()[i]));
  }
}

// An epsilon far below, or above, all differences: softmin tends to the largest score, or to epsilon log m.
TYPED_TEST(PassesEdgeTest, ExtremeEpsilons) {
  using T = TypeParam;
  const PassProblem<T> p({9, 2000, 20}, normal<T>(15));
  const auto s = reference::dense(p.scores());
  for (const double epsilon : {1e-38, 1e-30, 1e-20}) {
    const Buffer<T> f = this->softmin(p.scores(), T(epsilon));
    for (Index i = 0; i < 9; ++i) EXPECT_NEAR(f[i], -reference::largest(s, i), rounding<T>(s, 20));
  }
  for (const double epsilon : {1e20, 1e30}) {
    const Buffer<T> f = this->softmin(p.scores(), T(epsilon));
    for (Index i = 0; i < 9; ++i) EXPECT_NEAR(f[i] / epsilon, -std::log(2000.0), 1e-5);
  }
}

// One large score, and so many that are hardly worth anything that together they are.
TYPED_TEST(PassesEdgeTest, ManySmallTermsCount) {
  using T = TypeParam;
  const Index m = 100000;
  const double below = std::log(std::ldexp(1.0, std::numeric_limits<T>::digits + 2)) + 0.2;
  std::vector<T> v(static_cast<std::size_t>(m), static_cast<T>(-below)), zero(v.size(), T(0));
  v[0] = 0;
  const Scores<T> s{.x = {zero.data(), 1, 1}, .y = {zero.data(), m, 1}, .v = v};
  const double expected = -std::log1p(static_cast<double>(m) * std::exp(-below));
  EXPECT_NEAR(this->softmin(s, T(1))[0], expected, 0.01 * std::abs(expected));
}

TYPED_TEST(PassesEdgeTest, LargeBiasesDoNotDrownTheSum) {
  using T = TypeParam;
  const std::vector<T> u = {T(1e6)}, zero(500, T(0));
  const T one = 0;
  const Scores<T> s{.x = {&one, 1, 1}, .y = {zero.data(), 500, 1}, .u = u};
  const Buffer<T> f = this->softmin(s, T(1));
  EXPECT_NEAR(f[0], -1e6 - std::log(500.0), 0.04);
}

// What every verb says about one problem.
template <class T>
struct Results {
  std::vector<T> f, top, mean;
  std::vector<std::int32_t> columns, drawn;
  std::vector<double> soft, hard;
  bool operator==(const Results&) const = default;
};

template <class T>
Results<T> run_all(const Scores<T>& s, T epsilon, int threads) {
  auto& passes = passes_for<T>({});
  const Context context{.threads = threads};
  const auto n = static_cast<std::size_t>(s.rows()), m = static_cast<std::size_t>(s.cols());
  Results<T> r;
  r.f.resize(n), r.top.resize(3 * n), r.mean.resize(12 * n), r.columns.resize(3 * n), r.drawn.resize(n);
  r.soft.resize(m), r.hard.resize(m);
  Matrix<T> values(s.cols(), 12);
  fill_normal(Rng{17}, 0, {values.data(), s.cols() * 12});
  passes.softmin(s, epsilon, r.f, context);
  passes.hardmin(s, {r.top.data(), s.rows(), 3}, {r.columns.data(), s.rows(), 3}, context);
  passes.sample(s, epsilon, Rng{18}, 5, r.drawn, context);
  passes.histogram(s, epsilon, r.f, {}, r.soft, context);
  passes.histogram(s, 0, {}, {}, r.hard, context);
  passes.apply(s, epsilon, values.view(), {r.mean.data(), s.rows(), 12}, context);
  return r;
}

TYPED_TEST(PassesEdgeTest, SameBitsAtAnyThreadCount) {
  using T = TypeParam;
  for (const Case& c :
       {Case{1100, 1300, 784}, Case{40, 5000, 33}, Case{1500, 700, 3}, Case{9, 3000, 0, Source::stored},
        Case{600, 1300, 131, Source::points, Metric::euclidean}, Case{30, 5000, 3, Source::points, Metric::l1, true},
        Case{600, 700, 20, Source::points, Metric::dot, true}, Case{300, 3001, 0, Source::stored, Metric::dot, true}}) {
    SCOPED_TRACE(describe(c));
    const PassProblem<T> p(c, normal<T>(16));
    const Results<T> one = run_all<T>(p.scores(), 3, 1);
    EXPECT_TRUE(one == run_all<T>(p.scores(), 3, 2));
    EXPECT_TRUE(one == run_all<T>(p.scores(), 3, 3));
    with_team(3, [&] { EXPECT_TRUE(one == run_all<T>(p.scores(), 3, 0)); });
  }
}

template <class T>
void expect_near(const std::vector<T>& a, const std::vector<T>& b, double relative, double absolute) {
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], relative * std::abs(double(b[i])) + absolute) << i;
}

// On a machine with AVX-512 the other tests see nothing of the code for AVX2 and for older processors.
TYPED_TEST(PassesEdgeTest, EveryInstructionSetAgrees) {
  using T = TypeParam;
  const double unit = std::numeric_limits<T>::epsilon();
  for (const Case& c :
       {Case{130, 1301, 5}, Case{260, 700, 20}, Case{20, 300, 0, Source::stored},
        Case{131, 301, 9, Source::points, Metric::euclidean}, Case{131, 301, 70, Source::points, Metric::l1, true},
        Case{21, 301, 0, Source::stored, Metric::dot, true}}) {
    SCOPED_TRACE(describe(c));
    const PassProblem<T> p(c, integers<T>(19));
    const Results<T> best = run_all<T>(p.scores(), 2, 1);
    for (const std::int64_t target : {HWY_SCALAR, HWY_AVX2}) {
      if (target != HWY_SCALAR && !(hwy::SupportedTargets() & target)) continue;
      SCOPED_TRACE(hwy::TargetName(target));
      hwy::SetSupportedTargetsForTest(target);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      const Results<T> other = run_all<T>(p.scores(), 2, 1);
      hwy::SetSupportedTargetsForTest(0);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      EXPECT_EQ(other.top, best.top);
      EXPECT_EQ(other.columns, best.columns);
      EXPECT_EQ(other.hard, best.hard);
      expect_near(other.f, best.f, 4 * unit, 4 * unit);
      expect_near(other.soft, best.soft, 100 * unit, 0);
      expect_near(other.mean, best.mean, 0, 50 * unit);
      std::size_t moved = 0;
      for (std::size_t i = 0; i < best.drawn.size(); ++i) moved += other.drawn[i] != best.drawn[i];
      EXPECT_LE(moved, 1u);  // a draw on the edge may fall to the other side
    }
  }
}

TYPED_TEST(PassesEdgeTest, NoRowsAndTooManyAskedFor) {
  using T = TypeParam;
  const std::vector<T> y(10, T(1));
  const Scores<T> s{.x = {nullptr, 0, 2}, .y = {y.data(), 5, 2}};
  std::vector<T> nothing;
  std::vector<double> mass(5, 7.0);
  this->passes.softmin(s, T(1), nothing, {});
  this->passes.histogram(s, T(1), {}, {}, mass, {});
  EXPECT_EQ(mass, std::vector<double>(5, 0.0));
  const Scores<T> two{.x = {y.data(), 2, 2}, .y = {y.data(), 5, 2}};
  Matrix<T> values(2, 6);
  Matrix<std::int32_t> columns(2, 6);
  EXPECT_THROW(this->passes.hardmin(two, values.view(), columns.view(), {}), Error);
}

}  // namespace
}  // namespace monge::ot
