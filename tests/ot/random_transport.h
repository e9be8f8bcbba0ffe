#pragma once  // small random problems, most of them nasty
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <sstream>
#include <vector>

#include "transport_truth.h"

namespace monge::ot {

inline constexpr int dense = 5;  // as a kind of cost, after those of Cost

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

inline std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << "n " << s.n << ", m " << s.m << ", d " << s.d << ", cost "
             << (s.cost == dense ? "dense" : to_string(static_cast<Cost>(s.cost))) << ", scale 1e" << s.scale
             << ", offset " << s.offset << ", twins " << s.twins << ", weights " << s.weights << " x 2^"
             << s.weight_scale << (s.labels ? ", labels" : "") << ", epsilon 1e" << s.epsilon << ", iterations "
             << s.iterations << (s.stored ? ", stored" : "") << ", seed " << s.seed;
}

inline Shape any_shape() {
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

}  // namespace monge::ot
