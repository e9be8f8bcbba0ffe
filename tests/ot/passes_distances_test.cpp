// What distances and labels promise beyond matching the reference: exact zeros, symmetry, extreme scales.
#include "passes_problem.h"

namespace monge::ot {
namespace {

template <class T>
class PassesDistancesTest : public PassesFixture<T> {
 protected:
  // All scores, by way of the verb that shows them.
  Matrix<T> all_scores(const Scores<T>& s) {
    const Index n = s.rows(), m = s.cols();
    Matrix<T> values(n, m), out(n, m);
    Matrix<std::int32_t> columns(n, m);
    this->passes.hardmin(s, values.view(), columns.view(), {});
    for (Index i = 0; i < n; ++i) {
      for (Index r = 0; r < m; ++r) out(i, columns(i, r)) = values(i, r);
    }
    return out;
  }

  // Every verb gives numbers.
  void expect_no_nan(const Scores<T>& s, T epsilon) {
    const Index n = s.rows(), m = s.cols();
    const Buffer<T> f = this->softmin(s, epsilon);
    Matrix<T> mean(n, 2), values(m, 2);
    fill_normal(Rng{30}, 0, {values.data(), 2 * m});
    std::vector<double> mass(static_cast<std::size_t>(m));
    std::vector<std::int32_t> columns(static_cast<std::size_t>(n));
    this->passes.histogram(s, epsilon, f.view(), {}, mass, {});
    this->passes.apply(s, epsilon, values.view(), mean.view(), {});
    this->passes.sample(s, epsilon, Rng{31}, 0, columns, {});
    for (Index i = 0; i < n; ++i) {
      ASSERT_TRUE(std::isfinite(f[i])) << i;
      ASSERT_TRUE(std::isfinite(mean(i, 0)) && std::isfinite(mean(i, 1))) << i;
      ASSERT_TRUE(columns[static_cast<std::size_t>(i)] >= 0 && columns[static_cast<std::size_t>(i)] < m) << i;
    }
    for (const double mass_j : mass) ASSERT_TRUE(mass_j >= 0 && mass_j <= 2.0 * double(n)) << mass_j;
  }
};
TYPED_TEST_SUITE(PassesDistancesTest, PassesTypes);

// Far from the origin, where |x|^2 + |y|^2 - 2 <x, y> would have lost all digits.
TYPED_TEST(PassesDistancesTest, IdenticalPointsAreAtZeroAndDistancesAreSymmetric) {
  using T = TypeParam;
  const Index n = 303;
  for (const Metric metric : {Metric::euclidean, Metric::l1}) {
    for (const Index d : {1, 3, 8, 9, 64, 131}) {
      SCOPED_TRACE(concat("metric ", static_cast<int>(metric), " d=", d));
      Matrix<T> x(n, d);
      auto make = normal<T>(22);
      for (Index i = 0; i < n * d; ++i) x.data()[i] = T(1e4) + make();
      Scores<T> s{.x = x.view(), .y = x.view(), .metric = metric};
      const Matrix<T> distances = this->all_scores(s);
      const auto expected = reference::dense(s);
      for (Index i = 0; i < n; ++i) {
        ASSERT_EQ(distances(i, i), 0) << i;
        for (Index j = 0; j < n; ++j) {
          ASSERT_EQ(distances(i, j), distances(j, i)) << i << " " << j;
          ASSERT_NEAR(distances(i, j), expected(i, j), rounding<T>(expected, d)) << i << " " << j;
        }
      }
    }
  }
}

// Right within the range that docs/passes.md names, never NaN outside.
TYPED_TEST(PassesDistancesTest, ScalesOfCoordinates) {
  using T = TypeParam;
  using Limits = std::numeric_limits<T>;
  for (const Metric metric : {Metric::euclidean, Metric::l1}) {
    const double most = metric == Metric::euclidean ? std::sqrt(double(Limits::max())) : double(Limits::max());
    for (const Index d : {1, 8, 64, 131}) {
      for (const double size : {1e-36, 1e-22, 1e-18, 1e-9, 1e9, 1e18, 1e20, 1e37}) {
        SCOPED_TRACE(concat("metric ", static_cast<int>(metric), " d=", d, " size ", size));
        PassProblem<T> p({21, 301, d, Source::points, metric}, normal<T>(23));
        for (Matrix<T>* points : {&p.x, &p.y}) {
          for (Index i = 0; i < points->rows() * d; ++i) points->data()[i] *= T(size);
        }
        p.scale = -1;
        Scores<T> s = p.scores();
        s.u = s.v = {};
        const Matrix<T> scores = this->all_scores(s);
        const auto expected = reference::dense(s);
        // Squares below the normal numbers are rounded to the subnormal ones.
        const double subnormal = metric == Metric::euclidean ? std::sqrt(double(d) * double(Limits::denorm_min()))
                                                             : double(d) * double(Limits::denorm_min());
        for (Index i = 0; i < s.rows(); ++i) {
          for (Index j = 0; j < s.cols(); ++j) {
            const double distance = std::min(-expected(i, j), most);
            ASSERT_NEAR(-scores(i, j), distance,
                        double(Limits::epsilon()) * distance * (4 + std::sqrt(double(d))) + subnormal);
          }
        }
        this->expect_no_nan(s, static_cast<T>(std::clamp(0.1 * size, 1e-36, 1e36)));
        this->expect_no_nan(s, T(1));
      }
    }
  }
}

TYPED_TEST(PassesDistancesTest, AnInfinitePenaltyForbids) {
  using T = TypeParam;
  const T infinity = std::numeric_limits<T>::infinity();
  for (const Case& c :
       {Case{50, 333, 2, Source::points, Metric::dot, true}, Case{50, 333, 20, Source::points, Metric::dot, true},
        Case{50, 333, 9, Source::points, Metric::euclidean, true},
        Case{50, 333, 0, Source::stored, Metric::dot, true}}) {
    SCOPED_TRACE(describe(c));
    PassProblem<T> p(c, normal<T>(24));
    p.label_penalty = infinity;
    p.row_labels[7] = 12;  // nobody else's
    const Buffer<T> f = this->softmin(p.scores(), T(1));
    const auto s = reference::dense(p.scores());
    std::vector<std::int32_t> columns(50);
    this->passes.sample(p.scores(), T(1), Rng{25}, 0, columns, {});
    for (Index i = 0; i < 50; ++i) {
      const std::int32_t j = columns[static_cast<std::size_t>(i)];
      if (i == 7) {
        EXPECT_EQ(f[i], infinity);
        EXPECT_EQ(j, -1);
      } else {
        EXPECT_NEAR(f[i], reference::softmin(s, 1, i), rounding<T>(s, c.d) + 40 * std::numeric_limits<T>::epsilon());
        EXPECT_EQ(p.row_labels[static_cast<std::size_t>(i)], p.col_labels[static_cast<std::size_t>(j)]);
      }
    }
  }
}

TYPED_TEST(PassesDistancesTest, PointsWithoutCoordinatesAreAllAlike) {
  using T = TypeParam;
  const T none = 0;
  for (const Metric metric : {Metric::dot, Metric::euclidean, Metric::l1}) {
    const Scores<T> s{.x = {&none, 5, 0}, .y = {&none, 300, 0}, .metric = metric};
    const Buffer<T> f = this->softmin(s, T(1));
    for (Index i = 0; i < 5; ++i) EXPECT_NEAR(f[i], -std::log(300.0), 1e-5);
  }
}

}  // namespace
}  // namespace monge::ot
