#pragma once  // private: never installed
#include <cmath>

namespace monge::ot::detail {

// A sum with a bound on its error: Sum2 of Ogita, Rump and Oishi (Accurate sum and dot product, SIAM J. Sci. Comput.
// 26, 2005), whose error is below u |S| + (n u)^2 sum |terms|. Each term may itself be off by a few roundings of its
// size.
class BoundedSum {
 public:
  static constexpr double u = 0x1p-53;  // unit roundoff

  void add(double term) {
    const double sum = sum_ + term, back = sum - sum_;
    rest_ += (sum_ - (sum - back)) + (term - back);
    sum_ = sum;
    sizes_ += std::abs(term);
  }
  // Room for an error made elsewhere.
  void widen(double error) { errors_ += error; }

  double value() const { return sum_ + rest_; }
  // |exact sum of the exact terms - value()| stays below this, if each term was rounded at most twice.
  double error() const { return (8 * u * sizes_ + errors_) * (1 + 0x1p-20); }
  double lower() const { return std::nextafter(value() - error(), -HUGE_VAL); }
  double upper() const { return std::nextafter(value() + error(), HUGE_VAL); }

 private:
  double sum_ = 0, rest_ = 0, sizes_ = 0, errors_ = 0;
};

}  // namespace monge::ot::detail
