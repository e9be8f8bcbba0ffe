#include "monge/ot/assignment_batch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "monge/ot/assignment_cloud.h"
#include "monge/ot/assignment_draft.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"

namespace monge::ot::detail {
namespace {

constexpr const char* who = "assign_batch";
constexpr Index at_once = 512;  // problems; more than a large chip works on

// What a room answers for some problems, one after the other.
struct Answers {
  Buffer<std::int32_t> columns;
  Buffer<double> f, g;
  explicit Answers(Index rows) : columns(rows), f(rows), g(rows) {}
};

template <class T>
double largest_of(MatrixView<const T> x) {
  T largest = 0;
  for (Index i = 0; i < x.rows; ++i)
    for (Index k = 0; k < x.cols; ++k) largest = std::max(largest, std::abs(x(i, k)));
  return static_cast<double>(largest);
}

// sum_i |x_i - centre|^2 for points times 2^-exponent.
template <class T>
double spread_of(MatrixView<const T> x, const std::vector<double>& centre, int exponent) {
  const double scale = std::ldexp(1.0, -exponent);
  double sum = 0;
  for (Index i = 0; i < x.rows; ++i) {
    for (Index k = 0; k < x.cols; ++k) {
      const double from = scale * static_cast<double>(x(i, k)) - centre[static_cast<std::size_t>(k)];
      sum += from * from;
    }
  }
  return sum;
}

// An answer with its certificate. What the room said of the costs was rounded by (d + 8) u of each,
// |x_i - y_j|^2 <= 2 |x_i - c|^2 + 2 |y_j - c|^2, a function of i plus a function of j: docs/exact.md.
template <class T>
AssignmentResult certified(MatrixView<const T> x, MatrixView<const T> y, int exponent, const Answers& answers,
                           Index first) {
  const Index n = x.rows, d = x.cols;
  Assignment assignment{std::vector<Index>(n), std::vector<Index>(n, -1),
                        std::vector<double>(answers.g.data() + first, answers.g.data() + first + n)};
  for (Index i = 0; i < n; ++i) {
    const Index j = answers.columns[first + i];
    if (j < 0 || j >= n || assignment.row_of[j] >= 0)
      throw Error(Errc::device_failure, concat(who, ": what came back is no assignment (row ", i, ")"));
    assignment.column_of[i] = j;
    assignment.row_of[j] = i;
  }
  Draft draft;
  draft.keep(std::move(assignment), {answers.f.data() + first, answers.f.data() + first + n}, Status::converged);
  const double scale = std::ldexp(1.0, -exponent), lost = static_cast<double>(d + 8) * BoundedSum::u,
               least = static_cast<double>(d + 8) * std::numeric_limits<double>::min();
  std::vector<double> centre(static_cast<std::size_t>(d));
  for (Index j = 0; j < n; ++j)
    for (Index k = 0; k < d; ++k) centre[k] += scale * static_cast<double>(y(j, k)) / static_cast<double>(n);
  draft.dual.widen(3 * lost * (spread_of(x, centre, exponent) + spread_of(y, centre, exponent)) +
                   static_cast<double>(n) * least);
  for (Index i = 0; i < n; ++i) {
    const double distance = squared_distance(x.row(i), y.row(draft.result.columns[i]), d, exponent);
    draft.primal.add(distance);
    draft.primal.widen(lost * distance + least);
  }
  AssignmentResult result = draft.finish(2 * exponent, who);
  require(std::isfinite(result.cost), who, ": the squared distances overflow double");
  result.certificate.lower = std::max(0.0, result.certificate.lower);
  return result;
}

// Points of some problems, as the room may square their differences, and the powers of two that were taken off.
template <class T>
struct Scaled {
  Matrix<T> copy;
  MatrixView<const T> points;

  // Floats are as they are: their squares are doubles.
  Scaled(MatrixView<const T> x, Index n, const std::vector<int>& exponents) : points(x) {
    if constexpr (sizeof(T) == sizeof(double)) {
      copy = Matrix<T>(x.rows, x.cols);
      for (Index i = 0; i < x.rows; ++i) {
        const double scale = std::ldexp(1.0, -exponents[static_cast<std::size_t>(i / n)]);
        std::transform(x.row(i), x.row(i) + x.cols, copy.view().row(i), [&](T value) { return scale * value; });
      }
      points = std::as_const(copy).view();
    }
  }
};

template <class T>
int exponent_of(MatrixView<const T> x, MatrixView<const T> y) {
  if (sizeof(T) == sizeof(float)) return 0;
  const double largest = std::max(largest_of(x), largest_of(y));
  return largest > 0 ? std::max(-1000, std::ilogb(largest) + 1) : 0;
}

}  // namespace

template <class T>
Index assign_in_room(MatrixView<const T> x, MatrixView<const T> y, Index n, const Context& context,
                     const std::function<bool(Index)>& go_on, std::vector<AssignmentResult>& results) {
  const Index problems = x.rows / n;
  for (Index first = 0; first < problems; first += at_once) {
    if (!go_on(first * n)) return first;
    const Index count = std::min(at_once, problems - first);
    const auto part = [&](MatrixView<const T> points) { return points.rows_from(first * n, count * n); };
    const auto problem = [&](MatrixView<const T> points, Index b) { return points.rows_from((first + b) * n, n); };
    std::vector<int> exponents(static_cast<std::size_t>(count));
    parallel_for(context.threads, count,
                 [&](Index b, int) { exponents[b] = exponent_of(problem(x, b), problem(y, b)); });
    const Scaled<T> xs(part(x), n, exponents), ys(part(y), n, exponents);
    Answers answers(count * n);
    const bool done = finishes([&] {
      passes_for<T>(context.device)
          .assign(xs.points, ys.points, n, answers.columns.view(), answers.f.view(), answers.g.view(), context);
    });
    if (!done) return first;
    parallel_for(context.threads, count, [&](Index b, int) {
      results[first + b] = certified(problem(x, b), problem(y, b), exponents[b], answers, b * n);
    });
  }
  go_on(x.rows);
  return problems;
}

template Index assign_in_room(MatrixView<const float>, MatrixView<const float>, Index, const Context&,
                              const std::function<bool(Index)>&, std::vector<AssignmentResult>&);
template Index assign_in_room(MatrixView<const double>, MatrixView<const double>, Index, const Context&,
                              const std::function<bool(Index)>&, std::vector<AssignmentResult>&);

}  // namespace monge::ot::detail
