#pragma once  // private: never installed
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/device.h"
#include "monge/ot/shortlists.h"

namespace monge::ot::detail {

// Good column potentials between as many points as points of few dimensions, both in kd_order: Sinkhorn passes between
// the centroids of ever smaller groups, over all pairs while these are few and then over shortlists.
std::vector<double> multilevel_start(MatrixView<const double> x, MatrixView<const double> y, const Context& context);

// One-sided Sinkhorn passes over shortlists made for v, whose other pairs are left out; a, b: masses of rows and
// columns. Moves v.
void list_passes(const Shortlists& lists, const std::vector<double>& a, const std::vector<double>& b, double epsilon,
                 int passes, double omega, std::vector<double>& v, const Context& context);

// By how much the reduced costs of a row's listed pairs differ from one to the next: the mean
// over rows, none above sixteen medians, so that a few points far out say little.
double usual_spacing(const Shortlists& lists, const std::vector<double>& v, Index rows);

}  // namespace monge::ot::detail
