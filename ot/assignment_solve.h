#pragma once  // private: never installed
#include "monge/ot/assignment.h"

namespace monge::ot::detail {

enum class AssignmentMethod { automatic, hungarian, auction };

struct AssignmentCall {
  const char* who;  // the public function, for messages
  AssignmentMethod method;
  const AssignmentOptions& options;
};

template <class T>
AssignmentResult solve_clouds(MatrixView<const T> x, MatrixView<const T> y, const AssignmentCall& call);
template <class T>
AssignmentResult solve_matrix(MatrixView<const T> cost, const AssignmentCall& call);
template <class T>
AssignmentResult solve_sparse(const SparseCost<T>& cost, const AssignmentCall& call);

// What clouds must be: not empty, of one dimension, x no longer than y, on the CPU, finite.
template <class T>
void check_clouds(MatrixView<const T> x, MatrixView<const T> y, const AssignmentCall& call);

}  // namespace monge::ot::detail
