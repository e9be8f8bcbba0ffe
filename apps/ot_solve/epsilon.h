#pragma once
#include <string>

#include "monge/apps/ot_solve/input.h"
#include "monge/ot/sinkhorn.h"

namespace monge::apps {

constexpr double default_epsilon = 0.003;  // relative: about the sharpest that float can tell

// Sets epsilon and its unit, and says what it is a share of. Relative is to the mean cost; where costs have signs, so
// that their mean measures nothing, to half the mean squared distance (negative_dot: the same plans as
// squared_euclidean) or to the mean above the smallest cost (a dense cost).
template <class T>
std::string set_epsilon(const Input<T>& input, const Request& request, ot::SinkhornOptions& options);

}  // namespace monge::apps
