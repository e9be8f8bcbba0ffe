#include "monge/apps/ot_solve/input.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "monge/data/cloud.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

// Readers know a limit, not where it comes from.
template <class Read>
auto within_budget(Read read) {
  try {
    return read();
  } catch (const Error& error) {
    if (error.code() != Errc::out_of_memory) throw;
    throw Error(error.code(), concat(error.what(), " (--memory-mb)"));
  }
}

template <class T>
Matrix<T> read_matrix(const std::string& where, const MemoryBudget& budget) {
  Matrix<T> values = within_budget([&] { return data::read_cloud<T>(where, budget.left()); });
  require(values.rows() > 0 && values.cols() > 0, where, ": is empty (", values.rows(), " x ", values.cols(), ")");
  return values;
}

// Throws Error(not_finite) for the first value that is not good, saying where in the file it is.
template <class T, class Good>
void require_values(const std::string& where, const Matrix<T>& values, const Good& good, const char* note = "") {
  const T *const begin = values.data(), *const end = begin + values.rows() * values.cols();
  const T* const bad = std::find_if_not(begin, end, good);
  if (bad == end) return;
  const Index row = (bad - begin) / values.cols(), col = (bad - begin) % values.cols();
  throw Error(Errc::not_finite,
              concat(where, ": ", note, "the value is ", *bad, " in ", data::place_in_cloud(where, row, col)));
}

template <class T>
Matrix<T> read_points(const std::string& where, const MemoryBudget& budget) {
  Matrix<T> points = read_matrix<T>(where, budget);
  require_values(where, points, [](T v) { return std::isfinite(v); });
  return points;
}

template <class T>
Matrix<T> read_costs(const std::string& where, const MemoryBudget& budget) {
  Matrix<T> costs = read_matrix<T>(where, budget);
  require_values(where, costs, [](T v) { return v >= std::numeric_limits<T>::lowest(); });  // inf forbids a pair
  return costs;
}

// `option` is "--a"; none where no file is named.
std::vector<double> read_weights(const char* option, const std::string& where, Index points,
                                 const MemoryBudget& budget) {
  if (where.empty()) return {};
  const std::vector<double> w = within_budget([&] { return data::read_weights(where, budget.left()); });
  require(static_cast<Index>(w.size()) == points, option, " ", where, ": has ", w.size(), " weights for ", points,
          " points");
  double total = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    if (!std::isfinite(w[i])) throw Error(Errc::not_finite, concat(option, " ", where, ": weight ", i, " is ", w[i]));
    require(w[i] >= 0, option, " ", where, ": weight ", i, " is negative (", w[i], ")");
    total += w[i];
  }
  require(total > 0, option, " ", where, ": all weights are zero");
  require(std::isfinite(total), option, " ", where, ": the sum of the weights overflows");
  return w;
}

std::vector<std::int32_t> read_labels(const char* option, const std::string& where, Index points,
                                      const MemoryBudget& budget) {
  if (where.empty()) return {};
  std::vector<std::int32_t> labels = within_budget([&] { return data::read_labels(where, budget.left()); });
  require(static_cast<Index>(labels.size()) == points, option, " ", where, ": has ", labels.size(), " labels for ",
          points, " points");
  return labels;
}

template <class T>
Input<T> read_as(const Request& r, const MemoryBudget& budget) {
  Input<T> in;
  if (!r.cost.empty()) {
    in.cost_matrix = read_costs<T>(r.cost, budget);
  } else {
    in.cost = parse_metric(r.metric_name());
    if (!r.from_law()) in.x = read_points<T>(r.x, budget);
    in.y = read_points<T>(r.y, budget);
    require(r.from_law() || in.x.cols() == in.y.cols(), "X has ", in.x.cols(), " dimensions (", r.x, "), Y has ",
            in.y.cols(), " (", r.y, ")");
  }
  const ot::Problem<T> sizes = in.problem();
  in.a = read_weights("--a", r.a, sizes.rows(), budget);
  in.b = read_weights("--b", r.b, sizes.cols(), budget);
  in.x_labels = read_labels("--x-labels", r.x_labels, sizes.rows(), budget);
  in.y_labels = read_labels("--y-labels", r.y_labels, sizes.cols(), budget);
  in.label_penalty = r.label_penalty.value_or(0);
  return in;
}

