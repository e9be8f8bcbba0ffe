#pragma once
#include <algorithm>
#include <cmath>

#include "monge/ot/core/array.h"

namespace monge::ot::cpu {

// The power of two at the largest weight. Exponentials end at the smallest normal number; times weights in these units
// they are hardly ever subnormal, which would take a hundred times as long.
template <class W>
double weight_unit(VectorView<const W> weights) {
  double largest = 0;
  for (const W w : weights) largest = std::max(largest, static_cast<double>(w));
  return largest > 0 && std::isfinite(largest) ? std::ldexp(1.0, std::ilogb(largest)) : 1;
}

}  // namespace monge::ot::cpu
