#pragma once
#include "monge/flow/model.h"

namespace monge::flow {

// Carries x (rows x dimensions), in place, from noise (t = 0) to data (t = 1) in `steps` equal jumps of the map. A
// neural flow makes one step only. Throws Error: invalid_argument; not_finite when a jump leaves NaN or infinity,
// naming the step.
void sample_map(FlowMapModel& model, MatrixView<float> x, Index steps, const Condition& condition = {});

}  // namespace monge::flow
