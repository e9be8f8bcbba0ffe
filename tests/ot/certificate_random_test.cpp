// Certificates hold: thousands of small random problems, most of them nasty, whose optimum is known in long double.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <random>
#include <sstream>

#include "monge/ot/assignment.h"
#include "monge/ot/core/error.h"
#include "monge/ot/sinkhorn.h"
#include "random_transport.h"

namespace monge::ot {
namespace {

template <class T>
SinkhornOptions options_of(const Shape& s, const Instance<T>& p) {
  SinkhornOptions o{.epsilon = std::pow(10.0, s.epsilon),
                    .max_iterations = s.iterations,
                    .storage = s.stored ? Storage::store : Storage::recompute,
                    .context = {.threads = 1}};
  if (p.largest > 0) o.epsilon *= static_cast<double>(p.mean), o.epsilon_unit = EpsilonUnit::cost;
  return o;
}

// `truth` with what its own arithmetic may have rounded.
void expect_bracket(const SinkhornResult& r, Interval truth, const Shape& s, const std::string& what) {
  const Certificate& c = r.certificate;
  std::ostringstream out;
  out.precision(20);
  out << what << ": " << s << "\n  [" << c.lower << ", " << c.upper << "] truth [" << truth.lower << ", " << truth.upper
      << "] " << to_string(r.status) << ", cost " << r.cost << ", value " << r.value;
  if (c.kind != Certificate::Kind::proven) RC_FAIL("no certificate: " + out.str());
  if (!(c.lower <= truth.upper)) RC_FAIL("lower is too high: " + out.str());
  if (!(c.upper >= truth.lower)) RC_FAIL("upper is too low: " + out.str());
}

template <class T>
void balanced(const Instance<T>& p, const Shape& s) {
  Reals a = p.row_weights(), b = p.col_weights();
  Real all_a = 0, all_b = 0;
  for (const Real w : a) all_a += w;
  for (const Real w : b) all_b += w;
  for (Real& w : b) w *= all_a / all_b;  // the problem that is certified
  const Real truth = least_cost(p.costs, a, b, all_a), noise = 5e-17L * all_a * p.largest;
  expect_bracket(sinkhorn(p.problem, options_of(s, p)), {truth - noise, truth + noise}, s, "balanced");
}
template <class T>
void balanced(const Shape& s) {
  Instance<T> p(s);
  p.balance();
  balanced(p, s);
}

template <class T>
void partial(const Shape& s) {
  Instance<T> p(s);
  const Reals a = p.row_weights(), b = p.col_weights();
  Real all_a = 0, all_b = 0;
  for (const Real w : a) all_a += w;
  for (const Real w : b) all_b += w;
  for (const double share : {1e-6, 0.3, 0.999, 1.0}) {
    SinkhornOptions options = options_of(s, p);
    options.mass = share * static_cast<double>(std::min(all_a, all_b));
    const Real mass = std::min({static_cast<Real>(options.mass), all_a, all_b});
    const Real truth = least_cost(p.costs, a, b, mass), noise = 5e-17L * mass * p.largest;
    expect_bracket(sinkhorn(p.problem, options), {truth - noise, truth + noise}, s, "partial " + std::to_string(share));
  }
}

// One row, or one column, has a closed form whatever the prices.
template <class T>
void star(Shape s) {
  (s.seed % 2 ? s.n : s.m) = 1;
  Instance<T> p(s);
  Reals a = p.row_weights(), b = p.col_weights();
  if (s.n > 1) std::swap(a, b);
  Real all_b = 0;
  for (const Real w : b) all_b += w;
  constexpr double none = std::numeric_limits<double>::infinity();
  for (const double share : {1e-6, 1e-2, 1.0, 1e2, 1e6}) {
    const double tau = share * static_cast<double>(p.mean);
    const double taus[][2] = {{tau, 2 * tau}, {tau, none}, {none, tau}};
    for (const auto& [tau_a, tau_b] : taus) {
      const bool signs = s.cost == 0 || s.cost == dense;
      if (signs && share < 0.1) continue;  // exp(1e6)
      SinkhornOptions options = options_of(s, p);
      options.tau_a = tau_a, options.tau_b = tau_b;
      if (s.n > 1) std::swap(options.tau_a, options.tau_b);
      const Real truth = star_value(p.costs, a[0], b, tau_a, tau_b);
      const Real size =
          std::abs(truth) + (a[0] + all_b) * (std::isinf(tau_b) ? p.largest : std::min<Real>(p.largest, tau));
      const Real noise = 1e-16L * size;
      const SinkhornResult r = sinkhorn(p.problem, options);
      expect_bracket(r, {truth - noise, truth + noise}, s,
                     concat("tau ", options.tau_a, " ", options.tau_b, " =", share));
    }
  }
}

// Problems with prices of any shape: the truth is an interval too.
template <class T>
void unbalanced(Shape s) {
  s.n = std::min<Index>(s.n, 4), s.m = std::min<Index>(s.m, 4), s.epsilon = std::max(s.epsilon, -4);
  if (s.weights > 1) s.weights = 1;
  Instance<T> p(s);
  const Reals a = p.row_weights(), b = p.col_weights();
  const Real mean = p.mean;
  constexpr double none = std::numeric_limits<double>::infinity();
  const bool signs = s.cost == 0 || s.cost == dense;  // then masses grow as exp(cost / tau)
  const double shares[] = {0.5, 20, 1e6, 1e-2, 1e-4, 1e-6};
  const double tau = static_cast<double>(mean) * shares[s.seed / 3 % (signs ? 3 : 6)];
  const double taus[][2] = {{tau, 3 * tau}, {tau, none}, {none, tau}};
  const auto& [tau_a, tau_b] = taus[s.seed % 3];
  SinkhornOptions options = options_of(s, p);
  options.tau_a = tau_a, options.tau_b = tau_b;
  const Interval truth = unbalanced_value(p.costs, a, b, tau_a, tau_b, 1e-3L * mean, 200);
  Real mass = 0;
  for (const Real w : a) mass += w;
  for (const Real w : b) mass += w;
  const Real noise = 1e-16L * (mass * (p.largest + tau) + std::abs(truth.upper));
  expect_bracket(sinkhorn(p.problem, options), {truth.lower - noise, truth.upper + noise}, s,
                 concat("tau ", tau_a, " ", tau_b));
}

template <class T>
class CertificateOf : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(CertificateOf, Types);

TYPED_TEST(CertificateOf, BalancedProblemsHolds) {
  check(2000, [] { balanced<TypeParam>(any_shape()); });
}
TYPED_TEST(CertificateOf, PartialProblemsHolds) {
  check(500, [] { partial<TypeParam>(any_shape()); });
}
TYPED_TEST(CertificateOf, UnbalancedProblemsOfOneRowHolds) {
  check(500, [] { star<TypeParam>(any_shape()); });
}
TYPED_TEST(CertificateOf, UnbalancedProblemsHolds) {
  check(200, [] { unbalanced<TypeParam>(any_shape()); });
}

// Sums that differ by what is allowed: b counts as scaled to the sum of a.
TYPED_TEST(CertificateOf, SumsThatAreNotQuiteEqualHolds) {
  check(300, [] {
    Shape s = any_shape();
    s.weights = std::max(s.weights, 1);
    Instance<TypeParam> p(s);
    p.balance();
    for (double& w : p.b) w *= 1 - 9e-7;
    balanced(p, s);
  });
}

// Many tiles and all threads, against the exact solver.
TYPED_TEST(CertificateOf, LargerProblemsHolds) {
  using T = TypeParam;
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal;
  for (const Index d : {2, 40}) {
    Matrix<T> x(700, d), y(700, d);
    for (Index k = 0; k < 700 * d; ++k) {
      x.data()[k] = static_cast<T>(1000 + normal(random)), y.data()[k] = static_cast<T>(1001 + 0.5 * normal(random));
    }
    const auto best = assign(x.view(), y.view());
    for (const double epsilon : {0.1, 0.003, 1e-4}) {
      for (const Storage storage : {Storage::recompute, Storage::store}) {
        const auto r = sinkhorn(x.view(), y.view(), {.epsilon = epsilon, .max_iterations = 60, .storage = storage});
        ASSERT_EQ(r.certificate.kind, Certificate::Kind::proven);
        EXPECT_LE(r.certificate.lower, best.certificate.upper) << d << " " << epsilon;
        EXPECT_GE(r.certificate.upper, best.certificate.lower) << d << " " << epsilon;
      }
    }
  }
}

}  // namespace
}  // namespace monge::ot
