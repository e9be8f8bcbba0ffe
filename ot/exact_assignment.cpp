#include "monge/ot/exact_assignment.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "monge/ot/assignment_solve.h"
#include "monge/ot/bounded_sum.h"
#include "monge/ot/core/error.h"
#include "monge/ot/transport_masses.h"

namespace monge::ot {
namespace detail {
namespace {

bool all_equal(VectorView<const double> w, Index size) {
  if (w.empty()) return true;
  return w.size == size && std::all_of(w.begin(), w.end(), [&](double e) { return e == w[0]; });
}

AssignmentOptions options_of(const ExactOptions& given) {
  AssignmentOptions options;
  options.context = given.context;
  options.max_seconds = given.max_seconds;
  options.stored_bytes = given.stored_bytes;
  if (given.progress) {
    options.progress = [&](const AssignmentProgress& now) {
      return given.progress({.iterations = now.assigned, .seconds = now.seconds});
    };
  }
  return options;
}

// 2^-exponent x in double, exact but for what underflows beside moduli of about 1; and |.|^2 of its rows.
struct Scaled {
  Matrix<double> points;
  std::vector<double> squares;
  int exponent = 0;
};

template <class T>
Scaled scaled(MatrixView<const T> x) {
  double largest = 0;
  for (Index i = 0; i < x.rows; ++i)
    for (Index k = 0; k < x.cols; ++k) largest = std::max(largest, std::abs(static_cast<double>(x(i, k))));
  Scaled s{Matrix<double>(x.rows, x.cols), {}, largest > 0 ? std::max(std::ilogb(largest) + 1, -1000) : 0};
  const double scale = std::ldexp(1.0, -s.exponent);
  for (Index i = 0; i < x.rows; ++i) {
    double square = 0;
    for (Index k = 0; k < x.cols; ++k) {
      const double value = s.points(i, k) = scale * static_cast<double>(x(i, k));
      square += value * value;
    }
    s.squares.push_back(square);
  }
  return s;
}

// Costs -<x_i, y_j> = (|x_i - y_j|^2 - |x_i|^2 - |y_j|^2) / 2 have the assignments of squared distances. Each cloud has
// a scale of its own, which products do not mind: then squares neither overflow nor drown the smaller cloud.
template <class T>
AssignmentResult match_products(MatrixView<const T> x_given, MatrixView<const T> y_given, const AssignmentCall& call) {
  check_clouds(x_given, y_given, call);
  const Scaled x = scaled(x_given), y = scaled(y_given);
  AssignmentResult r = solve_clouds(x.points.view(), y.points.view(), call);
  const Index n = x_given.rows, d = x_given.cols;
  const double size = static_cast<double>(n), roundings = static_cast<double>(d + 8);
  BoundedSum products, squares;
  const auto add = [&](BoundedSum& sum, double term, double moduli) {
    sum.add(term);
    sum.widen(roundings * (BoundedSum::u * moduli + std::numeric_limits<double>::min()));
  };
  const int exponent = x.exponent + y.exponent;
  for (Index i = 0; i < n; ++i) {
    double product = 0, moduli = 0;
    for (Index k = 0; k < d; ++k) {
      const double term = x.points(i, k) * y.points(r.columns[i], k);
      product += term, moduli += std::abs(term);
    }
    add(products, -product, moduli);
    add(squares, x.squares[i], x.squares[i]);
    add(squares, y.squares[i], y.squares[i]);
    r.f[i] = std::ldexp(0.5 * (r.f[i] - x.squares[i]), exponent);
    r.g[i] = std::ldexp(0.5 * (r.g[i] - y.squares[i]), exponent);
    require(std::isfinite(r.f[i]) && std::isfinite(r.g[i]), call.who, ": the potentials overflow double");
  }
  const auto outward = [&](double bound, double to) {
    return std::nextafter(std::ldexp(std::nextafter(bound, to), exponent), to);
  };
  const double most_squares = std::nextafter(squares.upper() / size, HUGE_VAL);
  r.cost = std::ldexp(products.value() / size, exponent);
  require(std::isfinite(r.cost), call.who, ": the cost overflows double");
  r.certificate.lower = outward(0.5 * std::nextafter(r.certificate.lower - most_squares, -HUGE_VAL), -HUGE_VAL);
  r.certificate.upper = outward(products.upper() / size, HUGE_VAL);
  return r;
}

// Rows of mass 1/n come to weigh what each of `a` does: the total is n of these, rounded, and each bound once more.
void weigh(VectorView<const double> a, const char* who, ExactResult& r) {
  if (a.empty()) return;
  const double total = a[0] * static_cast<double>(a.size);
  const auto outward = [&](double bound, double to) {
    const double scaled = bound * total;
    return std::nextafter(scaled + std::copysign(4 * BoundedSum::u * scaled, to), to);
  };
  std::fill(r.plan.values.begin(), r.plan.values.end(), a[0]);
  if (r.certificate.kind == Certificate::Kind::proven)
    r.certificate = {Certificate::Kind::proven, outward(r.certificate.lower, -HUGE_VAL),
                     outward(r.certificate.upper, HUGE_VAL)};
  const bool found = std::isfinite(r.cost);
  r.cost *= total;
  require(!found || std::isfinite(r.cost), who, ": the cost overflows double");
}

ExactResult result_of(AssignmentResult found) {
  if (!std::isfinite(found.cost)) std::fill(found.columns.begin(), found.columns.end(), -1);  // some have no partner
  ExactResult r{.status = found.status,
                .plan = assignment_plan(found.columns, static_cast<Index>(found.g.size())),
                .f = std::move(found.f),
                .g = std::move(found.g),
                .cost = found.cost,
                .certificate = found.certificate};
  if (std::isfinite(r.cost)) r.columns = std::move(found.columns);
  return r;
}

}  // namespace

bool equal_weights(VectorView<const double> a, Index n, VectorView<const double> b, Index m) {
  if (n != m || !all_equal(a, n) || !all_equal(b, m)) return false;
  const auto total = [&](VectorView<const double> w) { return w.empty() ? 1 : w[0] * static_cast<double>(n); };
  const double all_a = total(a), all_b = total(b);
  const auto valid = [](double sum) { return sum >= least_total && std::isfinite(sum); };
  return valid(all_a) && valid(all_b) && balanced(all_a, all_b);
}

template <class T>
ExactResult exact_assignment(const Problem<T>& p, const char* who, const ExactOptions& options) {
  const AssignmentOptions own = options_of(options);
  const AssignmentCall call{who, AssignmentMethod::automatic, own};
  ExactResult r = result_of(p.is_dense()                   ? solve_matrix(p.cost_matrix, call)
                            : p.cost == Cost::negative_dot ? match_products(p.x, p.y, call)
                                                           : solve_clouds(p.x, p.y, call));
  weigh(p.a, who, r);
  return r;
}
template ExactResult exact_assignment(const Problem<float>&, const char*, const ExactOptions&);
template ExactResult exact_assignment(const Problem<double>&, const char*, const ExactOptions&);

template <class T>
ExactResult exact_assignment(const SparseCost<T>& cost, VectorView<const double> a, const char* who,
                             const ExactOptions& options) {
  const AssignmentOptions own = options_of(options);
  ExactResult r = result_of(solve_sparse(cost, {who, AssignmentMethod::automatic, own}));
  weigh(a, who, r);
  return r;
}
template ExactResult exact_assignment(const SparseCost<float>&, VectorView<const double>, const char*,
                                      const ExactOptions&);
template ExactResult exact_assignment(const SparseCost<double>&, VectorView<const double>, const char*,
                                      const ExactOptions&);

}  // namespace detail

template <class T>
bool is_assignment(const Problem<T>& p) {
  const bool labels = !p.x_labels.empty() || !p.y_labels.empty();
  const bool known = p.is_dense() ? p.x.data == nullptr && p.y.data == nullptr
                                  : p.cost == Cost::squared_euclidean || p.cost == Cost::negative_dot;
  return !labels && known && detail::equal_weights(p.a, p.rows(), p.b, p.cols());
}
template bool is_assignment(const Problem<float>&);
template bool is_assignment(const Problem<double>&);

SparsePlan assignment_plan(VectorView<const std::int32_t> columns, Index cols) {
  SparsePlan plan{.rows = columns.size, .cols = cols, .offsets = {0}};
  for (const std::int32_t column : columns) {
    if (column >= 0) {
      plan.columns.push_back(column);
      plan.values.push_back(1 / static_cast<double>(columns.size));
    }
    plan.offsets.push_back(static_cast<std::int64_t>(plan.columns.size()));
  }
  return plan;
}

}  // namespace monge::ot
