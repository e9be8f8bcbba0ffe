#pragma once
#include "monge/ot/core/array.h"
#include "monge/ot/core/error.h"

namespace monge::ot {

// Where scores come from: s_ij = scale <x_i, y_j> + u_i + v_j, made tile by tile and thrown away; or, when `stored` is
// set, s_ij = scale stored_ij + u_i + v_j. Squared Euclidean, negative dot and cosine costs are all of this form.
template <class T>
struct Scores {
  MatrixView<const T> x = {};       // n x d
  MatrixView<const T> y = {};       // m x d
  MatrixView<const T> stored = {};  // n x m, instead of x and y
  T scale = 1;
  VectorView<const T> u = {};  // n, empty = 0
  VectorView<const T> v = {};  // m, empty = 0

  bool is_stored() const { return stored.data != nullptr; }
  Index rows() const { return is_stored() ? stored.rows : x.rows; }
  Index cols() const { return is_stored() ? stored.cols : y.rows; }
};

}  // namespace monge::ot
