#pragma once  // private: never installed
#include <cmath>
#include <utility>
#include <vector>

#include "monge/ot/assignment.h"
#include "monge/ot/assignment_search.h"
#include "monge/ot/bounded_sum.h"
#include "monge/ot/core/error.h"

namespace monge::ot::detail {

// A result as it comes together: sums over the rows of what bounds the optimum from below, and of the pairs chosen.
struct Draft {
  AssignmentResult result;
  BoundedSum dual, primal;

  // Potentials, of which f is the c-transform of g.
  void keep(Assignment assignment, std::vector<double> f, Status status) {
    result.status = status;
    result.columns.assign(assignment.column_of.begin(), assignment.column_of.end());
    result.f = std::move(f);
    result.g = std::move(assignment.v);
    for (const double value : result.f) dual.add(value);
    for (const double value : result.g) dual.add(value);
  }

  // Rows are left without a column: nothing is claimed.
  AssignmentResult give_up(int exponent, const char* who) {
    AssignmentResult r = finish(exponent, who);
    r.cost = HUGE_VAL;
    r.certificate = {};
    return r;
  }

  // Brings the sums back to means in the caller's units, 2^exponent of those here, each bound outward by its roundings.
  AssignmentResult finish(int exponent, const char* who) {
    const double n = static_cast<double>(result.columns.size());
    const auto outward = [&](double bound, double to) {
      return std::nextafter(std::ldexp(std::nextafter(bound / n, to), exponent), to);
    };
    result.cost = std::ldexp(primal.value() / n, exponent);
    result.certificate = {Certificate::Kind::proven, outward(dual.lower(), -HUGE_VAL),
                          outward(primal.upper(), HUGE_VAL)};
    for (auto* potentials : {&result.f, &result.g})
      for (double& value : *potentials) {
        value = std::ldexp(value, exponent);
        require(std::isfinite(value), who, ": the potentials overflow double");
      }
    return std::move(result);
  }
};

}  // namespace monge::ot::detail
