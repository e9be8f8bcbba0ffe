#pragma once  // private: never installed
#include <cstdint>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/device.h"

namespace monge::ot::detail {

// Points in an order in which those of a group come one after the other: group g is order[first[g]] and what follows up
// to order[first[g + 1]], none empty.
struct PointGroups {
  std::vector<std::int32_t> order;
  std::vector<Index> first = {0};

  Index count() const { return static_cast<Index>(first.size()) - 1; }
  Index size(Index g) const { return first[g + 1] - first[g]; }
};

// Groups of points that lie close together, `most` of them at most, by k-means from seeds that lie far apart (Arthur
// and Vassilvitskii, k-means++: the advantages of careful seeding, SODA 2007).
PointGroups group_points(MatrixView<const float> points, Index most, const Context& context);

}  // namespace monge::ot::detail
