// Certificates hold: thousands of small random problems, most of them nasty, whose optimum is known in long double.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <random>
#include <sstream>

#include "monge/ot/assignment.h"
#include "monge/ot/core/error.h"
#include "monge/ot/sinkhorn.h"
#include "transport_truth.h"

namespace monge::ot {
namespace {

constexpr int dense = 5;  // as a kind of cost, after those of Cost

struct Shape {
  Index n = 1, m = 1, d = 1;
  int cost = 0;          // a Cost, or dense
  int scale = 0;         // coordinates are of size 10^scale
  int offset = 0;        // 0: around the origin; 1: both clouds a million away; 2: far apart
  int twins = 0;         // bit 0: double points, bit 1: points shared by the clouds
  int weights = 0;       // 0 uniform, 1 integers, zeros among them, 2 wildly uneven, 3 one of 1e-300
  int weight_scale = 0;  // times 2^that
  bool labels = false;
  int epsilon = 0;  // 10^that of the mean cost
  Index iterations = 1;
  bool stored = false;  // the scores
  std::uint64_t seed = 0;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << "n " << s.n << ", m " << s.m << ", d " << s.d << ", cost "
             << (s.cost == dense ? "dense" : to_string(static_cast<Cost>(s.cost))) << ", scale 1e" << s.scale
             << ", offset " << s.offset << ", twins " << s.twins << ", weights " << s.weights << " x 2^"
             << s.weight_scale << (s.labels ? ", labels" : "") << ", epsilon 1e" << s.epsilon << ", iterations "
             << s.iterations << (s.stored ? ", stored" : "") << ", seed " << s.seed;
}

Shape any_shape() {
  const auto to = [](int last) { return rc::gen::inRange(0, last + 1); };
  Shape s;
  s.n = 1 + *to(6), s.m = 1 + *to(6);
  s.d = *rc::gen::element<Index>(1, 2, 3, 5, 9, 20, 70, 400);
  s.cost = *to(dense);
  s.scale = *rc::gen::element(0, 0, -30, -19, -8, -3, 3, 8, 19, 30);
  s.offset = *rc::gen::element(0, 0, 0, 1, 2);
  s.twins = *to(3);
  s.weights = *to(3);
  s.weight_scale = *rc::gen::element(0, 0, 0, -150, 100, -40, 40);
  s.labels = *to(3) == 0;
  s.epsilon = *rc::gen::element(-6, -5, -4, -3, -2, -1, 0, 1, 2, 3);
  s.iterations = *rc::gen::element<Index>(1, 3, 100);
  s.stored = *to(1) == 1;
  s.seed = static_cast<std::uint64_t>(*rc::gen::inRange(0, 1 << 30));
  return s;
}

// A problem of that shape, and its costs.
template <class T>
struct Instance {
  Matrix<T> x, y, cost;
  std::vector<double> a, b;
  std::vector<std::int32_t> x_labels, y_labels;
  Problem<T> problem;
  Reals costs;
  Real largest = 0, mean = 0;  // of |c_ij|

  explicit Instance(const Shape& s) : random_(s.seed) {
    const double scale = std::pow(10.0, s.scale);
    const double offset = s.offset == 0 ? 0 : 1e6 * scale, sign = s.offset == 2 ? -1 : 1;
    const double cost_size = s.cost == 0 || s.cost == 1 ? scale * scale : scale;
    x = cloud(s.n, s.d, scale, offset), y = cloud(s.m, s.d, scale, sign * offset);
    if (s.twins & 1) std::copy_n(x.data(), s.d, x.data() + (s.n - 1) * s.d);
    for (Index j = 0; s.twins & 2 && j < std::min(s.n, s.m); ++j)
      std::copy_n(x.data() + j * s.d, s.d, y.data() + j * s.d);
    problem = {.x = x.view(), .y = y.view()};
    if (s.cost == dense) {
      cost = cloud(s.n, s.m, scale, s.offset == 1 ? 3 * scale : 0);
      problem = {.cost_matrix = cost.view()};
    } else {
      problem.cost = static_cast<Cost>(s.cost);
    }
    if (s.weights > 0) {
      a = weights(s.n, s), b = weights(s.m, s);
      problem.a = a, problem.b = b;
    }
    if (s.labels) {
      for (Index i = 0; i < s.n; ++i) x_labels.push_back(static_cast<std::int32_t>(random_() % 2));
      for (Index j = 0; j < s.m; ++j) y_labels.push_back(static_cast<std::int32_t>(random_() % 2));
      problem.x_labels = x_labels, problem.y_labels = y_labels;
      problem.label_penalty = cost_size;
    }
    costs = true_costs(problem);
    for (const Real c : costs) largest = std::max(largest, std::abs(c)), mean += std::abs(c) / costs.size();
    if (s.cost == static_cast<int>(Cost::cosine)) largest = 1, mean = std::max(mean, 1e-3L);  // what it is made of
    if (mean == 0) mean = cost_size;
  }

  Reals row_weights() const { return wide(a, problem.rows()); }
  Reals col_weights() const { return wide(b, problem.cols()); }

  void balance() {  // to sums that double calls equal
    double all_a = 0, all_b = 0;
    for (const double w : a) all_a += w;
    for (const double w : b) all_b += w;
    for (double& w : b) w *= all_a / all_b;
  }

 private:
  static Reals wide(const std::vector<double>& w, Index size) {
    return w.empty() ? Reals(static_cast<std::size_t>(size), 1.0L / size) : Reals(w.begin(), w.end());
  }
  Matrix<T> cloud(Index n, Index d, double scale, double offset) {
    std::normal_distribution<double> normal;
    Matrix<T> out(n, d);
    for (Index k = 0; k < n * d; ++k) out.data()[k] = static_cast<T>(offset + scale * normal(random_));
    return out;
  }
  std::vector<double> weights(Index n, const Shape& s) {
    std::vector<double> w(static_cast<std::size_t>(n));
    for (double& e : w) {
      e = s.weights == 1 ? static_cast<double>(random_() % 4)
                         : std::pow(10.0, -static_cast<double>(random_() % (s.weights == 2 ? 1500 : 100)) / 100);
    }
    if (s.weights == 3) w[0] = 1e-300;
    w[w.size() - 1] += 1;
    for (double& e : w) e = std::ldexp(e, s.weight_scale);
    return w;
  }
  std::mt19937_64 random_;
};

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

// A fixed seed; what fails is shrunk and shown.
template <class Property>
void check(int cases, const Property& property) {
  rc::detail::TestParams params;
  params.seed = 20240;
  params.maxSuccess = cases;
  const auto result = rc::detail::checkProperty(rc::detail::toProperty(property), {}, params);
  std::ostringstream message;
  rc::detail::printResultMessage(result, message);
  EXPECT_TRUE(result.template is<rc::detail::SuccessResult>()) << message.str();
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
