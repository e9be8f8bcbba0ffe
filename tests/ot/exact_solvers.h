#pragma once  // every exact solver by the same name for its answer
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "monge/ot/core/error.h"
#include "monge/ot/exact.h"
#include "transport_truth.h"

namespace monge::ot {

enum class Solver { assign, hungarian, auction, network_simplex, exact };

inline constexpr Solver all_solvers[] = {Solver::assign, Solver::hungarian, Solver::auction, Solver::network_simplex,
                                         Solver::exact};

inline std::string name_of(Solver s) {
  constexpr const char* names[] = {"assign", "hungarian", "auction", "network_simplex", "exact"};
  return names[static_cast<int>(s)];
}

inline bool assigns(Solver s) { return s != Solver::network_simplex && s != Solver::exact; }

// An assignment as a plan; rows may be without a partner.
inline ExactResult as_plan(AssignmentResult r) {
  return {.status = r.status,
          .columns = r.columns,
          .plan = assignment_plan(r.columns, static_cast<Index>(r.g.size())),
          .f = std::move(r.f),
          .g = std::move(r.g),
          .cost = r.cost,
          .certificate = r.certificate};
}

// For the solvers of assignments the problem has no weights, and a squared Euclidean or dense cost.
template <class T>
ExactResult solve(Solver solver, const Problem<T>& p, const ExactOptions& given = {}) {
  if (solver == Solver::exact) return exact(p, given);
  if (solver == Solver::network_simplex) return network_simplex(p, given);
  AssignmentOptions options;
  options.context = given.context;
  options.max_seconds = given.max_seconds;
  options.stored_bytes = given.stored_bytes;
  const auto call = [&](auto&&... input) {
    return solver == Solver::assign      ? assign(input..., options)
           : solver == Solver::hungarian ? hungarian(input..., options)
                                         : auction(input..., options);
  };
  return as_plan(p.is_dense() ? call(p.cost_matrix) : call(p.x, p.y));
}

// What must hold of an answer, in long double and over all pairs. Rows have mass 1/n; columns 1/m, or of an assignment
// at most 1/n. Feasible potentials of the plan's own value prove it to be optimal: `noise` is what rounding may do.
struct Verdict {
  std::string fault;  // empty: none
  Real primal = 0, dual = 0;
};

inline Verdict judge(const Reals& costs, std::size_t n, std::size_t m, bool assignment, const ExactResult& r,
                     Real noise) {
  Verdict v;
  if (r.plan.offsets.size() != n + 1 || r.f.size() != n || r.g.size() != m) return {"sizes"};
  Reals rows(n, 1.0L / n), cols(m, assignment ? 1.0L / n : 1.0L / m);
  for (std::size_t i = 0; i < n; ++i) {
    v.dual += r.f[i] / static_cast<Real>(n);
    for (auto k = r.plan.offsets[i]; k < r.plan.offsets[i + 1]; ++k) {
      const auto j = static_cast<std::size_t>(r.plan.columns[k]);
      rows[i] -= r.plan.values[k], cols[j] -= r.plan.values[k];
      v.primal += r.plan.values[k] * costs[i * m + j];
    }
    if (std::abs(rows[i]) > 1e-15L) v.fault = concat("row ", i, " has not its mass");
    for (std::size_t j = 0; j < m; ++j)
      if (r.f[i] + static_cast<Real>(r.g[j]) > costs[i * m + j] + noise)
        v.fault = concat("the potentials of ", i, ", ", j, " are not feasible");
  }
  for (std::size_t j = 0; j < m; ++j) {
    v.dual += r.g[j] * (assignment ? 1.0L / n : 1.0L / m);
    const bool partial = assignment && n < m;
    if (partial ? cols[j] < -1e-15L : std::abs(cols[j]) > 1e-15L) v.fault = concat("column ", j, " has not its mass");
    if (partial && r.g[j] > 0) v.fault = concat("g of column ", j, " is positive");
  }
  if (std::abs(v.primal - r.cost) > noise) v.fault = "the cost is not the plan's";
  if (!(v.primal - v.dual <= noise)) v.fault = concat("not optimal: ", v.primal, " against ", v.dual);
  const Certificate& c = r.certificate;
  if (c.kind != Certificate::Kind::proven) v.fault = "no certificate";
  if (!(c.lower <= v.primal + noise) || !(c.upper >= v.primal - noise)) v.fault = "the certificate does not hold";
  if (!(c.upper - c.lower <= noise)) v.fault = concat("wide bounds: ", c.upper - c.lower);
  return v;
}

template <class T>
Matrix<T> filled(Index rows, Index cols, const std::function<double()>& value) {
  Matrix<T> out(rows, cols);
  for (Index k = 0; k < rows * cols; ++k) out.data()[k] = static_cast<T>(value());
  return out;
}

template <class T>
Matrix<T> filled(Index rows, Index cols, double value) {
  return filled<T>(rows, cols, [=] { return value; });
}

// Optimal by every solver, in few seconds. `off`: what rounding may do, in units of the mean of |c|.
template <class T>
void expect_proven(const Problem<T>& p, const std::string& what, Real off = 1e-11L) {
  const Reals costs = true_costs(p);
  Real mean = 0;
  for (const Real c : costs) mean += std::isfinite(c) ? std::abs(c) / costs.size() : 0;
  for (const Solver solver : all_solvers) {
    if (p.rows() > p.cols() && assigns(solver)) continue;
    ExactOptions options;
    options.max_seconds = 30;
    const ExactResult r = solve(solver, p, options);
    EXPECT_EQ(r.status, Status::converged) << name_of(solver) << ", " << what;
    const bool assignment = assigns(solver) && p.rows() < p.cols();
    const Verdict v = judge(costs, static_cast<std::size_t>(p.rows()), static_cast<std::size_t>(p.cols()), assignment,
                            r, off * mean + 1e-300L);
    EXPECT_EQ(v.fault, "") << name_of(solver) << ", " << what << ", in " << sizeof(T) << " bytes";
  }
}
template <class T>
void expect_proven(const Matrix<T>& cost, const std::string& what, Real off = 1e-11L) {
  expect_proven(Problem<T>{.cost_matrix = cost.view()}, what, off);
}
template <class T>
void expect_proven(const Matrix<T>& x, const Matrix<T>& y, const std::string& what, Real off = 1e-11L) {
  expect_proven(Problem<T>{.x = x.view(), .y = y.view()}, what, off);
}

inline void expect_error(const std::function<void()>& call, Errc code, const std::string& words) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

}  // namespace monge::ot
