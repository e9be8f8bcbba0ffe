#include "monge/flow/likelihood.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"

namespace monge::flow {
namespace {

constexpr Index kBlock = 64;  // rows of a task

template <class Body>
void for_rows(const Context& context, Index rows, Index cols, const Body& body) {
  parallel_for(threads_worth(context.threads, rows * cols), (rows + kBlock - 1) / kBlock, [&](Index task, int) {
    for (Index i = task * kBlock; i < std::min(rows, (task + 1) * kBlock); ++i) body(i);
  });
}

// Signs of a probe for a row: bit k of the stream's words for dimension k, 128 to a block.
void fill_signs(const Rng& rng, std::uint64_t row, std::uint64_t probe, std::uint64_t probes, VectorView<float> w) {
  constexpr Index bits = 128;
  const auto blocks = static_cast<std::uint64_t>((w.size + bits - 1) / bits);
  const std::uint64_t first = (row * probes + probe) * blocks;
  for (Index k = 0; k < w.size; k += bits) {
    const Rng::Block b = rng.bits(first + static_cast<std::uint64_t>(k / bits));
    for (Index bit = 0; bit < std::min(bits, w.size - k); ++bit)
      w[k + bit] = b.w[bit / 32] >> bit % 32 & 1 ? 1.0f : -1.0f;
  }
}

// The state of a row is its point and then, for each probe (one in all when the trace is exact), the integral of the
// divergence so far.
class AugmentedVelocity {
 public:
  AugmentedVelocity(const VelocityProduct& velocity, const LikelihoodOptions& options, Index rows, Index dimensions)
      : velocity_(velocity),
        options_(options),
        probes_(options.trace == Trace::exact ? 1 : options.probes),
        w_(rows, dimensions),
        product_(rows, dimensions) {}

  void operator()(double t, MatrixView<const float> state, MatrixView<float> rate) {
    const Index d = w_.cols();
    const MatrixView<const float> x(state.data, state.rows, d, state.stride, state.device);
    const MatrixView<float> v(rate.data, rate.rows, d, rate.stride, rate.device);
    if (options_.trace == Trace::exact) {
      std::fill_n(w_.data(), w_.rows() * d, 0.0f);
      for (Index i = 0; i < rate.rows; ++i) rate(i, d) = 0;
      for (Index k = 0; k < d; ++k) {
        for (Index i = 0; i < w_.rows(); ++i) {
          if (k > 0) w_(i, k - 1) = 0;
          w_(i, k) = 1;
        }
        multiply(t, x, v);
        for (Index i = 0; i < rate.rows; ++i) rate(i, d) += product_(i, k);
      }
      return;
    }
    const Rng rng = Rng{options_.seed}.substream(0x70726F6265);  // "probe"
    for (Index p = 0; p < probes_; ++p) {
      for_rows(options_.solver.context, w_.rows(), d, [&](Index i) {
        fill_signs(rng, options_.first + static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(p),
                   static_cast<std::uint64_t>(probes_), {w_.view().row(i), d});
      });
      multiply(t, x, v);
      for_rows(options_.solver.context, w_.rows(), d, [&](Index i) {
        double sum = 0;
        for (Index k = 0; k < d; ++k) sum += static_cast<double>(w_(i, k)) * product_(i, k);
        rate(i, d + p) = static_cast<float>(sum);
      });
    }
  }

  Index probes() const { return probes_; }
  Index products() const { return products_; }

 private:
  void multiply(double t, MatrixView<const float> x, MatrixView<float> v) {
    velocity_(t, x, std::as_const(w_).view(), v, product_.view());
    ++products_;
  }

  const VelocityProduct& velocity_;
  const LikelihoodOptions& options_;
  Index probes_;
  Matrix<float> w_, product_;
  Index products_ = 0;
};

double standard_normal(VectorView<const float> x) {
  double square = 0;
  for (const float value : x) square += static_cast<double>(value) * value;
  return -0.5 * (square + static_cast<double>(x.size) * std::log(2 * M_PI));
}

}  // namespace

LikelihoodResult log_likelihood(const VelocityProduct& velocity, MatrixView<const float> x,
                                const LikelihoodOptions& options) {
  require(static_cast<bool>(velocity), "log_likelihood: no velocity");
  require(!x.empty(), "log_likelihood: x is empty (", x.rows, " x ", x.cols, ")");
  require(options.probes > 0, "log_likelihood: probes must be positive, not ", options.probes);
  require_finite(x, "log_likelihood: x");
  const Index d = x.cols;
  AugmentedVelocity augmented(velocity, options, x.rows, d);
  const Index probes = augmented.probes();
  Matrix<float> state(x.rows, d + probes);
  for (Index i = 0; i < x.rows; ++i) {
    std::copy_n(x.row(i), d, state.view().row(i));
    std::fill_n(state.view().row(i) + d, probes, 0.0f);
  }
  LikelihoodResult result;
  result.status = invert([&](double t, MatrixView<const float> s, MatrixView<float> rate) { augmented(t, s, rate); },
                         state.view(), options.solver)
                      .status;
  result.products = augmented.products();
  result.source = Matrix<float>(x.rows, d);
  result.log_density.assign(static_cast<std::size_t>(x.rows), std::numeric_limits<double>::quiet_NaN());
  result.standard_error = result.log_density;
  for_rows(options.solver.context, x.rows, d, [&](Index i) {
    const float* row = state.view().row(i);
    std::copy_n(row, d, result.source.view().row(i));
    if (result.status != ot::Status::converged) return;
    const VectorView<const float> x0(row, d);
    double mean = 0, square = 0;  // of the integrals from t1 back to t0, whose sign is the other way
    for (Index p = 0; p < probes; ++p) mean += static_cast<double>(row[d + p]) / static_cast<double>(probes);
    for (Index p = 0; p < probes; ++p) square += (row[d + p] - mean) * (row[d + p] - mean);
    const auto place = static_cast<std::size_t>(i);
    result.log_density[place] = (options.source ? options.source(x0) : standard_normal(x0)) + mean;
    if (options.trace == Trace::exact) result.standard_error[place] = 0;
    if (probes > 1) result.standard_error[place] = std::sqrt(square / static_cast<double>((probes - 1) * probes));
  });
  return result;
}

void dequantise(MatrixView<float> x, double width, const Rng& rng, std::uint64_t first) {
  require(width > 0 && std::isfinite(width), "dequantise: width must be positive, not ", width);
  const auto blocks = static_cast<std::uint64_t>((x.cols + 3) / 4);
  for (Index i = 0; i < x.rows; ++i) {
    const std::uint64_t block = (first + static_cast<std::uint64_t>(i)) * blocks;
    for (Index k = 0; k < x.cols; k += 4) {
      const Rng::Block b = rng.bits(block + static_cast<std::uint64_t>(k / 4));
      for (Index j = k; j < std::min(k + 4, x.cols); ++j)
        x(i, j) += static_cast<float>(width * (Rng::uniform(b.w[j - k]) - 0.5));
    }
  }
}

double bits_per_dimension(double log_density, Index dimensions, double width) {
  require(dimensions > 0, "bits_per_dimension: dimensions must be positive, not ", dimensions);
  require(width > 0 && std::isfinite(width), "bits_per_dimension: width must be positive, not ", width);
  return -log_density / (static_cast<double>(dimensions) * std::log(2.0)) - std::log2(width);
}

}  // namespace monge::flow
