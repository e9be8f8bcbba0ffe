#pragma once  // private: never installed
#include <cstdint>

#include "monge/ot/core/array.h"

namespace monge::ot::detail {

// Sorts `values` ascending, in place: three passes over 11 bits of an integer image of the floats that keeps their
// order, several times faster than std::sort on thousands of values. scratch: twice as many words. NaN goes to the
// ends.
void radix_sort(VectorView<float> values, VectorView<std::uint32_t> scratch);

}  // namespace monge::ot::detail
