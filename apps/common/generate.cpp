#include "monge/apps/common/generate.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "monge/apps/common/interrupt.h"
#include "monge/ot/core/error.h"

namespace monge::apps {

Matrix<float> copy_of(MatrixView<const float> x) {
  Matrix<float> out(x.rows, x.cols);
  for (Index i = 0; i < x.rows; ++i) std::copy_n(x.row(i), x.cols, out.view().row(i));
  return out;
}

flow::Condition rows_from(const flow::Condition& condition, Index first, Index count) {
  if (condition.labels.empty()) return condition;
  return {condition.labels.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
          condition.guidance};
}

flow::Velocity interruptible(flow::VelocityModel& model, const flow::Condition& condition) {
  return [&model, condition](double t, MatrixView<const float> x, MatrixView<float> v) {
    constexpr Index rows = 2048;
    for (Index i = 0; i < x.rows; i += rows) {
      check_interrupt();
      const Index n = std::min(rows, x.rows - i);
      model(t, x.rows_from(i, n), v.rows_from(i, n), rows_from(condition, i, n));
    }
  };
}

Generated generate(flow::VelocityModel& model, Matrix<float> x0, flow::SampleOptions options,
                   const flow::Condition& condition) {
  Generated result;
  result.x = std::move(x0);
  const auto told = options.progress;
  options.progress = [&](const flow::SampleProgress& at) { return !interrupted() && (!told || told(at)); };
  const auto start = std::chrono::steady_clock::now();
  result.run = flow::integrate(interruptible(model, condition), result.x.view(), options);
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
