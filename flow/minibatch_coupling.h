#pragma once
#include <functional>
#include <memory>

#include "monge/flow/coupling.h"
#include "monge/ot/sinkhorn.h"

namespace monge::flow {

struct MinibatchOptions {
  std::uint64_t seed = 0;
  Index ot_batch = 0;  // points matched at a time, a multiple of the training batch; 0 = the training batch
  CouplingSource source = {};
  CouplingLabels labels = {};
  Context context = {};
};

// Minibatch optimal transport (Tong et al., Improving and generalizing flow-based generative models with minibatch
// optimal transport, TMLR 2024): `ot_batch` points of the source and as many atoms are drawn and matched by the
// cheapest assignment for |x0 - x1|^2, which serves ot_batch / batch steps. Every point drawn is in exactly one pair.
// Atoms come in random order, all of them once before any comes again. With labels of infinite penalty each class is
// matched on its own; with a finite one pairs of different labels cost that much more.
//
// y: N x d, the atoms; borrowed. Draws take memory when a batch is matched. Throws Error: invalid_argument (sizes,
// labels); draw() throws invalid_argument unless ot_batch is a multiple of the batch, and as ot::assign.
std::unique_ptr<Coupling> minibatch_coupling(MatrixView<const float> y, const MinibatchOptions& options = {});

// How a partner comes of an entropic plan P.
enum class PlanDraw {
  rows,         // row i draws j ~ P_i: every x0 is in one pair, atoms may be in several or none
  distinct,     // the same, but each atom once: rows whose draw is taken draw again, what 16 rounds leave is assigned
  barycentric,  // no draw: x1 is the mean of the atoms under P_i, no atom itself (Coupling::targets)
};

struct EntropicMinibatchOptions {
  MinibatchOptions batch = {};
  double epsilon = 0.05;  // of |x0 - x1|^2
  ot::EpsilonUnit epsilon_unit = ot::EpsilonUnit::mean_cost;
  double tolerance = 1e-3;      // L1 error of the plan's marginals
  Index max_iterations = 5000;  // then what there is is used
  PlanDraw draw = PlanDraw::rows;
};

// The same with an entropic plan (ot::sinkhorn). With labels of infinite penalty there is a plan for each class.
std::unique_ptr<Coupling> entropic_minibatch_coupling(MatrixView<const float> y,
                                                      const EntropicMinibatchOptions& options = {});

}  // namespace monge::flow
