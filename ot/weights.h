#pragma once  // private: never installed
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::ot::detail {

// A copy of the weights of `size` points, which are 1 / size each if none are given.
inline std::vector<double> weights_of(VectorView<const double> w, Index size) {
  if (w.empty()) return std::vector<double>(static_cast<std::size_t>(size), 1.0 / static_cast<double>(size));
  return {w.begin(), w.end()};
}

inline double sum_of(const std::vector<double>& w) {
  double sum = 0;
  for (const double e : w) sum += e;
  return sum;
}

}  // namespace monge::ot::detail
