// What Sinkhorn asks of the passes: balance, energy and store, against the naive references.
#include <limits>

#include "passes_problem.h"

namespace monge::ot {
namespace {

template <class T>
class PassesBalanceTest : public PassesFixture<T> {
 protected:
  struct Balanced {
    std::vector<double> f, mass;
  };
  Balanced balance(const Scores<T>& s, double epsilon, const std::vector<double>& weights, std::vector<double> guess,
                   int threads = 0) {
    Balanced out{std::move(guess), std::vector<double>(static_cast<std::size_t>(s.cols()), NAN)};
    this->passes.balance(s, T(epsilon), weights, out.f, out.mass, {.threads = threads});
    return out;
  }

  static std::vector<double> weights(Index n) {  // zeros among them
    std::vector<double> w;
    for (Index i = 0; i < n; ++i) w.push_back(i % 5 == 3 ? 0 : 0.1 + double(i % 7));
    return w;
  }
};
TYPED_TEST_SUITE(PassesBalanceTest, PassesTypes);

// Whatever the guess: none, the answer, one that is a little off, and one so far off that nothing is left of the sums.
TYPED_TEST(PassesBalanceTest, BalanceMatchesTheReference) {
  using T = TypeParam;
  for (const Case& c : cases) {
    SCOPED_TRACE(describe(c));
    PassProblem<T> p(c, normal<T>(41));
    p.scale = T(-0.5);
    if (c.m > 2) p.v[1] = -std::numeric_limits<T>::infinity();  // a column that takes no part
    const auto s = reference::dense(p.scores());
    const auto w = this->weights(c.n);
    for (const double epsilon : {0.05, 1.0}) {
      std::vector<double> f(c.n), mass(c.m, 0.0), none(c.n, NAN), off(c.n), lost(c.n, -1e4 * epsilon);
      for (Index i = 0; i < c.n; ++i) {
        f[i] = reference::softmin(s, T(epsilon), i);
        off[i] = f[i] + (i % 2 == 0 ? 15 : -15) * epsilon;
        for (Index j = 0; j < c.m; ++j) mass[j] += w[i] * std::exp((s(i, j) + f[i]) / double(T(epsilon)));
      }
      double total = 0;
      for (const double e : w) total += e;
      const double close = rounding<T>(s, c.d) + 20 * epsilon * std::numeric_limits<T>::epsilon() * std::log(2 + c.m);
      for (const auto& guess : {none, f, off, lost}) {
        const auto out = this->balance(p.scores(), epsilon, w, guess);
        for (Index i = 0; i < c.n; ++i) ASSERT_NEAR(out.f[i], f[i], close) << "row " << i;
        for (Index j = 0; j < c.m; ++j) {
          ASSERT_NEAR(out.mass[j], mass[j], 3 * close / epsilon * mass[j] + 1e-6 * std::min(1.0, close) * total)
              << "column " << j;
        }
        ASSERT_TRUE(c.m <= 2 || out.mass[1] == 0);
      }
    }
  }
}

TYPED_TEST(PassesBalanceTest, EnergyMatchesTheReference) {
  using T = TypeParam;
  for (const Case& c : cases) {
    SCOPED_TRACE(describe(c));
    PassProblem<T> p(c, normal<T>(42));
    if (c.m > 2) p.v[1] = -std::numeric_limits<T>::infinity();
    const auto s = reference::dense(p.scores());
    const double epsilon = 0.7;
    std::vector<double> f(c.n);
    std::vector<T> share(c.m), bias(c.m);
    for (Index i = 0; i < c.n; ++i) f[i] = reference::softmin(s, T(epsilon), i) - double(p.u[i]);
    for (Index j = 0; j < c.m; ++j) share[j] = T(j % 4) / 3, bias[j] = T(j % 3);
    for (const bool all : {false, true}) {
      Matrix<double> out(c.n, 3);
      this->passes.energy(p.scores(), T(epsilon), f, all ? VectorView<const T>() : VectorView<const T>(share),
                          VectorView<const T>(bias), out.view(), {});
      for (Index i = 0; i < c.n; ++i) {
        double spent = 0, kept = 0, kept_spent = 0, size = 0;
        for (Index j = 0; j < c.m; ++j) {
          const double u = double(p.u[i]), q = std::exp((s(i, j) + f[i]) / double(T(epsilon)));
          if (q == 0) continue;
          const double cost = double(bias[j]) - (s(i, j) - u), w = all ? 1 : double(share[j]);
          spent += q * cost, kept += q * w, kept_spent += q * w * cost, size += q * std::abs(cost);
        }
        const double close = (rounding<T>(s, c.d) + 40 * std::numeric_limits<T>::epsilon()) * (3 + size) * 4 * 2;
        ASSERT_NEAR(out(i, 0), spent, close) << "row " << i;
        ASSERT_NEAR(out(i, 1), kept, close) << "row " << i;
        ASSERT_NEAR(out(i, 2), kept_spent, close) << "row " << i;
      }
    }
  }
}

TYPED_TEST(PassesBalanceTest, StoreMatchesTheReferenceAndIsWhatOtherPassesSee) {
  using T = TypeParam;
  for (const Case& c : cases) {
    SCOPED_TRACE(describe(c));
    PassProblem<T> p(c, normal<T>(43));
    const auto s = reference::dense(p.scores());
    Matrix<T> out(c.n, c.m);
    this->passes.store(p.scores(), out.view(), {});
    for (Index i = 0; i < c.n; ++i) {
      for (Index j = 0; j < c.m; ++j) ASSERT_NEAR(out(i, j), s(i, j), rounding<T>(s, c.d)) << i << " " << j;
    }
  }
}

// Products alone, which are made in blocks and shares of many columns.
TYPED_TEST(PassesBalanceTest, StoredProductsMatchTheReference) {
  using T = TypeParam;
  for (const Case& c : {Case{300, 9001, 12}, Case{1, 8200, 33}}) {
    SCOPED_TRACE(describe(c));
    PassProblem<T> p(c, normal<T>(46));
    Scores<T> scores = p.scores();
    scores.u = {}, scores.v = {};
    const auto s = reference::dense(scores);
    Matrix<T> one(c.n, c.m), three(c.n, c.m);
    this->passes.store(scores, one.view(), {.threads = 1});
    this->passes.store(scores, three.view(), {.threads = 3});
    for (Index i = 0; i < c.n; ++i) {
      for (Index j = 0; j < c.m; ++j) {
        ASSERT_NEAR(one(i, j), s(i, j), rounding<T>(s, c.d)) << i << " " << j;
        ASSERT_EQ(one(i, j), three(i, j)) << i << " " << j;
      }
    }
  }
}

// The same rows on their own, and the same columns, show the same bits wherever the room says that they do.
TYPED_TEST(PassesBalanceTest, RepeatedScoresHaveTheSameBits) {
  using T = TypeParam;
  for (const Case& c : cases) {
    SCOPED_TRACE(describe(c));
    PassProblem<T> p(c, normal<T>(44));
    const Scores<T> s = p.scores();
    if (!this->passes.repeats(s)) continue;
    Matrix<T> all(c.n, c.m), some(c.n, c.m);
    this->passes.store(s, all.view(), {});
    const Index first = c.n / 3, count = c.n - first;
    this->passes.store(rows_of(s, first, count), some.view().rows_from(first, count), {});
    for (Index i = first; i < c.n; ++i) {
      for (Index j = 0; j < c.m; ++j) ASSERT_EQ(all(i, j), some(i, j)) << i << " " << j;
    }
    Matrix<T> largest(c.n, 1);
    Matrix<std::int32_t> column(c.n, 1);
    this->passes.hardmin(s, largest.view(), column.view(), {});
    for (Index i = 0; i < c.n; ++i) ASSERT_EQ(largest(i, 0), all(i, column(i, 0))) << i;
  }
}

TYPED_TEST(PassesBalanceTest, SameBitsAtAnyThreadCount) {
  using T = TypeParam;
  for (const Case& c : {Case{513, 2100, 3}, Case{300, 700, 64}, Case{259, 512, 0, Source::stored}}) {
    PassProblem<T> p(c, normal<T>(45));
    const auto w = this->weights(c.n);
    const std::vector<double> none(c.n, NAN);
    const auto one = this->balance(p.scores(), 0.5, w, none, 1);
    for (const int threads : {2, 3, 7}) {
      const auto more = this->balance(p.scores(), 0.5, w, none, threads);
      EXPECT_EQ(one.f, more.f);
      EXPECT_EQ(one.mass, more.mass);
    }
  }
}

}  // namespace
}  // namespace monge::ot
