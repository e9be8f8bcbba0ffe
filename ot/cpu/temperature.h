#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "monge/ot/core/array.h"

namespace monge::ot::cpu {

// An epsilon in the forms kernels need.
template <class T>
struct Temperature {
  T rate;   // exp((s - best) / epsilon) = exp2((s - best) rate); finite, so that 0 x rate is 0
  T reach;  // m scores further below the best than this change no digit of a sum
  double epsilon;

  Temperature(T epsilon_, Index m)
      : rate(static_cast<T>(std::min(std::numbers::log2e / static_cast<double>(epsilon_),
                                     static_cast<double>(std::numeric_limits<T>::max())))),
        reach(
            static_cast<T>(static_cast<double>(epsilon_) * (std::log(static_cast<double>(std::max<Index>(m, 1))) +
                                                            std::numbers::ln2 * (std::numeric_limits<T>::digits + 2)))),
        epsilon(static_cast<double>(epsilon_)) {}

  // Scores above this count beside `best`; scores equal to it always do.
  T limit(T best) const {
    const T below = best - reach;
    return below < best ? below : std::nextafter(best, -std::numeric_limits<T>::infinity());
  }
};

}  // namespace monge::ot::cpu
