#pragma once  // private: never installed
#include <cmath>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::ot::detail {

// A copy of the weights of `size` points, which are 1 / size each if none are given.
inline std::vector<double> weights_of(VectorView<const double> w, Index size) {
  if (w.empty()) return std::vector<double>(static_cast<std::size_t>(size), 1.0 / static_cast<double>(size));
  return {w.begin(), w.end()};
}

// To about two roundings, however many there are: certificates count on it.
inline double sum_of(const std::vector<double>& w) {
  double sum = 0, rest = 0;
  for (const double e : w) {
    const double next = sum + e, back = next - sum;
    rest += (sum - (next - back)) + (e - back);
    sum = next;
  }
  return std::isfinite(rest) ? sum + rest : sum;
}

}  // namespace monge::ot::detail
