#pragma once

namespace monge::ot {

// What it costs to move a unit of mass from x to y.
enum class Cost {
  negative_dot,       // -<x, y>: the same couplings as squared Euclidean, better behaved in floating point
  squared_euclidean,  // |x - y|^2, unhalved
  cosine,             // 1 - <x, y> / (|x| |y|)
  euclidean,          // |x - y|
  l1,                 // sum_k |x_k - y_k|
};
const char* to_string(Cost cost);

}  // namespace monge::ot
