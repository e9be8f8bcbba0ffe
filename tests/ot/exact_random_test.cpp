// Every exact solver against an independent optimum: thousands of small random problems, most of them nasty.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <numeric>

#include "exact_solvers.h"
#include "random_transport.h"

namespace monge::ot {
namespace {

void fail(const std::string& what, Solver solver, const Shape& s, const ExactResult& r, Real truth) {
  std::ostringstream out;
  out.precision(20);
  out << name_of(solver) << ", " << what << ": " << s << "\n  [" << r.certificate.lower << ", " << r.certificate.upper
      << "] truth " << truth << " " << to_string(r.status) << ", cost " << r.cost;
  RC_FAIL(out.str());
}

// `noise`: what rounding may do to the cost; `known`: to the truth, which is had in long double.
void check_answer(const Reals& costs, Solver solver, const Shape& s, const ExactResult& r, Real truth, Real noise,
                  Real known) {
  const auto n = static_cast<std::size_t>(s.n), m = static_cast<std::size_t>(s.m);
  const Verdict v = judge(costs, n, m, assigns(solver) && n < m, r, 40 * noise);
  if (!v.fault.empty()) fail(v.fault, solver, s, r, truth);
  if (std::abs(v.primal - truth) > noise) fail("not the optimum", solver, s, r, truth);
  if (!(r.certificate.lower <= truth + known)) fail("lower is too high", solver, s, r, truth);
  if (!(r.certificate.upper >= truth - known)) fail("upper is too low", solver, s, r, truth);
}

template <class T>
class ExactSolversOf : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ExactSolversOf, Types);

// Clouds and matrices of any scale, offset and dimension, with double points; n = m, and n < m, where a row of an
// assignment takes one column and leaves others.
TYPED_TEST(ExactSolversOf, RandomProblemsAreExact) {
  using T = TypeParam;
  check(1500, [] {
    Shape s = any_shape();
    if (s.n > s.m) std::swap(s.n, s.m);
    if (s.seed % 2) s.m = s.n;
    if (s.cost != dense) s.cost = static_cast<int>(Cost::squared_euclidean);
    s.weights = 0, s.labels = false;
    const Instance<T> p(s);
    const Reals rows(static_cast<std::size_t>(s.n), 1.0L / s.n);
    const auto cols = [&](Real mass) { return Reals(static_cast<std::size_t>(s.m), mass); };
    const Real assigned = least_cost(p.costs, rows, cols(1.0L / s.n), 1);
    const Real moved = least_cost(p.costs, rows, cols(1.0L / s.m), 1);
    const Real size = p.largest * (s.cost == dense ? 1 : 1 + Real(s.d) / 10);
    for (const Solver solver : all_solvers)
      check_answer(p.costs, solver, s, solve(solver, p.problem), assigns(solver) ? assigned : moved,
                   1e-15L * size + 1e-140L, 5e-17L * size);
  });
}

// Products are assigned by squared distances: of any scale, one side's own included, and any offset.
TYPED_TEST(ExactSolversOf, RandomProductsAreExact) {
  using T = TypeParam;
  check(1500, [] {
    Shape s = any_shape();
    s.m = s.n;
    s.cost = static_cast<int>(Cost::negative_dot);
    s.weights = 0, s.labels = false;
    Instance<T> p(s);
    const int smaller = *rc::gen::element(0, 0, -40, s.scale < 20 ? 20 : -20);  // float ends at 1e38
    for (Index k = 0; k < s.m * s.d; ++k) p.y.data()[k] = std::ldexp(p.y.data()[k], smaller);
    RC_ASSERT(is_assignment(p.problem));
    const Reals costs = true_costs(p.problem), mass(static_cast<std::size_t>(s.n), 1.0L / s.n);
    Real xx = 0, yy = 0;  // of what costs are made
    for (Index k = 0; k < s.n * s.d; ++k)
      xx += Real(p.x.data()[k]) * p.x.data()[k], yy += Real(p.y.data()[k]) * p.y.data()[k];
    const Real size = std::sqrt(xx * yy) * (1 + Real(s.d) / 10);
    check_answer(costs, Solver::exact, s, exact(p.problem), least_cost(costs, mass, mass, 1), 1e-15L * size + 1e-140L,
                 5e-17L * size);
  });
}

// Square matrices whose costs differ by sixty orders of magnitude, tie, or nearly tie; with forbidden pairs. The truth
// is the best of all permutations.
TYPED_TEST(ExactSolversOf, WildMatricesAreExact) {
  using T = TypeParam;
  check(2000, [] {
    const auto to = [](int last) { return rc::gen::inRange(0, last + 1); };
    Shape s{.cost = dense, .seed = static_cast<std::uint64_t>(*to(1 << 30))};
    s.n = s.m = 1 + *to(4);
    const int kind = *to(3), holes = *to(4);
    std::mt19937_64 random(s.seed);
    const auto n = static_cast<std::size_t>(s.n);
    std::vector<T> cost(n * n);
    for (T& c : cost) {
      const double digit = static_cast<double>(random() % 4), sign = random() % 2 ? 1 : -1;
      const double power = std::pow(10.0, static_cast<double>(random() % 61) - 30);
      c = static_cast<T>(kind == 0   ? (1 + digit) * sign * power
                         : kind == 1 ? (1 + digit) * power
                         : kind == 2 ? digit
                                     : 1 + digit * std::numeric_limits<T>::epsilon());
      if (static_cast<int>(random() % 10) < holes) c = std::numeric_limits<T>::infinity();
    }
    const Reals costs(cost.begin(), cost.end());
    Real truth = HUGE_VAL, size = 0;
    for (const Real c : costs) size = std::isfinite(c) ? std::max(size, std::abs(c)) : size;
    std::vector<std::size_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    do {
      Real sum = 0;
      for (std::size_t i = 0; i < n; ++i) sum += costs[i * n + order[i]] / static_cast<Real>(n);
      truth = std::min(truth, sum);
    } while (std::next_permutation(order.begin(), order.end()));
    for (const Solver solver : all_solvers) {
      try {
        const ExactResult r = solve(solver, Problem<T>{.cost_matrix = {cost.data(), s.n, s.n}});
        if (std::isinf(truth)) fail("there is no plan", solver, s, r, truth);
        check_answer(costs, solver, s, r, truth, 1e-15L * size + 1e-140L, 5e-17L * size);
      } catch (const Error& error) {
        if (error.code() != Errc::infeasible || std::isfinite(truth)) RC_FAIL(name_of(solver) + ": " + error.what());
      }
    }
  });
}

}  // namespace
}  // namespace monge::ot
