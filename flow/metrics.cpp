#include "monge/flow/metrics.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/core/error.h"

namespace monge::flow {

W2 exact_w2(MatrixView<const float> x, MatrixView<const float> y, Index rows, const ot::AssignmentOptions& options) {
  require(rows > 0, "exact_w2: rows must be positive, not ", rows);
  require(x.rows >= rows && y.rows >= rows, "exact_w2: asked for ", rows, " rows, the sets have ", x.rows, " and ",
          y.rows);
  const ot::AssignmentResult r = ot::assign(x.rows_from(0, rows), y.rows_from(0, rows), options);
  W2 w{std::sqrt(r.cost), r.status, r.certificate};
  w.certificate.lower = std::max(0.0, std::nextafter(std::sqrt(r.certificate.lower), 0.0));
  w.certificate.upper = std::nextafter(std::sqrt(r.certificate.upper), HUGE_VAL);
  return w;
}

HeldOut::HeldOut(MatrixView<const float> held_out, const MetricsOptions& options)
    : options_(options), points_(held_out), sliced_(held_out, options.sliced) {
  require(options.exact_rows >= 0 && options.exact_rows <= held_out.rows, "HeldOut: exact_rows is ", options.exact_rows,
          ", the held-out set has ", held_out.rows, " rows");
}

Metrics HeldOut::compare(MatrixView<const float> x) const {
  require(x.rows >= options_.exact_rows, "HeldOut: exact_rows is ", options_.exact_rows, ", the set compared has ",
          x.rows, " rows");
  Metrics m;
  m.sliced_w2 = sliced_.distance(x);
  if (options_.exact_rows > 0) m.w2 = exact_w2(x, points_, options_.exact_rows, options_.exact);
  return m;
}

Metrics HeldOut::floor(MatrixView<const float> train, Index rows) const {
  require(rows > 0 && rows <= train.rows, "HeldOut: asked for the floor of ", rows, " rows, the training set has ",
          train.rows);
  return compare(train.rows_from(0, rows));
}

}  // namespace monge::flow