bool fits_float(const Matrix<double>& m) {
  return std::all_of(m.data(), m.data() + m.rows() * m.cols(),
                     [](double v) { return std::isnan(v) || static_cast<double>(static_cast<float>(v)) == v; });
}

Matrix<float> narrowed(const Matrix<double>& m, const MemoryBudget& budget) {
  budget.require(static_cast<double>(m.rows()) * static_cast<double>(m.cols()) * sizeof(float), "a copy in float");
  Matrix<float> out(m.rows(), m.cols());
  std::transform(m.data(), m.data() + m.rows() * m.cols(), out.data(), [](double v) { return static_cast<float>(v); });
  return out;
}

// Whether floats lose nothing, by the types of the files alone.
bool holds_floats(const Request& r) {
  if (!r.cost.empty()) return data::holds_floats(r.cost);
  return (r.from_law() || data::holds_floats(r.x)) && data::holds_floats(r.y);
}

}  // namespace

AnyInput read_input(const Request& request, const MemoryBudget& budget) {
  if (request.dtype ? *request.dtype == "float" : holds_floats(request)) return read_as<float>(request, budget);
  Input<double> in = read_as<double>(request, budget);
  if (request.dtype || !fits_float(in.x) || !fits_float(in.y) || !fits_float(in.cost_matrix)) return in;
  Input<float> narrow;
  const auto take = [&](Matrix<double>& wide) {
    Matrix<float> out = narrowed(wide, budget);
    wide = {};
    return out;
  };
  narrow.x = take(in.x), narrow.y = take(in.y), narrow.cost_matrix = take(in.cost_matrix);
  narrow.cost = in.cost;
  narrow.a = std::move(in.a), narrow.b = std::move(in.b);
  narrow.x_labels = std::move(in.x_labels), narrow.y_labels = std::move(in.y_labels);
  narrow.label_penalty = in.label_penalty;
  return narrow;
}

Input<float> read_float_input(const Request& request, const MemoryBudget& budget) {
  return read_as<float>(request, budget);
}

template <class T>
ot::Problem<T> Input<T>::problem() const {
  const auto matrix = [](const Matrix<T>& m) { return m.rows() > 0 ? m.view() : MatrixView<const T>(); };
  return {.x = matrix(x),
          .y = matrix(y),
          .cost_matrix = matrix(cost_matrix),
          .cost = cost,
          .a = a,
          .b = b,
          .x_labels = y_labels.empty() ? VectorView<const std::int32_t>() : x_labels,
          .y_labels = y_labels,
          .label_penalty = label_penalty};
}

template <class T>
void check_balanced(const Input<T>& input, const char* advice) {
  const auto total = [](const std::vector<double>& w) { return w.empty() ? 1 : std::reduce(w.begin(), w.end()); };
  const double a = total(input.a), b = total(input.b);
  require(std::abs(a - b) <= 1e-6 * std::max(a, b), "a sums to ", a, " and b to ", b, ": equal sums are needed",
          advice);
}

template <class T>
void require_no_forbidden_pairs(const Input<T>& input, const Request& r) {
  require(std::isfinite(input.label_penalty),
          "--label-penalty inf: only --solver exact, network_simplex and semidiscrete take it");
  require_values(
      r.cost, input.cost_matrix, [](T v) { return std::isfinite(v); },
      "only --solver exact, network_simplex, hungarian and auction take forbidden pairs; ");
}

ot::Cost parse_metric(const std::string& name) {
  for (const ot::Cost cost :
       {ot::Cost::squared_euclidean, ot::Cost::euclidean, ot::Cost::l1, ot::Cost::cosine, ot::Cost::negative_dot}) {
    if (name == ot::to_string(cost)) return cost;
  }
  throw Error(Errc::invalid_argument, concat("unknown metric '", name, "'"));
}

template void check_balanced(const Input<float>&, const char*);
template void check_balanced(const Input<double>&, const char*);
template void require_no_forbidden_pairs(const Input<float>&, const Request&);
template void require_no_forbidden_pairs(const Input<double>&, const Request&);
template struct Input<float>;
template struct Input<double>;

}  // namespace monge::apps
