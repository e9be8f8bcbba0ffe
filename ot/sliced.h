#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/status.h"

namespace monge::ot {

struct SlicedOptions {
  double p = 2;                         // of the cost |s - t|^p between projections; finite, at least 1
  Index directions = 1000;              // the standard error falls with their square root
  std::uint64_t seed = 0x736C69636564;  // "sliced": figures made with the same seed and directions may be compared
  Context context = {};                 // CPU only
  std::function<bool(Index done)> progress = {};  // told the directions done, now and then; false stops the run
};

struct SlicedResult {
  Status status = Status::converged;  // or stopped_by_caller: fewer directions than asked for, still an estimate
  double distance = 0;                // sliced W_p: the p-th root of the mean of W_p^p over the directions
  double standard_error = 0;          // of `distance`, from the choice of directions alone; infinity for a single one
  Index directions = 0;               // behind them
};

// Sliced W_p between clouds x (n x d) and y (m x d) of masses a and b: projected on random unit directions theta, W_p
// of <theta, x_i> and <theta, y_j> is a sort away. Direction l comes from elements l d to (l + 1) d of the float
// normals of Rng{seed}, for floats and doubles alike. Weights as in wasserstein_1d: taken as they are, zero allowed,
// empty = uniform, totals equal to 1e-9. The same bits at any thread count. Bounds nothing, so has no certificate.
// Throws Error: invalid_argument (shapes, options, weights), not_finite (row and column, or index, of the first bad
// value), backend_unavailable (memory that is not the CPU's).
SlicedResult sliced(MatrixView<const float> x, MatrixView<const float> y, const SlicedOptions& options = {},
                    VectorView<const double> a = {}, VectorView<const double> b = {});
SlicedResult sliced(MatrixView<const double> x, MatrixView<const double> y, const SlicedOptions& options = {},
                    VectorView<const double> a = {}, VectorView<const double> b = {});

// A cloud y kept as its sorted projections, so that many others can be measured against it: rows x directions numbers,
// and as many 32-bit words if it has weights. T is float or double.
template <class T>
class SlicedReference {
 public:
  explicit SlicedReference(MatrixView<const T> y, const SlicedOptions& options = {}, VectorView<const double> b = {});

  // sliced(x, y), the same bits. Throws as sliced, and when x is so much larger than y that T overflows.
  SlicedResult distance(MatrixView<const T> x, VectorView<const double> a = {}) const;

  Index rows() const { return y_.rows; }
  Index dimensions() const { return directions_.cols(); }

 private:
  friend struct Slicing;
  SlicedReference(MatrixView<const T> y, const SlicedOptions& options, VectorView<const double> b, double size,
                  bool keep);
  SlicedResult measure(MatrixView<const T> x, VectorView<const double> a, double size) const;

  SlicedOptions options_;
  MatrixView<const T> y_;        // without data once its projections are kept
  std::vector<double> weights_;  // of y; empty = uniform
  Matrix<T> directions_;         // directions x dimensions, unit rows
  int exponent_ = 0;             // clouds are divided by 2^exponent, so that nothing overflows
  Buffer<T> centre_;             // dimensions; subtracted from both clouds before they are projected
  Matrix<T> sorted_;             // directions x rows, ascending
  Matrix<std::int32_t> order_;   // with weights: which row each came from
};

struct MaxSlicedOptions {
  double p = 2;                         // as above
  Index iterations = 200;               // at most, of gradient ascent, for each restart
  Index restarts = 8;                   // the first starts at the difference of the means, the others anywhere
  std::uint64_t seed = 0x736C69636564;  // of the others
  Context context = {};                 // CPU only; restarts run side by side
};

struct MaxSlicedResult {
  // Of the best restart: converged where the gradient, or the gain of a step, is next to nothing; iteration_limit
  // where it was not, no step being found either (at a kink).
  Status status = Status::converged;
  double distance = 0;            // W_p of the projections on `direction`
  std::vector<double> direction;  // d, of length 1
  Index iterations = 0;           // of the best restart
};

// Max-sliced W_p: the largest W_p of projections on a direction, sought by projected gradient ascent on the sphere.
// The problem has many local maxima: `distance` is that of a direction that was found, a lower bound of the largest,
// and more restarts never lower it. Computed in double, from copies of both clouds. Weights, errors, threads: as
// sliced.
MaxSlicedResult max_sliced(MatrixView<const float> x, MatrixView<const float> y, const MaxSlicedOptions& options = {},
                           VectorView<const double> a = {}, VectorView<const double> b = {});
MaxSlicedResult max_sliced(MatrixView<const double> x, MatrixView<const double> y, const MaxSlicedOptions& options = {},
                           VectorView<const double> a = {}, VectorView<const double> b = {});

}  // namespace monge::ot
