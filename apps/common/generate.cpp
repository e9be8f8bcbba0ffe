#include "monge/apps/common/generate.h"

#include <chrono>

#include "monge/apps/common/interrupt.h"
#include "monge/ot/core/error.h"
#include "monge/ot/source.h"

namespace monge::apps {

void start_from_noise(MatrixView<float> x, const flow::Path& path, std::uint64_t seed, const Context& context) {
  ot::draw({}, Rng{seed}.substream(0x73616D706C65), 0, x, context);  // "sample"
  const float deviation = static_cast<float>(flow::start_deviation(path));
  if (deviation == 1) return;
  for (Index i = 0; i < x.rows; ++i) {
    for (Index j = 0; j < x.cols; ++j) x(i, j) *= deviation;
  }
}

Generated generate(flow::VelocityModel& model, Index count, std::uint64_t seed, flow::SampleOptions options) {
  require(count > 0, "generate: the number of samples must be positive, not ", count);
  Generated result;
  result.x = Matrix<float>(count, model.options().dimensions);
  start_from_noise(result.x.view(), model.options().path, seed, options.context);

  const auto told = options.progress;
  options.progress = [&](const flow::SampleProgress& at) { return !interrupted() && (!told || told(at)); };
  // Between steps is too seldom for an interrupt: a step of many rows takes seconds.
  const flow::Velocity velocity = [&](double t, MatrixView<const float> x, MatrixView<float> v) {
    constexpr Index rows = 2048;
    for (Index i = 0; i < x.rows; i += rows) {
      check_interrupt();
      const Index n = std::min(rows, x.rows - i);
      model(t, x.rows_from(i, n), v.rows_from(i, n));
    }
  };
  const auto start = std::chrono::steady_clock::now();
  result.run = flow::integrate(velocity, result.x.view(), options);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  check_interrupt();
  if (result.run.status != ot::Status::converged) {
    throw Error(result.run.status == ot::Status::numerical_failure ? Errc::not_finite : Errc::invalid_argument,
                concat("generate: ", flow::to_string(options.solver), " ended with ", ot::to_string(result.run.status),
                       " at t = ", result.run.t));
  }
  return result;
}

}  // namespace monge::apps
