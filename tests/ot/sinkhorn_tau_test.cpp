// Prices of straying from next to nothing to all but infinite, on one side or both.
#include <gtest/gtest.h>

#include <cmath>

#include "monge/ot/core/error.h"
#include "monge/ot/sinkhorn.h"
#include "monge/tests/ot/naive_plan.h"

namespace monge::ot {
namespace {

constexpr double none = std::numeric_limits<double>::infinity();

template <class T>
class SinkhornTau : public testing::Test {
 protected:
  static constexpr Index n = 40, m = 30;
  Matrix<T> x = cloud<T>(n, 3, 1), y = cloud<T>(m, 3, 2, 1, 1.5);
  std::vector<double> a, b;

  SinkhornTau() {
    for (Index i = 0; i < n; ++i) a.push_back((1.0 + static_cast<double>(i % 4)) / n);
    for (Index j = 0; j < m; ++j) b.push_back((1.0 + static_cast<double>(j % 3)) / m);
  }
  Problem<T> problem() const { return {.x = x.view(), .y = y.view(), .a = a, .b = b}; }
  double cost(Index i, Index j) const {
    double c = 0;
    for (Index k = 0; k < 3; ++k) c += std::pow(static_cast<double>(x(i, k)) - static_cast<double>(y(j, k)), 2);
    return c;
  }
  double mean_cost() const {
    double mean = 0;
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < m; ++j) mean += cost(i, j) / (n * m);
    return mean;
  }

  // <P, C> and the mass of the optimal plan, by the plain iteration in the domain of logarithms.
  std::pair<double, double> reference(double epsilon, double tau_a, double tau_b) const {
    std::vector<double> f(n, 0.0), g(m, 0.0);
    const auto share = [&](double tau) { return std::isinf(tau) ? 1 : tau / (tau + epsilon); };
    const auto softmin = [&](Index size, const auto& term) {
      double least = HUGE_VAL, sum = 0;
      for (Index k = 0; k < size; ++k) least = std::min(least, term(k));
      for (Index k = 0; k < size; ++k) sum += std::exp((least - term(k)) / epsilon);
      return least - epsilon * std::log(sum);
    };
    for (int k = 0; k < 600; ++k) {
      for (Index i = 0; i < n; ++i)
        f[i] = share(tau_a) * softmin(m, [&](Index j) { return cost(i, j) - g[j] - epsilon * std::log(b[j]); });
      for (Index j = 0; j < m; ++j)
        g[j] = share(tau_b) * softmin(n, [&](Index i) { return cost(i, j) - f[i] - epsilon * std::log(a[i]); });
    }
    double total = 0, mass = 0;
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < m; ++j) {
        const double p = a[i] * b[j] * std::exp((f[i] + g[j] - cost(i, j)) / epsilon);
        total += p * cost(i, j), mass += p;
      }
    }
    return {total, mass};
  }
};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(SinkhornTau, Types);

TYPED_TEST(SinkhornTau, AnyPriceOnAnySideConverges) {
  const double mean = this->mean_cost();
  for (const double relative : {0.1, 0.02}) {
    const double epsilon = relative * mean;
    for (int power = -6; power <= 6; ++power) {
      const double tau = mean * std::pow(10.0, power);
      for (const auto& [tau_a, tau_b] : {std::pair{tau, none}, {none, tau}, {tau, tau}}) {
        SCOPED_TRACE(concat("tau ", tau_a, " ", tau_b, ", epsilon ", epsilon));
        // Sums that differ have no plan in the limit.
        if (power > 3) this->b = std::vector<double>(this->m, 2.5 / this->m), this->a.assign(this->n, 2.5 / this->n);
        const auto r = sinkhorn(
            this->problem(),
            {.epsilon = epsilon, .epsilon_unit = EpsilonUnit::cost, .tolerance = 1e-5, .tau_a = tau_a, .tau_b = tau_b});
        EXPECT_EQ(r.status, Status::converged);
        ASSERT_EQ(r.certificate.kind, Certificate::Kind::proven);
        EXPECT_LE(r.certificate.lower, r.value * (1 + 1e-6));
        EXPECT_LE(r.certificate.lower, r.certificate.upper);
        // The reference does not get there for the largest, whose plan is all but the balanced one.
        const bool stiff = power > 0;
        if (stiff && power < 5) continue;
        const auto [cost, mass] = this->reference(epsilon, stiff ? none : tau_a, stiff ? none : tau_b);
        EXPECT_NEAR(r.mass, mass, 1e-4 * mass + 2e-5);
        EXPECT_NEAR(r.cost, cost, 3e-4 * cost + 2e-5);
      }
    }
  }
}

// Next to no price: every column takes from its own softmin of the rows, whatever these have.
TYPED_TEST(SinkhornTau, NoPriceIsASoftmax) {
  const double mean = this->mean_cost(), epsilon = 0.05 * mean;
  double rows_stray = 0, cols_stray = 0;
  const auto average = [&](Index size, const auto& weight, const auto& cost) {
    double least = HUGE_VAL, sum = 0, total = 0;
    for (Index k = 0; k < size; ++k) least = std::min(least, cost(k));
    for (Index k = 0; k < size; ++k) {
      const double p = weight[static_cast<std::size_t>(k)] * std::exp((least - cost(k)) / epsilon);
      sum += p, total += p * cost(k);
    }
    return total / sum;
  };
  for (Index j = 0; j < this->m; ++j)
    rows_stray += this->b[j] * average(this->n, this->a, [&](Index i) { return this->cost(i, j); });
  for (Index i = 0; i < this->n; ++i)
    cols_stray += this->a[i] * average(this->m, this->b, [&](Index j) { return this->cost(i, j); });
  for (const double tau : {1e-6 * mean, 1e-12 * mean, 1e-100 * mean}) {
    SinkhornOptions o{.epsilon = epsilon, .epsilon_unit = EpsilonUnit::cost, .tolerance = 1e-6};
    o.tau_a = tau;
    const auto rows = sinkhorn(this->problem(), o);
    EXPECT_EQ(rows.status, Status::converged) << tau;
    EXPECT_NEAR(rows.cost, rows_stray, 1e-3 * rows_stray) << tau;
    EXPECT_EQ(rows.certificate.kind, Certificate::Kind::proven) << tau;
    o.tau_a = none, o.tau_b = tau;
    const auto cols = sinkhorn(this->problem(), o);
    EXPECT_EQ(cols.status, Status::converged) << tau;
    EXPECT_NEAR(cols.cost, cols_stray, 1e-3 * cols_stray) << tau;
    EXPECT_EQ(cols.certificate.kind, Certificate::Kind::proven) << tau;
  }
}

// Epsilon far below the costs: masses on the way are beyond any exponent.
TYPED_TEST(SinkhornTau, SharpAndNextToFree) {
  const double mean = this->mean_cost();
  for (const double relative : {1e-2, 1e-3, 1e-4, 1e-5}) {
    for (const double share : {1e-6, 1e-4, 1e-2, 1.0}) {
      for (const auto& [tau_a, tau_b] :
           {std::pair{share * mean, none}, {none, share * mean}, {share * mean, 2 * share * mean}}) {
        SCOPED_TRACE(concat("tau ", tau_a, " ", tau_b, ", epsilon ", relative));
        const auto r = sinkhorn(this->problem(), {.epsilon = relative, .tau_a = tau_a, .tau_b = tau_b});
        EXPECT_NE(r.status, Status::numerical_failure);
        EXPECT_EQ(r.certificate.kind, Certificate::Kind::proven);
      }
    }
  }
}

}  // namespace
}  // namespace monge::ot
