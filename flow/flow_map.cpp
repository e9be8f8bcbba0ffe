#include "monge/flow/flow_map.h"

#include <cmath>

#include "monge/ot/core/error.h"

namespace monge::flow {

void sample_map(FlowMapModel& model, MatrixView<float> x, Index steps, const Condition& condition) {
  require(steps > 0, "sample_map: steps must be positive, not ", steps);
  require(steps == 1 || model.options().role == Role::flow_map, "sample_map: a neural flow makes one step, not ",
          steps);
  for (Index k = 0; k < steps; ++k) {
    const double n = static_cast<double>(steps);
    model(static_cast<double>(k) / n, static_cast<double>(k + 1) / n, x, x, condition);
    for (Index i = 0; i < x.rows; ++i) {
      for (Index j = 0; j < x.cols; ++j) {
        if (std::isfinite(x(i, j))) continue;
        throw Error(Errc::not_finite,
                    concat("sample_map: step ", k + 1, " leaves ", x(i, j), " in row ", i, ", column ", j));
      }
    }
  }
}

}  // namespace monge::flow
