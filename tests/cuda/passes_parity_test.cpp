// The table of verb x type x shape on the CUDA room against the naive references in double. Without a GPU the kernels
// run in the emulator, if that was built, or the tests are skipped.
#include "passes_fixture.h"

namespace monge::ot {
namespace {

// Around tiles of 128 (double: 64), pieces of 4, 8 and 32 coordinates, the ways of products, parts of the columns. A
// device is also asked what the CPU is tested with; the emulator takes milliseconds for a tile.
std::vector<Case> table() {
  std::vector<Case> all = {{1, 1, 1},
                           {3, 1, 3},
                           {1, 777, 2},
                           {40, 300, 4},
                           {20, 260, 5, Source::points, Metric::dot, true},
                           {130, 129, 8},
                           {5, 17, 9},
                           {129, 140, 33},
                           {2, 1100, 64},
                           {3, 40, 131},
                           {70, 90, 7, Source::strided},
                           {17, 130, 40, Source::strided},
                           {3, 600, 0, Source::stored},
                           {131, 70, 0, Source::stored},
                           {37, 90, 9, Source::points, Metric::euclidean, true},
                           {37, 90, 9, Source::points, Metric::l1},
                           {37, 90, 20, Source::points, Metric::dot, true},
                           {31, 70, 0, Source::stored, Metric::dot, true}};
  if (is_emulated()) return all;
  for (const Index d : {1, 2, 3, 8, 33, 64, 784, 3072}) all.push_back({261, 1031, d});
  all.push_back({1500, 5000, 3});
  all.push_back({700, 3001, 64});
  all.insert(all.end(), cases.begin(), cases.end());
  return all;
}

// Lists of the best are the emulator's slowest work.
bool takes_long(const Case& c) { return is_emulated() && c.n * c.m > 2500; }

TYPED_TEST_SUITE(CudaPassesTest, PassesTypes);

TYPED_TEST(CudaPassesTest, Softmin) {
  using T = TypeParam;
  for (const Case& c : table()) {
    SCOPED_TRACE(describe(c));
    PassProblem<T> p(c, normal<T>(1));
    p.scale = T(-0.5);
    if (c.m > 2) p.v[1] = -std::numeric_limits<T>::infinity();
    const auto s = reference::dense(p.scores());
    for (const double epsilon : {0.01, 1.0}) {
      std::vector<T> f(static_cast<std::size_t>(c.n), T(NAN));
      this->passes().softmin(p.scores(), T(epsilon), f, this->context);
      const double tolerance = rounding<T>(s, c.d) + 4 * epsilon * unit<T>() * std::log(2 + c.m);
      for (Index i = 0; i < c.n; ++i) ASSERT_NEAR(f[i], reference::softmin(s, T(epsilon), i), tolerance) << "row " << i;
    }
  }
}

// Scores that rise and fall by hundreds of epsilon from tile to tile, and, last, by more than floats can hold of them:
// whatever sums are measured from has to move, and what is nothing beside it must not count.
TYPED_TEST(CudaPassesTest, SoftminOfScoresThatRiseAndFall) {
  using T = TypeParam;
  for (const double step : {0.0, 3.0, 90.0, -90.0, 1e4, -1e4, 3e30, -3e30}) {
    SCOPED_TRACE(step);
    PassProblem<T> p({9, 700, 3}, normal<T>(21));
    for (Index j = 0; j < 700; ++j) p.v[j] += static_cast<T>(step * (j / 64));
    p.v[5] = -std::numeric_limits<T>::infinity();
    const auto s = reference::dense(p.scores());
    for (const double epsilon : {1.0, 1e-20}) {
      std::vector<T> f(9, T(NAN));
      std::vector<std::int32_t> drawn(9, -1);
      this->passes().softmin(p.scores(), T(epsilon), f, this->context);
      this->passes().sample(p.scores(), T(epsilon), Rng{3}, 0, drawn, this->context);
      const double largest = std::abs(step) * 11 + 20;
      for (Index i = 0; i < 9; ++i) {
        ASSERT_NEAR(f[i], reference::softmin(s, T(epsilon), i), 8 * unit<T>() * largest + 1e-6 * epsilon);
        ASSERT_GT(s(i, drawn[i]) + f[i], -30 * epsilon - 8 * unit<T>() * largest) << "drawn: next to nothing";
      }
    }
  }
}

// So many that even these rows do not stay in a cache, where blocks are begun in another order.
TEST(CudaManyDimensions, Softmin) {
  std::string why;
  Backend* const room = cuda_room(&why);
  if (!room) GTEST_SKIP() << why;
  PassProblem<float> p({130, 140, 24600}, normal<float>(22));
  p.scale = 1.0f / 64;
  const auto s = reference::dense(p.scores());
  std::vector<float> f(130, NAN);
  room->passes(float{}).softmin(p.scores(), 1.0f, f, {.device = cuda_device()});
  for (Index i = 0; i < 130; ++i) ASSERT_NEAR(f[i], reference::softmin(s, 1.0f, i), 2e-4) << "row " << i;
}

TYPED_TEST(CudaPassesTest, Hardmin) {
  using T = TypeParam;
  for (const Case& c : table()) {
    SCOPED_TRACE(describe(c));
    const PassProblem<T> p(c, normal<T>(2));
    const auto s = reference::dense(p.scores());
    const double tolerance = rounding<T>(s, c.d);
    for (const Index k : {Index{1}, std::min<Index>(33, c.m)}) {
      if (k > 1 && takes_long(c)) continue;
      Matrix<T> values(c.n, k);
      Matrix<std::int32_t> columns(c.n, k);
      this->passes().hardmin(p.scores(), values.view(), columns.view(), this->context);
      for (Index i = 0; i < c.n; ++i) {
        const auto order = reference::ranking(s, i);
        for (Index r = 0; r < k; ++r) {
          ASSERT_TRUE(columns(i, r) >= 0 && columns(i, r) < c.m) << "row " << i << ", rank " << r;
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

// Integers are exact in halves, too.
TYPED_TEST(CudaPassesTest, HardminBreaksTiesByTheLowerColumn) {
  using T = TypeParam;
  for (const Case& c : table()) {
    if (c.metric == Metric::euclidean) continue;
    SCOPED_TRACE(describe(c));
    const PassProblem<T> p(c, integers<T>(3));
    const auto s = reference::dense(p.scores());
    for (const Index k : {Index{1}, std::min<Index>(34, c.m)}) {
      if (k > 1 && takes_long(c)) continue;
      Matrix<T> values(c.n, k);
      Matrix<std::int32_t> columns(c.n, k);
      this->passes().hardmin(p.scores(), values.view(), columns.view(), this->context);
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

TYPED_TEST(CudaPassesTest, Histogram) {
  using T = TypeParam;
  for (const Case& c : table()) {
    SCOPED_TRACE(describe(c));
    const PassProblem<T> p(c, normal<T>(4));
    const auto s = reference::dense(p.scores());
    const T epsilon = static_cast<T>(0.1 * s.magnitude);
    std::vector<T> f, weights;
    for (Index i = 0; i < c.n; ++i) {
      f.push_back(static_cast<T>(reference::softmin(s, epsilon, i) - double(p.u[i]) + double(p.u[i])));
      weights.push_back(static_cast<T>(i % 7) / 2);
    }
    for (const bool weighted : {false, true}) {
      std::vector<double> row_weights(static_cast<std::size_t>(c.n), 1.0);
      if (weighted) row_weights.assign(weights.begin(), weights.end());
      const auto expected = reference::histogram(s, epsilon, std::vector<double>(f.begin(), f.end()), row_weights);
      std::vector<double> mass(static_cast<std::size_t>(c.m), -1);
      this->passes().histogram(p.scores(), epsilon, VectorView<const T>(f),
                               weighted ? VectorView<const T>(weights) : VectorView<const T>{}, mass, this->context);
      const double tolerance = 2 * rounding<T>(s, c.d) / epsilon + 8 * unit<T>();
      for (std::size_t j = 0; j < mass.size(); ++j) ASSERT_NEAR(mass[j], expected[j], tolerance * expected[j]) << j;
    }
  }
}

TYPED_TEST(CudaPassesTest, HistogramWithoutEpsilon) {
  using T = TypeParam;
  for (const Case& c : table()) {
    if (c.metric == Metric::euclidean) continue;
    SCOPED_TRACE(describe(c));
    const PassProblem<T> p(c, integers<T>(5));
    const auto s = reference::dense(p.scores());
    std::vector<T> weights;
    std::vector<double> expected(static_cast<std::size_t>(c.m), 0.0), plain(expected), mass(expected.size(), -1);
    for (Index i = 0; i < c.n; ++i) {
      const auto j = static_cast<std::size_t>(reference::ranking(s, i)[0]);
      weights.push_back(static_cast<T>(i % 3));
      expected[j] += static_cast<double>(i % 3);
      plain[j] += 1;
    }
    this->passes().histogram(p.scores(), 0, {}, VectorView<const T>(weights), mass, this->context);
    ASSERT_EQ(mass, expected);
    this->passes().histogram(p.scores(), 0, {}, {}, mass, this->context);
    ASSERT_EQ(mass, plain);
  }
}

TYPED_TEST(CudaPassesTest, Apply) {
  using T = TypeParam;
  for (const Case& c : table()) {
    SCOPED_TRACE(describe(c));
    const PassProblem<T> p(c, normal<T>(6));
    const auto s = reference::dense(p.scores());
    for (const Index width : {3, 37}) {
      Matrix<T> values(c.m, width), out(c.n, width + 2);
      fill_normal(Rng{7}, 0, {values.data(), c.m * width});
      std::fill_n(out.data(), c.n * (width + 2), T(77));
      const T epsilon = static_cast<T>(0.05 * s.magnitude);
      this->passes().apply(p.scores(), epsilon, values.view(), {out.data(), c.n, width, width + 2}, this->context);
      const double tolerance = 10 * (2 * rounding<T>(s, c.d) / epsilon + 8 * unit<T>());
      for (Index i = 0; i < c.n; ++i) {
        const auto shares = reference::softmax(s, epsilon, i);
        for (Index k = 0; k < width; ++k) {
          double expected = 0;
          for (Index j = 0; j < c.m; ++j) expected += shares[static_cast<std::size_t>(j)] * double(values(j, k));
          ASSERT_NEAR(out(i, k), expected, tolerance) << "row " << i << ", value " << k;
        }
        ASSERT_EQ(out(i, width), T(77)) << "wrote between the rows";
      }
    }
  }
}

TYPED_TEST(CudaPassesTest, Balance) {
  using T = TypeParam;
  for (const Case& c : table()) {
    SCOPED_TRACE(describe(c));
    PassProblem<T> p(c, normal<T>(41));
    p.scale = T(-0.5);
    if (c.m > 2) p.v[1] = -std::numeric_limits<T>::infinity();
    const auto s = reference::dense(p.scores());
    for (const double epsilon : {0.05}) {
      std::vector<double> w, f(c.n, NAN), expected_f(c.n), mass(c.m, NAN), expected(c.m, 0.0);
      double total = 0;
      for (Index i = 0; i < c.n; ++i) {
        w.push_back(i % 5 == 3 ? 0 : 0.1 + double(i % 7));
        total += w.back();
        expected_f[i] = reference::softmin(s, T(epsilon), i);
        for (Index j = 0; j < c.m; ++j) expected[j] += w[i] * std::exp((s(i, j) + expected_f[i]) / double(T(epsilon)));
      }
      this->passes().balance(p.scores(), T(epsilon), w, f, mass, this->context);
      const double close = rounding<T>(s, c.d) + 20 * epsilon * unit<T>() * std::log(2 + c.m);
      for (Index i = 0; i < c.n; ++i) ASSERT_NEAR(f[i], expected_f[i], close) << "row " << i;
      for (Index j = 0; j < c.m; ++j)
        ASSERT_NEAR(mass[j], expected[j], 3 * close / epsilon * expected[j] + 1e-6 * std::min(1.0, close) * total) << j;
    }
  }
}

TYPED_TEST(CudaPassesTest, Energy) {
  using T = TypeParam;
  for (const Case& c : table()) {
    SCOPED_TRACE(describe(c));
    PassProblem<T> p(c, normal<T>(42));
    if (c.m > 2) p.v[1] = -std::numeric_limits<T>::infinity();
    const auto s = reference::dense(p.scores());
    const double epsilon = 0.7;
    std::vector<double> f(c.n);
    std::vector<T> share(c.m), bias(c.m);
    for (Index i = 0; i < c.n; ++i) f[i] = reference::softmin(s, T(epsilon), i);
    for (Index j = 0; j < c.m; ++j) share[j] = T(j % 4) / 3, bias[j] = T(j % 3);
    for (const bool all : {false, true}) {
      Matrix<double> out(c.n, 3);
      this->passes().energy(p.scores(), T(epsilon), f, all ? VectorView<const T>() : VectorView<const T>(share),
                            VectorView<const T>(bias), out.view(), this->context);
      for (Index i = 0; i < c.n; ++i) {
        double spent = 0, kept = 0, kept_spent = 0, size = 0;
        for (Index j = 0; j < c.m; ++j) {
          const double q = std::exp((s(i, j) + f[i]) / double(T(epsilon))), w = all ? 1 : double(share[j]);
          if (q == 0) continue;
          const double cost = double(bias[j]) - (s(i, j) - double(p.u[i]));
          spent += q * cost, kept += q * w, kept_spent += q * w * cost, size += q * std::abs(cost);
        }
        const double close = (rounding<T>(s, c.d) + 40 * unit<T>()) * (3 + size) * 8;
        ASSERT_NEAR(out(i, 0), spent, close) << "row " << i;
        ASSERT_NEAR(out(i, 1), kept, close) << "row " << i;
        ASSERT_NEAR(out(i, 2), kept_spent, close) << "row " << i;
      }
    }
  }
}

TYPED_TEST(CudaPassesTest, Store) {
  using T = TypeParam;
  for (const Case& c : table()) {
    SCOPED_TRACE(describe(c));
    const PassProblem<T> p(c, normal<T>(43));
    const auto s = reference::dense(p.scores());
    Matrix<T> out(c.n, c.m), largest(c.n, 1);
    Matrix<std::int32_t> column(c.n, 1);
    this->passes().store(p.scores(), out.view(), this->context);
    for (Index i = 0; i < c.n; ++i) {
      for (Index j = 0; j < c.m; ++j) ASSERT_NEAR(out(i, j), s(i, j), rounding<T>(s, c.d)) << i << " " << j;
    }
    if (!this->passes().repeats(p.scores())) continue;
    this->passes().hardmin(p.scores(), largest.view(), column.view(), this->context);
    for (Index i = 0; i < c.n; ++i) ASSERT_EQ(largest(i, 0), out(i, column(i, 0))) << i;
  }
}

// The same words as the CPU's: the same draws, but for those on an edge.
TYPED_TEST(CudaPassesTest, SampleDrawsWhatTheCpuDraws) {
  using T = TypeParam;
  for (const Case& c : table()) {
    SCOPED_TRACE(describe(c));
    PassProblem<T> p(c, normal<T>(44));
    if (c.m > 2) p.v[1] = -std::numeric_limits<T>::infinity();
    const T epsilon = static_cast<T>(0.1 * reference::dense(p.scores()).magnitude);
    std::vector<std::int32_t> here(c.n, -7), there(c.n, -7);
    this->passes().sample(p.scores(), epsilon, Rng{12}, 1000, here, this->context);
    passes_for<T>({}).sample(p.scores(), epsilon, Rng{12}, 1000, there, {});
    Index moved = 0;
    for (Index i = 0; i < c.n; ++i) {
      ASSERT_TRUE(here[i] >= 0 && here[i] < c.m) << "row " << i;
      moved += here[i] != there[i];
    }
    ASSERT_LE(moved, 1 + c.n / 100);
  }
}

}  // namespace
}  // namespace monge::ot
