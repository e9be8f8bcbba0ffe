#pragma once
#include <cstdint>

#include "monge/ot/core/array.h"
#include "monge/ot/cost.h"

namespace monge::ot {

// Two weighted clouds, or a dense cost, and what moving between them costs. Everything is borrowed.
template <class T>
struct Problem {
  MatrixView<const T> x = {};            // n x d
  MatrixView<const T> y = {};            // m x d
  MatrixView<const T> cost_matrix = {};  // n x m, instead of x and y
  Cost cost = Cost::squared_euclidean;
  VectorView<const double> a = {};               // n weights of the rows, >= 0; empty = 1/n each
  VectorView<const double> b = {};               // m weights of the columns, >= 0; empty = 1/m each
  VectorView<const std::int32_t> x_labels = {};  // n, with y_labels: pairs of unequal labels cost `label_penalty` more
  VectorView<const std::int32_t> y_labels = {};  // m
  double label_penalty = 0;                      // units of the cost, >= 0; +infinity forbids, as in cost_matrix

  bool is_dense() const { return cost_matrix.data != nullptr; }
  Index rows() const { return is_dense() ? cost_matrix.rows : x.rows; }
  Index cols() const { return is_dense() ? cost_matrix.cols : y.rows; }
  Index dims() const { return is_dense() ? 0 : x.cols; }
};

enum class Forbidden { no, allowed };  // costs and penalties of +infinity

// Throws Error: invalid_argument (empty, shapes, weights negative or all zero, labels), not_finite (row and column of
// the first bad value), backend_unavailable (memory that is not the CPU's). `who` is the caller's name.
template <class T>
void check(const Problem<T>& problem, const char* who, Forbidden forbidden = Forbidden::no);

// Weights of `size` points, or none; throws as above. `name`: a or b.
void check_weights(VectorView<const double> weights, Index size, const char* who, const char* name);

}  // namespace monge::ot
