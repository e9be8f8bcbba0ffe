#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <string>
#include <vector>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/parallel.h"
#include "reference.h"

namespace monge::ot {
namespace {

enum class Source { points, strided, stored };

struct Case {
  Index n, m, d;
  Source source = Source::points;
};

std::string describe(const Case& c) {
  const char* names[] = {"points", "strided points", "stored"};
  return concat(names[static_cast<int>(c.source)], " n=", c.n, " m=", c.m, " d=", c.d);
}

// Every shape at which something changes: one row or column, the direct products (d <= 8) and the GEMM, sizes around a
// vector, a granule and a tile, several tiles, shares of columns, ragged edges.
const std::vector<Case> cases = {
    {1, 1, 1},
    {1, 1, 64},
    {1, 777, 3},
    {300, 1, 2},
    {5, 17, 8},
    {33, 129, 9},
    {257, 255, 1},
    {64, 256, 33},
    {100, 1001, 2},
    {513, 300, 3},
    {300, 700, 64},
    {13, 519, 784},
    {2, 9000, 16},
    {3, 5122, 2},
    {70, 600, 7, Source::strided},
    {70, 600, 40, Source::strided},
    {1, 1, 0, Source::stored},
    {3, 1000, 0, Source::stored},
    {259, 512, 0, Source::stored},
    {300, 530, 0, Source::stored},
};

// Owns what a Scores borrows. Values are drawn by make(rng) -> T.
template <class T>
struct Problem {
  Matrix<T> x, y, stored;
  std::vector<T> u, v;
  T scale = 1;
  Index d = 0, n = 0, m = 0;

  template <class Make>
  Problem(const Case& c, Make make) : d(c.d), n(c.n), m(c.m) {
    const Index gap = c.source == Source::strided ? 5 : 0;
    if (c.source == Source::stored) {
      stored = Matrix<T>(n, m + 3);
      for (Index i = 0; i < n * (m + 3); ++i) stored.data()[i] = make();
    } else {
      x = Matrix<T>(n, d + gap);
      y = Matrix<T>(m, d + gap);
      for (Index i = 0; i < n * (d + gap); ++i) x.data()[i] = make();
      for (Index i = 0; i < m * (d + gap); ++i) y.data()[i] = make();
    }
    for (Index i = 0; i < n; ++i) u.push_back(make());
    for (Index j = 0; j < m; ++j) v.push_back(make());
  }

  Scores<T> scores() const {
    Scores<T> s{.scale = scale, .u = u, .v = v};
    if (stored.rows() > 0) {
      s.stored = {stored.data(), n, m, m + 3};
    } else {
      s.x = {x.data(), n, d, x.cols()};
      s.y = {y.data(), m, d, y.cols()};
    }
    return s;
  }
};

// Normal numbers, one after the other.
template <class T>
auto normal(std::uint64_t seed) {
  return [rng = Rng{seed}, i = std::uint64_t{0}]() mutable {
    T z;
    fill_normal(rng, i++, {&z, 1});
    return z;
  };
}

// Small integers: products and sums are exact, and ties are everywhere.
template <class T>
auto integers(std::uint64_t seed) {
  return [rng = Rng{seed}, i = std::uint64_t{0}]() mutable {
    return static_cast<T>(static_cast<int>(uniform_below(rng, i++, 5)) - 2);
  };
}

// Rounding that any sensible order of operations may show, in units of the scores.
template <class T>
double rounding(const reference::DenseScores& s, Index d) {
  return std::numeric_limits<T>::epsilon() * s.magnitude * (4 + std::sqrt(static_cast<double>(d)));
}

template <class T>
class PassesTest : public testing::Test {
 protected:
  Passes<T>& passes = passes_for<T>({});

