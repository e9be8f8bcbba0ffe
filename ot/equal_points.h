#pragma once  // private: never installed
#include <cstdint>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::ot::detail {

// Points, the rows of x or, if it is turned, its columns, with their labels, all the same where there are none.
template <class T>
struct LabelledCloud {
  MatrixView<const T> x;
  VectorView<const std::int32_t> labels = {};
  bool turned = false;

  Index size() const { return turned ? x.cols : x.rows; }
  Index dims() const { return turned ? x.rows : x.cols; }
  T at(Index i, Index k) const { return turned ? x(k, i) : x(i, k); }
  std::int32_t label(Index i) const { return labels.empty() ? 0 : labels[i]; }
  bool same(Index i, Index j) const {
    Index k = label(i) == label(j) ? 0 : dims() + 1;
    while (k < dims() && at(i, k) == at(j, k)) ++k;
    return k == dims();
  }
};

// The same for points that are the same; -0 equals 0.
template <class T>
std::uint64_t point_hash(const LabelledCloud<T>& cloud, Index i);

// For each point of `among`, which ascend, the lowest of these that it is the same as.
template <class T>
std::vector<Index> representatives(const LabelledCloud<T>& cloud, const std::vector<Index>& among,
                                   const Context& context);

// All points of a cloud, in groups of the same.
struct EqualPoints {
  std::vector<std::int32_t> first;  // the lowest point of each group, ascending
  std::vector<std::int32_t> group;  // of each point

  Index groups() const { return static_cast<Index>(first.size()); }
  bool all_differ() const { return first.size() == group.size(); }
  // How many points are the same as one, itself included: the mean over all points.
  double crowding() const;
};

// Where a few coordinates tell all points apart, these are all that is read.
template <class T>
EqualPoints equal_points(const LabelledCloud<T>& cloud, const Context& context);

}  // namespace monge::ot::detail
