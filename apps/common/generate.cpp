#include "monge/apps/common/generate.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "monge/apps/common/interrupt.h"
#include "monge/data/dataset.h"
#include "monge/ot/core/error.h"
#include "monge/ot/source.h"

namespace monge::apps {

Matrix<float> sampling_noise(const flow::ModelOptions& model, Index count, std::uint64_t seed, const Context& context) {
  require(count > 0, "generate: the number of samples must be positive, not ", count);
  Matrix<float> x0(count, model.dimensions);
  const Rng noise = Rng{seed}.substream(0x73616D706C65);  // "sample"
  ot::draw({}, noise, 0, x0.view(), context);
  const float deviation = static_cast<float>(flow::start_deviation(model.path));
  if (deviation == 1) return x0;
  std::for_each(x0.data(), x0.data() + count * model.dimensions, [&](float& x) { x *= deviation; });
  return x0;
}

Matrix<float> starting_points(const std::string& source_file, const std::string& digest,
                              const flow::ModelOptions& model, Index count, std::uint64_t seed,
                              const Context& context) {
  if (source_file.empty()) return sampling_noise(model, count, seed, context);
  const data::Dataset source = data::load_dataset(source_file);
  require(digest.empty() || source.digest == digest, source_file, ": this is not the source of the run: its digest is ",
          source.digest, ", not ", digest);
  const Matrix<float>& points = source.test.rows() > 0 ? source.test.x : source.train.x;
  require(points.cols() == model.dimensions, source_file, ": points of ", points.cols(), " dimensions, the model has ",
          model.dimensions);
  require(points.rows() >= count, source_file, ": has ", points.rows(), " points to start ", count, " samples from");
  return copy_of(points.view().rows_from(0, count));
}

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
