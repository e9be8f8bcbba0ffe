#pragma once
#include <random>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge {

// Standard normal values.
template <class T>
std::vector<T> gaussian(Index count, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<T> normal;
  std::vector<T> v(static_cast<std::size_t>(count));
  for (T& e : v) e = normal(random);
  return v;
}

}  // namespace monge
