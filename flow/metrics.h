#pragma once
#include "monge/flow/sliced_w2.h"
#include "monge/ot/assignment.h"

namespace monge::flow {

struct W2 {
  double distance = 0;                        // sqrt of the mean |x_i - y_s(i)|^2
  ot::Status status = ot::Status::converged;  // of the assignment
  ot::Certificate certificate;                // of the distance, not of its square
};

// Exact W2 between the first `rows` rows of x and of y (rows x dimensions); both must have that many.
// Throws as ot::exact.
W2 exact_w2(MatrixView<const float> x, MatrixView<const float> y, Index rows,
            const ot::AssignmentOptions& options = {});

struct MetricsOptions {
  SlicedOptions sliced;         // on all rows of both sets
  Index exact_rows = 2000;      // exact W2 between the first exact_rows rows of both sets; 0 leaves it out
  ot::AssignmentOptions exact;  // its progress callback can stop the assignment
};

struct Metrics {
  double sliced_w2 = 0;
  W2 w2;
};

// Measures sets of samples against one held-out set. `held_out` is borrowed for as long as the object lives.
class HeldOut {
 public:
  // Throws Error: invalid_argument (fewer than exact_rows rows, options), not_finite (row and column).
  explicit HeldOut(MatrixView<const float> held_out, const MetricsOptions& options = {});

  // x: samples x dimensions, at least exact_rows rows.
  Metrics compare(MatrixView<const float> x) const;

  // What no model can be expected to beat: the same metrics for training data, the sets being of the same sizes as
  // those compared. `train` must have at least `rows` rows; the first `rows` are used.
  Metrics floor(MatrixView<const float> train, Index rows) const;

 private:
  MetricsOptions options_;
  MatrixView<const float> points_;
  SlicedReference sliced_;
};

}  // namespace monge::flow
