#pragma once  // private: never installed
#include <vector>

#include "monge/ot/semidiscrete_fit.h"

namespace monge::ot::detail {

// In the plane: potentials from those of fewer atoms, the centroids of groups of four neighbours, fitted
// in the same way. Waves over many cells, which the ascent smoothes out slowly, are short there.
struct LevelsStart {
  std::vector<double> v;              // empty where it does not apply
  double samples = 0, gemm_rows = 0;  // noise vectors that it took, per atom
};
LevelsStart levels_start(const SemidualProblem& problem, const SemidiscreteOptions& options);

}  // namespace monge::ot::detail
