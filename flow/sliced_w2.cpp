#include "monge/flow/sliced_w2.h"

namespace monge::flow {
namespace {

ot::SlicedOptions quadratic(const SlicedOptions& options) {
  return {.p = 2, .directions = options.directions, .seed = options.seed, .context = options.context};
}

}  // namespace

SlicedReference::SlicedReference(MatrixView<const float> points, const SlicedOptions& options)
    : reference_(points, quadratic(options)) {}

double sliced_w2(MatrixView<const float> x, MatrixView<const float> y, const SlicedOptions& options) {
  return ot::sliced(x, y, quadratic(options)).distance;
}

}  // namespace monge::flow
