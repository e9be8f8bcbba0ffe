#pragma once  // private: never installed
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/device.h"
#include "monge/ot/shortlists.h"

namespace monge::ot::detail {

// Good column potentials between as many points as points of few dimensions, both in kd_order: Sinkhorn's passes and
// Newton's steps between the centroids of ever smaller groups, over all pairs while these are few and then over
// shortlists; where they leave groups out of balance, an assignment of these. Potentials that may be wrong are rather
// too high than too low.
std::vector<double> multilevel_start(MatrixView<const double> x, MatrixView<const double> y, const Context& context);

// By how much the reduced costs of a row's listed pairs differ from one to the next: the mean
// over rows, none above sixteen medians, so that a few points far out say little.
double usual_spacing(const Shortlists& lists, const std::vector<double>& v, Index rows);
// Phases of auction for potentials that are nearly right.
std::vector<double> fine_epsilons(const Shortlists& lists, const std::vector<double>& v, Index rows);

}  // namespace monge::ot::detail
