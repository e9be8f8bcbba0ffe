#pragma once
#include <variant>
#include <vector>

#include "monge/apps/common/memory.h"
#include "monge/apps/ot_solve/request.h"
#include "monge/ot/problem.h"

namespace monge::apps {

// What the files of a request hold.
template <class T>
struct Input {
  Matrix<T> x, y, cost_matrix;  // x is empty where it is a law
  ot::Cost cost = ot::Cost::squared_euclidean;
  std::vector<double> a, b;
  std::vector<std::int32_t> x_labels, y_labels;  // of x alone: for the pairs
  double label_penalty = 0;

  ot::Problem<T> problem() const;  // borrows
};

using AnyInput = std::variant<Input<float>, Input<double>>;

// Reads all files, in the type asked for; if none was, in float where that holds every number exactly, else in double.
// Throws as read_cloud; Error(invalid_argument) for clouds without points and files that do not fit each other,
// Error(not_finite); all name the file.
AnyInput read_input(const Request& request, const MemoryBudget& budget);
// In float, whatever it costs in precision.
Input<float> read_float_input(const Request& request, const MemoryBudget& budget);

// Throws Error(invalid_argument) if the sums of the weights differ by more than 1e-6, relative.
template <class T>
void check_balanced(const Input<T>& input, const char* advice = "");

// Throws Error if costs or the label penalty are infinite, which not every solver knows.
template <class T>
void require_no_forbidden_pairs(const Input<T>& input, const Request& request);

ot::Cost parse_metric(const std::string& name);

}  // namespace monge::apps
