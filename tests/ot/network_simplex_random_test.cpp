// The network simplex against an independent optimum: thousands of small random problems, most of them nasty.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "monge/ot/core/error.h"
#include "monge/ot/exact.h"
#include "random_transport.h"

namespace monge::ot {
namespace {

void fail(const std::string& what, const Shape& s, const ExactResult& r, Real truth) {
  std::ostringstream out;
  out.precision(20);
  out << what << ": " << s << "\n  [" << r.certificate.lower << ", " << r.certificate.upper << "] truth " << truth
      << " " << to_string(r.status) << ", cost " << r.cost << ", marginals off by " << r.marginal_error;
  RC_FAIL(out.str());
}

// What is said of the plan and of the potentials, from the result alone. `size`: mass times the largest cost.
void check_result(const Reals& costs, const Reals& a, const Reals& b, const ExactResult& r, const Shape& s, Real truth,
                  Real size) {
  const std::size_t n = a.size(), m = b.size();
  Reals rows(a), cols(b);
  Real mass = 0, cost = 0, dual = 0, largest = 0;
  for (const Real w : a) mass += w;
  if (r.plan.values.size() > n + m - 1) fail("too many entries", s, r, truth);
  for (std::size_t i = 0; i < n; ++i) {
    for (auto k = r.plan.offsets[i]; k < r.plan.offsets[i + 1]; ++k) {
      const auto j = static_cast<std::size_t>(r.plan.columns[k]);
      if (k > r.plan.offsets[i] && r.plan.columns[k] <= r.plan.columns[k - 1]) fail("columns fall", s, r, truth);
      if (!(r.plan.values[k] > 0)) fail("empty entry", s, r, truth);
      rows[i] -= r.plan.values[k], cols[j] -= r.plan.values[k];
      cost += r.plan.values[k] * costs[i * m + j];
    }
    dual += a[i] * r.f[i];
  }
  for (std::size_t i = 0; i < n; ++i)
    if (std::abs(rows[i]) > 1e-14L * a[i] + 1e-30L * mass) fail(concat("row ", i), s, r, truth);
  for (std::size_t j = 0; j < m; ++j) {
    if (std::abs(cols[j]) > 1e-14L * b[j] + 1e-30L * mass) fail(concat("column ", j), s, r, truth);
    dual += b[j] * r.g[j];
  }
  Real potential = 0;
  for (const double e : r.f) potential = std::max<Real>(potential, std::abs(e));
  for (const double e : r.g) potential = std::max<Real>(potential, std::abs(e));
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < m; ++j) {
      if (std::isfinite(costs[i * m + j])) largest = std::max(largest, std::abs(costs[i * m + j]));
      if (r.f[i] + static_cast<Real>(r.g[j]) > costs[i * m + j] + 1e-15L * potential)
        fail(concat("potentials of ", i, ", ", j), s, r, truth);
    }
  }
  const Real noise = 1e-15L * size + 1e-140L;
  if (std::abs(cost - r.cost) > noise) fail("cost is not that of the plan", s, r, truth);
  if (std::abs(cost - truth) > noise) fail("plan is not optimal", s, r, truth);
  if (std::abs(dual - truth) > 40 * noise) fail("potentials are not optimal", s, r, truth);
  if (r.certificate.kind != Certificate::Kind::proven) fail("no certificate", s, r, truth);
  if (!(r.certificate.lower <= truth + 5e-17L * size)) fail("lower is too high", s, r, truth);
  if (!(r.certificate.upper >= truth - 5e-17L * size)) fail("upper is too low", s, r, truth);
  if (r.certificate.upper - r.certificate.lower > 40 * noise) fail("bounds are wide", s, r, truth);
}

template <class T>
void solve(const Shape& s) {
  Instance<T> p(s);
  p.balance();
  Reals a = p.row_weights(), b = p.col_weights();
  Real all_a = 0, all_b = 0;
  for (const Real w : a) all_a += w;
  for (const Real w : b) all_b += w;
  for (Real& w : b) w *= all_a / all_b;
  const Real truth = least_cost(p.costs, a, b, all_a);
  Real size = p.largest;  // what costs are made of
  for (Index i = 0; s.cost == static_cast<int>(Cost::negative_dot) && i < s.n; ++i) {
    for (Index j = 0; j < s.m; ++j) {
      Real xx = 0, yy = 0;
      for (Index k = 0; k < s.d; ++k) xx += Real(p.x(i, k)) * p.x(i, k), yy += Real(p.y(j, k)) * p.y(j, k);
      size = std::max(size, std::sqrt(xx * yy));
    }
  }
  if (s.labels) size += p.problem.label_penalty;
  if (s.cost != dense) size *= 1 + Real(s.d) / 10;
  check_result(p.costs, a, b, network_simplex(p.problem), s, truth, all_a * size);
}

// A fixed seed; what fails is shrunk and shown.
template <class T>
class NetworkSimplexOf : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(NetworkSimplexOf, Types);

TYPED_TEST(NetworkSimplexOf, RandomProblemsIsExact) {
  check(3000, [] { solve<TypeParam>(any_shape()); });
}

// Small integers: ties everywhere, sums of weights that agree in parts, forbidden pairs.
TYPED_TEST(NetworkSimplexOf, IntegersWithForbiddenPairsIsExact) {
  check(3000, [] {
    const auto to = [](int last) { return rc::gen::inRange(0, last + 1); };
    Shape s{.n = 1 + *to(6), .m = 1 + *to(6), .cost = dense, .seed = static_cast<std::uint64_t>(*to(1 << 30))};
    const int holes = *to(7), values = 1 + *to(3), weights = 1 + *to(3);
    std::mt19937_64 random(s.seed);
    const auto n = static_cast<std::size_t>(s.n), m = static_cast<std::size_t>(s.m);
    std::vector<TypeParam> costs(n * m);
    for (TypeParam& c : costs)
      c = static_cast<int>(random() % 10) < holes ? HUGE_VAL : static_cast<TypeParam>(random() % values);
    std::vector<double> a(n), b(m);
    for (int unit = 0; unit < 4 * weights; ++unit) a[random() % n] += 1, b[random() % m] += 1;
    // The truth by costs far above all others.
    Reals real(costs.begin(), costs.end()), finite(real), wa(a.begin(), a.end()), wb(b.begin(), b.end());
    for (Real& c : finite) c = std::isinf(c) ? 1000 : c;
    const Real mass = 4 * weights, truth = least_cost(finite, wa, wb, mass);
    const Problem<TypeParam> problem{.cost_matrix = {costs.data(), s.n, s.m}, .a = a, .b = b};
    try {
      const ExactResult r = network_simplex(problem);
      RC_ASSERT(truth < 1000);
      for (const double value : r.plan.values) RC_ASSERT(value == std::round(value));
      check_result(real, wa, wb, r, s, truth, mass * 4);
    } catch (const Error& error) {
      if (error.code() != Errc::infeasible) RC_FAIL(error.what());
      RC_ASSERT(truth >= 1000);
    }
  });
}

}  // namespace
}  // namespace monge::ot
