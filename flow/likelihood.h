#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "monge/flow/sample.h"
#include "monge/ot/core/random.h"

namespace monge::flow {

// The velocity and a product with its Jacobian J = dv/dx at each row: v = velocity(t, x), and product = J w (or w^T J,
// which serves as well), row by row. All are rows x dimensions; rows may lie apart (stride).
using VelocityProduct = std::function<void(double t, MatrixView<const float> x, MatrixView<const float> w,
                                           MatrixView<float> v, MatrixView<float> product)>;

// log density of one point of the source law, in nats; called by several threads at once.
using LogDensity = std::function<double(VectorView<const float> x0)>;

// How the divergence tr J of the velocity is found.
enum class Trace {
  exact,       // from J e_k for every dimension k: as many evaluations as there are dimensions
  hutchinson,  // the mean of w^T J w over probes w of independent signs, the same ones all the way: unbiased (Grathwohl
               // et al., FFJORD, ICLR 2019)
};

struct LikelihoodOptions {
  Trace trace = Trace::exact;
  Index probes = 1;         // hutchinson: probes for each row; the error falls with their square root
  std::uint64_t seed = 0;   // hutchinson: of the probes
  std::uint64_t first = 0;  // hutchinson: number of the first row, where a set is treated in parts
  LogDensity source = {};   // of the law at t = 0; empty: N(0, I)
  SampleOptions solver = {.solver = Solver::dopri5, .rtol = 1e-5, .atol = 1e-5};  // from t1 (data) to t0 (source)
};

struct LikelihoodResult {
  std::vector<double> log_density;            // rows, nats, of x under the flow's law at t1
  std::vector<double> standard_error;         // rows, of the probes; 0 for the exact trace, NaN for a single probe
  Matrix<float> source;                       // rows x dimensions, where the points come from
  Index products = 0;                         // evaluations of `velocity`, each with one product
  ot::Status status = ot::Status::converged;  // as integrate(); unless converged, log_density is NaN
};

// The likelihood of the rows of x (rows x dimensions) under a flow, by the change of variables along its paths,
//   d/dt log p_t(x_t) = -tr J(t, x_t),   log p_1(x) = log p_0(x_0) - int_0^1 tr J(t, x_t) dt,
// integrated together with the path back to the source (Chen et al., Neural ordinary differential equations, 2018).
// States are floats: integrals of size S are good to some 1e-7 S a step at best. Throws Error: invalid_argument
// (options, empty x), not_finite (in x, with row and column).
LikelihoodResult log_likelihood(const VelocityProduct& velocity, MatrixView<const float> x,
                                const LikelihoodOptions& options = {});

// Uniform dequantisation: adds to each value of x, which lies on a grid of spacing `width`, uniform noise within half a
// spacing on either side. Row i is row first + i of the stream. Theis, van den Oord and Bethge, A note on the
// evaluation of generative models, ICLR 2016.
void dequantise(MatrixView<float> x, double width, const Rng& rng, std::uint64_t first = 0);

// Bits per dimension of a point of a grid of spacing `width` whose dequantised self has that log density (nats):
// -log2 of the density that a cell of width^dimensions gets, an upper bound of the discrete model's in the mean over
// the noise. Images of 256 levels on [-1, 1] have width 2/255.
double bits_per_dimension(double log_density, Index dimensions, double width);

}  // namespace monge::flow