  Buffer<T> softmin(const Scores<T>& s, T epsilon, int threads = 0) {
    Buffer<T> f(s.rows());
    passes.softmin(s, epsilon, f.view(), {.threads = threads});
    return f;
  }
};

using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(PassesTest, Types);

TYPED_TEST(PassesTest, SoftminMatchesTheReference) {
  using T = TypeParam;
  for (const Case& c : cases) {
    SCOPED_TRACE(describe(c));
    Problem<T> p(c, normal<T>(1));
    p.scale = T(-0.5);
    const auto s = reference::dense(p.scores());
    for (const double epsilon : {0.01, 1.0, 100.0}) {
      const Buffer<T> f = this->softmin(p.scores(), T(epsilon));
      const double tolerance =
          rounding<T>(s, c.d) + 4 * epsilon * std::numeric_limits<T>::epsilon() * std::log(2 + c.m);
      for (Index i = 0; i < c.n; ++i) {
        ASSERT_NEAR(f[i], reference::softmin(s, T(epsilon), i), tolerance) << "row " << i << ", epsilon " << epsilon;
      }
    }
  }
}

TYPED_TEST(PassesTest, HardminMatchesTheReference) {
  using T = TypeParam;
  for (const Case& c : cases) {
    SCOPED_TRACE(describe(c));
    const Problem<T> p(c, normal<T>(2));
    const auto s = reference::dense(p.scores());
    const double tolerance = rounding<T>(s, c.d);
    for (const Index k : {Index{1}, std::min<Index>(7, c.m), std::min<Index>(300, c.m)}) {
      Matrix<T> values(c.n, k);
      Matrix<std::int32_t> columns(c.n, k);
      this->passes.hardmin(p.scores(), values.view(), columns.view(), {});
      for (Index i = 0; i < c.n; ++i) {
        const auto order = reference::ranking(s, i);
        for (Index r = 0; r < k; ++r) {
          ASSERT_NEAR(values(i, r), s(i, order[static_cast<std::size_t>(r)]), tolerance)
              << "row " << i << ", rank " << r;
          ASSERT_NEAR(values(i, r), s(i, columns(i, r)), tolerance) << "row " << i << ", rank " << r;
          ASSERT_GE(values(i, std::max<Index>(r - 1, 0)), values(i, r));
          for (Index q = 0; q < r; ++q) ASSERT_NE(columns(i, q), columns(i, r));
        }
      }
    }
  }
}

TYPED_TEST(PassesTest, HardminBreaksTiesByTheLowerColumn) {
  using T = TypeParam;
  for (const Case& c : cases) {
    SCOPED_TRACE(describe(c));
    const Problem<T> p(c, integers<T>(3));
    const auto s = reference::dense(p.scores());
    for (const Index k : {Index{1}, std::min<Index>(5, c.m), std::min<Index>(400, c.m)}) {
      Matrix<T> values(c.n, k);
      Matrix<std::int32_t> columns(c.n, k);
      this->passes.hardmin(p.scores(), values.view(), columns.view(), {});
      for (Index i = 0; i < c.n; ++i) {
        const auto order = reference::ranking(s, i);
        for (Index r = 0; r < k; ++r) {
          ASSERT_EQ(columns(i, r), order[static_cast<std::size_t>(r)]) << "row " << i << ", rank " << r;
          ASSERT_EQ(values(i, r), s(i, columns(i, r))) << "row " << i << ", rank " << r;
        }
      }
    }
  }
}

TYPED_TEST(PassesTest, HistogramMatchesTheReference) {
  using T = TypeParam;
  for (const Case& c : cases) {
    SCOPED_TRACE(describe(c));
    const Problem<T> p(c, normal<T>(4));
    const auto s = reference::dense(p.scores());
    const T epsilon = static_cast<T>(0.1 * s.magnitude);
    const Buffer<T> f = this->softmin(p.scores(), epsilon);
    std::vector<T> weights;
    for (Index i = 0; i < c.n; ++i) weights.push_back(static_cast<T>(i % 7) / 2);
    const std::vector<double> f_double(f.data(), f.data() + c.n);
    for (const bool weighted : {false, true}) {
      std::vector<double> row_weights(static_cast<std::size_t>(c.n), 1.0);
      if (weighted) row_weights.assign(weights.begin(), weights.end());
      const auto expected = reference::histogram(s, epsilon, f_double, row_weights);
      std::vector<double> mass(static_cast<std::size_t>(c.m), -1);
      this->passes.histogram(p.scores(), epsilon, f.view(),
                             weighted ? VectorView<const T>(weights) : VectorView<const T>{}, mass, {});
      const double tolerance = 2 * rounding<T>(s, c.d) / epsilon + 8 * std::numeric_limits<T>::epsilon();
      for (std::size_t j = 0; j < mass.size(); ++j) {
        ASSERT_NEAR(mass[j], expected[j], tolerance * expected[j]) << "column " << j << ", weighted " << weighted;
      }
    }
  }
}

// Of one row with f = 0 and epsilon = 1 the histogram is exp(v_j): within 2 units of the last place, and what the
// rounding of v_j log2 e adds.
TYPED_TEST(PassesTest, ExponentialsAreGoodToTheLastPlaces) {
  using T = TypeParam;
  const Index m = 20001;
  const T one = 0, f = 0;
  std::vector<T> v, zero(static_cast<std::size_t>(m), T(0));
  for (Index j = 0; j < m; ++j) v.push_back(static_cast<T>(j < 10000 ? -j * 1e-4 : (j - 15000) * 0.017));
  const Scores<T> s{.x = {&one, 1, 1}, .y = {zero.data(), m, 1}, .v = v};
  std::vector<double> mass(v.size());
  this->passes.histogram(s, T(1), {&f, 1}, {}, mass, {});
  for (std::size_t j = 0; j < v.size(); ++j) {
    const double expected = std::exp(double(v[j]));
    ASSERT_NEAR(mass[j], expected, (2 + std::abs(v[j])) * std::numeric_limits<T>::epsilon() * expected) << v[j];
  }
}

TYPED_TEST(PassesTest, HistogramWithoutEpsilonCountsTheLargest) {
  using T = TypeParam;
  for (const Case& c : cases) {
    SCOPED_TRACE(describe(c));
    const Problem<T> p(c, integers<T>(5));
    const auto s = reference::dense(p.scores());
    std::vector<T> weights;
    std::vector<double> expected(static_cast<std::size_t>(c.m), 0.0), mass(expected.size(), -1);
    for (Index i = 0; i < c.n; ++i) {
      weights.push_back(static_cast<T>(i % 3));
      expected[static_cast<std::size_t>(reference::ranking(s, i)[0])] += static_cast<double>(i % 3);
    }
    this->passes.histogram(p.scores(), 0, {}, weights, mass, {});
    ASSERT_EQ(mass, expected);
  }
}

TYPED_TEST(PassesTest, ApplyMatchesTheReference) {
  using T = TypeParam;
  for (const Case& c : cases) {
    SCOPED_TRACE(describe(c));
    Problem<T> p(c, normal<T>(6));
    const auto s = reference::dense(p.scores());
    for (const Index width : {1, 3, 8, 21}) {
      Matrix<T> values(c.m, width), out(c.n, width + 2);
      fill_normal(Rng{7}, 0, {values.data(), c.m * width});
      std::fill_n(out.data(), c.n * (width + 2), T(77));
      for (const double relative : {0.002, 0.1}) {
        const T epsilon = static_cast<T>(relative * s.magnitude);
        this->passes.apply(p.scores(), epsilon, values.view(), {out.data(), c.n, width, width + 2}, {});
        const double tolerance = 10 * (2 * rounding<T>(s, c.d) / epsilon + 8 * std::numeric_limits<T>::epsilon());
        for (Index i = 0; i < c.n; ++i) {
          const auto weights = reference::softmax(s, epsilon, i);
          for (Index k = 0; k < width; ++k) {
            double expected = 0;
            for (Index j = 0; j < c.m; ++j) expected += weights[static_cast<std::size_t>(j)] * double(values(j, k));
            ASSERT_NEAR(out(i, k), expected, tolerance) << "row " << i << ", value " << k << ", epsilon " << epsilon;
          }
          ASSERT_EQ(out(i, width), T(77)) << "wrote between the rows";
        }
      }
    }
  }
}

// Chi-square of drawn columns against the softmax of one row. The bound is five standard deviations of the statistic.
void expect_law(const std::vector<double>& counts, const std::vector<double>& law) {
  const double draws = std::accumulate(counts.begin(), counts.end(), 0.0);
  double statistic = 0, freedom = -1, rest_count = 0, rest_law = 0;
  const auto add = [&](double count, double p) {
    statistic += (count - draws * p) * (count - draws * p) / (draws * p);
    freedom += 1;
  };
  for (std::size_t j = 0; j < law.size(); ++j) {
    if (draws * law[j] >= 8) {
      add(counts[j], law[j]);
    } else {
      rest_count += counts[j];
      rest_law += law[j];
    }
  }
  if (draws * rest_law >= 8) add(rest_count, rest_law);
  ASSERT_GT(freedom, 5);
  EXPECT_LT(statistic, freedom + 5 * std::sqrt(2 * freedom));
  EXPECT_GT(statistic, freedom - 5 * std::sqrt(2 * freedom));  // drawn too evenly to be random
}

TYPED_TEST(PassesTest, SampleDrawsFromTheSoftmax) {
  using T = TypeParam;
  // Rows all alike: each draws from the same law. Few rows are cut by columns, many are not.
  struct Shape {
    Index n, m;
    double epsilon;
  };
  for (const Shape& shape : {Shape{60000, 700, 1.0}, Shape{60000, 700, 0.15}, Shape{500, 9000, 0.5}}) {
    SCOPED_TRACE(concat(shape.n, " x ", shape.m, ", epsilon ", shape.epsilon));
    std::vector<T> v(static_cast<std::size_t>(shape.m)), y(v.size(), T(0)), x(static_cast<std::size_t>(shape.n), T(1));
    fill_normal(Rng{8}, 0, VectorView<T>(v));
    v[3] = v[300] = -std::numeric_limits<T>::infinity();
    const Scores<T> s{.x = {x.data(), shape.n, 1}, .y = {y.data(), shape.m, 1}, .v = v};
    const Scores<T> one{.x = {x.data(), 1, 1}, .y = {y.data(), shape.m, 1}, .v = v};
    const auto law = reference::softmax(reference::dense(one), shape.epsilon, 0);
    std::vector<double> counts(v.size(), 0.0);
    std::vector<std::int32_t> columns(x.size());
    for (Index drawn = 0; drawn < 60000; drawn += shape.n) {
      this->passes.sample(s, T(shape.epsilon), Rng{9}, static_cast<std::uint64_t>(drawn), columns, {});
      for (const std::int32_t j : columns) counts[static_cast<std::size_t>(j)] += 1;
    }
    EXPECT_EQ(counts[3] + counts[300], 0);
    expect_law(counts, law);
  }
}

// Successive rows draw independently: pairs of columns, each put into four classes, follow the product law.
TYPED_TEST(PassesTest, SampledRowsAreIndependent) {
  using T = TypeParam;
  const Index n = 100000, m = 1024;
  std::vector<T> zero(static_cast<std::size_t>(n), T(0));
  const Scores<T> s{.x = {zero.data(), n, 1}, .y = {zero.data(), m, 1}};
  std::vector<std::int32_t> columns(zero.size());
  this->passes.sample(s, T(1), Rng{10}, 0, columns, {});
  std::vector<double> counts(16, 0.0);
  for (std::size_t i = 0; i + 1 < columns.size(); i += 2)
    counts[static_cast<std::size_t>(columns[i] / 256 * 4 + columns[i + 1] / 256)] += 1;
  expect_law(counts, std::vector<double>(16, 1.0 / 16));
}

TYPED_TEST(PassesTest, ARowsDrawDoesNotDependOnItsBatch) {
  using T = TypeParam;
  const Problem<T> p({600, 3000, 5}, integers<T>(11));
  const Scores<T> all = p.scores();
  std::vector<std::int32_t> together(600), apart(600);
  this->passes.sample(all, T(1), Rng{12}, 1000, together, {});
  for (Index first = 0; first < 600; first += 37) {
    const Index count = std::min<Index>(37, 600 - first);
    Scores<T> part = all;
    part.x = all.x.rows_from(first, count);
    part.u = {all.u.data + first, count};
    this->passes.sample(part, T(1), Rng{12}, 1000 + static_cast<std::uint64_t>(first), {apart.data() + first, count},
                        {});
  }
  EXPECT_EQ(together, apart);
}

TYPED_TEST(PassesTest, ScoresOfMinusInfinityCountForNothing) {
  using T = TypeParam;
  const T infinity = std::numeric_limits<T>::infinity();
  for (const Index m : {3, 40, 1000}) {
    SCOPED_TRACE(m);
    Problem<T> p({3, m, 2}, integers<T>(13));
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

// Scores times c at epsilon times c, c a power of two, are the same problem: results scale exactly but for the
// logarithm.
TYPED_TEST(PassesTest, ScalesFromTinyToHugeAreTheSameProblem) {
  using T = TypeParam;
  Problem<T> p({20, 900, 3}, normal<T>(14));
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
TYPED_TEST(PassesTest, ExtremeEpsilons) {
  using T = TypeParam;
  const Problem<T> p({9, 2000, 20}, normal<T>(15));
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
TYPED_TEST(PassesTest, ManySmallTermsCount) {
  using T = TypeParam;
  const Index m = 100000;
  const double below = std::log(std::ldexp(1.0, std::numeric_limits<T>::digits + 2)) + 0.2;
  std::vector<T> v(static_cast<std::size_t>(m), static_cast<T>(-below)), zero(v.size(), T(0));
  v[0] = 0;
  const Scores<T> s{.x = {zero.data(), 1, 1}, .y = {zero.data(), m, 1}, .v = v};
  const double expected = -std::log1p(static_cast<double>(m) * std::exp(-below));
  EXPECT_NEAR(this->softmin(s, T(1))[0], expected, 0.01 * std::abs(expected));
}

TYPED_TEST(PassesTest, LargeBiasesDoNotDrownTheSum) {
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

TYPED_TEST(PassesTest, SameBitsAtAnyThreadCount) {
  using T = TypeParam;
  for (const Case& c :
       {Case{1100, 1300, 784}, Case{40, 5000, 33}, Case{1500, 700, 3}, Case{9, 3000, 0, Source::stored}}) {
    SCOPED_TRACE(describe(c));
    const Problem<T> p(c, normal<T>(16));
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
TYPED_TEST(PassesTest, EveryInstructionSetAgrees) {
  using T = TypeParam;
  const double unit = std::numeric_limits<T>::epsilon();
  for (const Case& c : {Case{130, 1301, 5}, Case{260, 700, 20}, Case{20, 300, 0, Source::stored}}) {
    SCOPED_TRACE(describe(c));
    const Problem<T> p(c, integers<T>(19));
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

TYPED_TEST(PassesTest, NoRowsAndTooManyAskedFor) {
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
