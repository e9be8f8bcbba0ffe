#pragma once  // private: never installed
#include <algorithm>
#include <cmath>

#include "monge/ot/core/array.h"
#include "monge/ot/core/error.h"

namespace monge::ot::detail {

// An unevaluated sum of two doubles, for running differences of masses: a light atom next to heavy ones keeps its
// weight.
struct TwoDoubles {
  double high = 0, low = 0;

  // *this -= other, which is to be positive and the smaller one.
  void subtract(const TwoDoubles& other) {
    const double sum = high - other.high, part = sum - high;
    const double error = (high - (sum - part)) - (other.high + part);
    low = (low - other.low) + error;
    high = sum + low;
    low -= high - sum;
  }
  double value() const { return high + low; }
};

// A compensated sum (Neumaier).
class StableSum {
 public:
  void add(double v) {
    const double next = sum_ + v;
    carry_ += std::abs(sum_) >= std::abs(v) ? (sum_ - next) + v : (v - next) + sum_;
    sum_ = next;
  }
  double value() const { return sum_ + carry_; }

 private:
  double sum_ = 0, carry_ = 0;
};

// The quantile functions of two uniform samples of n and m points, merged: segment(i, j, length) for each stretch of
// quantiles on which both are constant, lengths in units of 1 / (n m).
template <class Segment>
void merge_uniform(Index n, Index m, Segment segment) {
  Index i = 0, j = 0, at = 0;
  while (i < n) {
    const Index a_ends = (i + 1) * m, b_ends = (j + 1) * n, end = std::min(a_ends, b_ends);
    segment(i, j, static_cast<double>(end - at));
    i += a_ends == end;
    j += b_ends == end;
    at = end;
  }
}

// The same for weights a(0) ... a(n - 1) and b(0) ... b(m - 1), whose totals are equal up to rounding and positive:
// segment(i, j, mass) with mass > 0. What rounding leaves over goes to the last pair.
template <class A, class B, class Segment>
void merge_weighted(Index n, const A& a, Index m, const B& b, Segment segment) {
  Index last_i = n - 1, last_j = m - 1, i = 0, j = 0;
  while (!(a(last_i) > 0)) --last_i;
  while (!(b(last_j) > 0)) --last_j;
  while (!(a(i) > 0)) ++i;
  while (!(b(j) > 0)) ++j;
  TwoDoubles left_a{a(i)}, left_b{b(j)};
  while (i < last_i || j < last_j) {
    const double ahead = (left_a.high - left_b.high) + (left_a.low - left_b.low);
    const bool a_ends = j == last_j || (i < last_i && ahead <= 0), b_ends = i == last_i || (j < last_j && ahead >= 0);
    const double mass = (a_ends ? left_a : left_b).value();
    if (mass > 0) segment(i, j, mass);
    if (!a_ends) left_a.subtract(left_b);
    if (!b_ends) left_b.subtract(left_a);
    if (a_ends) {
      while (!(a(++i) > 0)) {
      }
      left_a = {a(i)};
    }
    if (b_ends) {
      while (!(b(++j) > 0)) {
      }
      left_b = {b(j)};
    }
  }
  const double mass = std::max(left_a.value(), left_b.value());
  if (mass > 0) segment(i, j, mass);
}

// The total of `weights`, refused unless finite, none negative and some positive; 0 if there are none. `who` names the
// function and the argument: "sliced: a".
inline double checked_total(VectorView<const double> weights, Index points, const char* who) {
  if (weights.empty()) return 0;
  require(weights.size == points, who, " has ", weights.size, " weights for ", points, " points");
  if (weights.device.type != DeviceType::cpu) throw Error(Errc::backend_unavailable, concat(who, " is not CPU memory"));
  StableSum total;
  for (Index i = 0; i < weights.size; ++i) {
    if (!std::isfinite(weights[i])) throw Error(Errc::not_finite, concat(who, " is ", weights[i], " at index ", i));
    require(weights[i] >= 0, who, " is negative, ", weights[i], ", at index ", i);
    total.add(weights[i]);
  }
  require(total.value() > 0, who, ": all weights are zero");
  require(total.value() > 1e-280, who, " sums to ", total.value(), ", too little to be divided");
  require(std::isfinite(total.value()), who, ": the sum of the weights overflows");
  return total.value();
}

// How masses are counted while two samples are merged: points without weights share the other side's total evenly.
struct Masses {
  VectorView<const double> a, b;
  double b_factor = 1;  // b's weights times this are in units of `unit`, as a's are
  double unit = 1;      // of the masses a merge reports

  // Throws unless the totals agree to 1e-9. `who` is the caller's name.
  Masses(VectorView<const double> a_, Index n, VectorView<const double> b_, Index m, const char* who) : a(a_), b(b_) {
    const double total_a = checked_total(a, n, concat(who, ": a").c_str());
    const double total_b = checked_total(b, m, concat(who, ": b").c_str());
    if (!a.empty() && !b.empty()) {
      require(std::abs(total_a - total_b) <= 1e-9 * std::max(total_a, total_b), who, ": a sums to ", total_a, ", b to ",
              total_b, "; they must be equal to 1e-9");
      b_factor = total_a / total_b;
    } else if (!a.empty()) {
      b_factor = total_a / static_cast<double>(m);
    } else if (!b.empty()) {
      unit = total_b / static_cast<double>(n);
      b_factor = 1 / unit;
    } else {
      unit = 1 / (static_cast<double>(n) * static_cast<double>(m));
    }
  }
  bool uniform() const { return a.empty() && b.empty(); }
  double of_a(Index i) const { return a.empty() ? 1.0 : a[i]; }
  double of_b(Index j) const { return (b.empty() ? 1.0 : b[j]) * b_factor; }
};

}  // namespace monge::ot::detail
