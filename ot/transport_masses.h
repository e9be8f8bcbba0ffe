#pragma once  // private: never installed
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/transport_tree.h"

namespace monge::ot::detail {

// Whether sums are as good as equal to a balanced problem.
inline bool balanced(double a, double b) { return std::abs(a - b) <= 1e-6 * std::max(a, b); }

constexpr double least_total = 1e-290;  // of weights: of less, entries of a plan and costs lose bits to underflow

// The weights of a balanced problem as integers of equal sums; points without weight take no part. Weights above 2^-60
// of the largest sum keep all their bits; smaller ones end at 2^-113 of it. b counts as scaled to the sum of a (2^-58
// of each), if the sums are not equal already. No weights on either side: masses are m and n times 1 / (n m).
struct TransportMasses {
  std::vector<std::int32_t> rows, cols;  // that take part
  std::vector<Int128> supply, demand;    // of these
  double unit = 1;                       // 1 stands for unit 2^exponent: weights may be smaller than 2^-118
  int exponent = 0;
  double off = 0;  // share of the mass by which the weights meant may differ from these

  // Throws invalid_argument where the sums are more than 1e-6 apart, relative, or below least_total. `who` is the
  // caller's name.
  TransportMasses(VectorView<const double> a, Index n, VectorView<const double> b, Index m, const char* who);

  double in_units(Int128 mass) const { return std::ldexp(to_double(mass) * unit, exponent); }
  double total() const;  // of either side
};

}  // namespace monge::ot::detail
