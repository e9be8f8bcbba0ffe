#pragma once
#include <string>

#include "monge/apps/ot_solve/input.h"
#include "monge/apps/ot_solve/solution.h"

namespace monge::apps {

// A solver, and in a few words why it was chosen (empty: it was asked for).
struct Choice {
  std::string solver, why;
};

// What "auto" stands for, in `left` bytes of memory.
template <class T>
Choice choose_solver(const Input<T>& input, const Request& request, double left);

// exact, network_simplex, hungarian and auction.
bool is_exact(const std::string& solver);

// Whether `exact` takes the problem on a GPU.
template <class T>
bool gpu_solves(const ot::Problem<T>& problem);

// How many points of each side are not equal to others, in labels, too (of a dense cost: rows and columns). Those of up
// to 4000 points, of more than a million, and of more than 4000 distinct ones count as all distinct.
struct Sides {
  Index n = 0, m = 0;
};
template <class T>
Sides distinct_points(const ot::Problem<T>& problem, const Context& context);

// Bytes that an exact solver takes besides its input.
struct ExactMemory {
  double least = 0;
  double scores = 0, instead = 0;  // on top: for scores of all pairs, which are kept where they fit; else instead of it
  bool keeps(double left) const;
  double needed(double left) const { return least + (keeps(left) ? scores : instead); }
};
template <class T>
ExactMemory memory_of_exact(const ot::Problem<T>& problem, const std::string& solver, const Sides& distinct);

// Each runs one solver with progress on stderr; interrupted, it returns the best so far with status stopped_by_caller.
// Throws as the solver, and Error(out_of_memory) before it would take more than the budget.
template <class T>
Solution solve_sinkhorn(const Input<T>& input, const Request& request, const MemoryBudget& budget);
template <class T>
Solution solve_exact(const Input<T>& input, const Request& request, const std::string& solver,
                     const MemoryBudget& budget);
template <class T>
Solution solve_sliced(const Input<T>& input, const Request& request, const MemoryBudget& budget);
Solution solve_semidiscrete(const Input<float>& input, const Request& request, const MemoryBudget& budget);

template <class T>
const char* dtype_name() {
  return sizeof(T) == sizeof(float) ? "float" : "double";
}

}  // namespace monge::apps
