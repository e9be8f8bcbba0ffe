// The table of verb x type x shape x source against the naive references, and the law of the draws.
#include "passes_problem.h"

namespace monge::ot {
namespace {

template <class T>
class PassesTest : public PassesFixture<T> {};
TYPED_TEST_SUITE(PassesTest, PassesTypes);

TYPED_TEST(PassesTest, SoftminMatchesTheReference) {
  using T = TypeParam;
  for (const Case& c : cases) {
    SCOPED_TRACE(describe(c));
    PassProblem<T> p(c, normal<T>(1));
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
    const PassProblem<T> p(c, normal<T>(2));
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
  for (const Case& c : exact_cases()) {
    SCOPED_TRACE(describe(c));
    const PassProblem<T> p(c, integers<T>(3));
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
    const PassProblem<T> p(c, normal<T>(4));
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
  for (const Case& c : exact_cases()) {
    SCOPED_TRACE(describe(c));
    const PassProblem<T> p(c, integers<T>(5));
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
    PassProblem<T> p(c, normal<T>(6));
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
  for (const Case& c : {Case{600, 3000, 5}, Case{600, 3000, 5, Source::points, Metric::l1, true}}) {
    SCOPED_TRACE(describe(c));
    const PassProblem<T> p(c, integers<T>(11));
    const Scores<T> all = p.scores();
    std::vector<std::int32_t> together(600), apart(600);
    this->passes.sample(all, T(1), Rng{12}, 1000, together, {});
    for (Index first = 0; first < 600; first += 37) {
      const Index count = std::min<Index>(37, 600 - first);
      Scores<T> part = all;
      part.x = all.x.rows_from(first, count);
      part.u = {all.u.data + first, count};
      if (c.labelled) part.row_labels = {all.row_labels.data + first, count};
      this->passes.sample(part, T(1), Rng{12}, 1000 + static_cast<std::uint64_t>(first), {apart.data() + first, count},
                          {});
    }
    EXPECT_EQ(together, apart);
  }
}

// Rows all alike draw from the softmax of distances and labels.
TYPED_TEST(PassesTest, SampleDrawsFromTheSoftmaxOfDistances) {
  using T = TypeParam;
  for (const Metric metric : {Metric::dot, Metric::euclidean, Metric::l1}) {
    for (const bool labelled : {false, true}) {
      const Case c{1, 700, 12, Source::points, metric, labelled};
      SCOPED_TRACE(describe(c));
      PassProblem<T> p(c, normal<T>(20));
      p.scale = T(-0.5);
      const auto law = reference::softmax(reference::dense(p.scores()), 1, 0);
      const Index n = 40000;
      Matrix<T> x(n, c.d);
      for (Index i = 0; i < n * c.d; ++i) x.data()[i] = p.x.data()[i % c.d];
      Scores<T> s = p.scores();
      s.x = x.view();
      std::vector<T> u(static_cast<std::size_t>(n), p.u[0]);
      std::vector<std::int32_t> columns(u.size()), row_labels(labelled ? u.size() : 0, labelled ? p.row_labels[0] : 0);
      s.u = u;
      s.row_labels = row_labels;
      std::vector<double> counts(law.size(), 0.0);
      this->passes.sample(s, T(1), Rng{21}, 0, columns, {});
      for (const std::int32_t j : columns) counts[static_cast<std::size_t>(j)] += 1;
      expect_law(counts, law);
    }
  }
}

}  // namespace
}  // namespace monge::ot
