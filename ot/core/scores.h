#pragma once
#include <cstdint>

#include "monge/ot/core/array.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/prepared.h"

namespace monge::ot {

// What is measured between two points: <x, y>, |x - y|_2 or |x - y|_1.
enum class Metric { dot, euclidean, l1 };

// Where scores come from: s_ij = scale metric(x_i, y_j) + u_i + v_j, made tile by tile and thrown away; or, when
// `stored` is set, s_ij = scale stored_ij + u_i + v_j. Either is label_penalty less where the labels of row and column
// differ. Squared Euclidean, negative dot and cosine costs are dot products with biases.
template <class T>
struct Scores {
  MatrixView<const T> x = {};       // n x d
  MatrixView<const T> y = {};       // m x d
  MatrixView<const T> stored = {};  // n x m, instead of x and y
  T scale = 1;
  VectorView<const T> u = {};  // n, empty = 0
  VectorView<const T> v = {};  // m, empty = 0
  Metric metric = Metric::dot;
  VectorView<const std::int32_t> row_labels = {};  // n, empty = no labels
  VectorView<const std::int32_t> col_labels = {};  // m, empty = no labels
  const PreparedPoints* y_ready = nullptr;         // of y, if someone keeps that between passes
  T label_penalty = 0;                             // in units of the score; +infinity forbids pairs that differ

  bool is_stored() const { return stored.data != nullptr; }
  bool is_labelled() const { return label_penalty != 0 && !row_labels.empty() && !col_labels.empty(); }
  Index rows() const { return is_stored() ? stored.rows : x.rows; }
  Index cols() const { return is_stored() ? stored.cols : y.rows; }
};

// The scores of `count` rows from `first`.
template <class T>
Scores<T> rows_of(Scores<T> s, Index first, Index count) {
  if (s.is_stored())
    s.stored = s.stored.rows_from(first, count);
  else
    s.x = s.x.rows_from(first, count);
  if (!s.u.empty()) s.u = {s.u.data + first, count, s.u.device};
  if (!s.row_labels.empty()) s.row_labels = {s.row_labels.data + first, count, s.row_labels.device};
  return s;
}

}  // namespace monge::ot
