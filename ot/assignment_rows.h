#pragma once  // private: never installed
#include <cstdint>

#include "monge/ot/core/array.h"

// The vectorised inner loops of the exact solver: each is one sweep over one row of costs c (m values, float or double)
// and the column potentials v (double). Bits of the first two do not depend on the vector width.
namespace monge::ot::detail {

struct TwoSmallest {
  double first;   // min_j c_j - v_j
  double second;  // the same without `column`; +infinity if m = 1
  Index column;   // where the first is; the lowest of equals
};

TwoSmallest two_smallest(const float* c, const double* v, Index m);
TwoSmallest two_smallest(const double* c, const double* v, Index m);

// One relaxation of Dijkstra's: wherever shift + (c_j - v_j) < key_j, it becomes key_j and from_j = row. Returns the
// smallest key. A column is closed by v_j = -infinity and key_j = +infinity: it then stays as it is.
double relax(const float* c, const double* v, double shift, Index row, double* key, Index* from, Index m);
double relax(const double* c, const double* v, double shift, Index row, double* key, Index* from, Index m);

// The first j of first ... m - 1 whose key_j is no more than `level`; m if none is.
Index next_within(const double* key, double level, Index first, Index m);

struct RowSummary {
  double largest = 0;   // magnitude of those that are finite
  double sum = 0;       // of those that are finite
  Index finite = 0;     // how many
  bool regular = true;  // no NaN, no -infinity
};

RowSummary summary(const float* c, Index m);
RowSummary summary(const double* c, Index m);

// scores_j = (shift + v_j - c_j) scale in float, -infinity where c_j is +infinity. Returns the sum of the squares of
// the finite ones.
double centred_scores(const float* c, const double* v, double shift, double scale, float* scores, Index m);
double centred_scores(const double* c, const double* v, double shift, double scale, float* scores, Index m);

}  // namespace monge::ot::detail
