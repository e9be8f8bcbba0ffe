#pragma once
#include <string>

#include "monge/apps/ot_solve/input.h"
#include "monge/apps/ot_solve/solution.h"

namespace monge::apps {

// A solver, and in a few words why it was chosen (empty: it was asked for).
struct Choice {
  std::string solver, why;
};

// What "auto" stands for, between so many points in `left` bytes of memory.
Choice choose_solver(const Request& request, Index rows, Index cols, double left);

// Bytes that the exact solver takes besides the points, or besides a dense cost.
double memory_of_exact(Index rows, Index cols, bool dense);

// Each runs one solver with progress on stderr; interrupted, it returns the best so far with status stopped_by_caller.
// Throws as the solver, and Error(out_of_memory) before it would take more than the budget.
template <class T>
Solution solve_sinkhorn(const Input<T>& input, const Request& request, const MemoryBudget& budget);
template <class T>
Solution solve_exact(const Input<T>& input, const Request& request, const MemoryBudget& budget);
template <class T>
Solution solve_sliced(const Input<T>& input, const Request& request, const MemoryBudget& budget);
Solution solve_semidiscrete(const Input<float>& input, const Request& request, const MemoryBudget& budget);

template <class T>
const char* dtype_name() {
  return sizeof(T) == sizeof(float) ? "float" : "double";
}

}  // namespace monge::apps
