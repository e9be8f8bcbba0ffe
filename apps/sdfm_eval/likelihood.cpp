#include "monge/apps/sdfm_eval/likelihood.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "monge/apps/common/generate_map.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/starting_points.h"
#include "monge/apps/common/table.h"
#include "monge/data/synthetic.h"
#include "monge/flow/likelihood.h"
#include "monge/flow/velocity_product.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

using Json = nlohmann::ordered_json;

struct MeanOf {
  double mean = 0, standard_error = 0;
};

template <class Value>  // (i)
MeanOf mean_of(Index n, const Value& value) {
  double sum = 0, square = 0;
  for (Index i = 0; i < n; ++i) sum += value(static_cast<std::size_t>(i));
  const double count = static_cast<double>(n), mean = sum / count;
  for (Index i = 0; i < n; ++i) square += std::pow(value(static_cast<std::size_t>(i)) - mean, 2);
  return {mean, std::sqrt(square / (count - 1) / count)};
}

// Of the noise that the model's path starts from.
flow::LogDensity start_density(const flow::Path& path) {
  const double deviation = flow::start_deviation(path);
  return [deviation](VectorView<const float> x) {
    double square = 0;
    for (const float value : x) square += value / deviation * (value / deviation);
    return -0.5 * square - static_cast<double>(x.size) * std::log(std::sqrt(2 * M_PI) * deviation);
  };
}

flow::LikelihoodResult run(const TrainedModel& trained, MatrixView<const float> x, flow::Trace trace, Index probes,
                           std::uint64_t seed, const Context& context) {
  flow::VelocityProductModel model(trained.options, trained.weights, 512, context);
  const flow::VelocityProduct velocity = [&model](double t, MatrixView<const float> at, MatrixView<const float> w,
                                                  MatrixView<float> v, MatrixView<float> product) {
    constexpr Index rows = 2048;  // between looks for an interrupt
    for (Index i = 0; i < at.rows; i += rows) {
      check_interrupt();
      const Index n = std::min(rows, at.rows - i);
      model(t, at.rows_from(i, n), w.rows_from(i, n), v.rows_from(i, n), product.rows_from(i, n));
    }
  };
  flow::LikelihoodOptions options;
  options.trace = trace;
  options.probes = std::max<Index>(1, probes);
  options.seed = seed;
  options.source = start_density(trained.options.path);
  options.solver.context = context;
  flow::LikelihoodResult result = flow::log_likelihood(velocity, x, options);
  if (result.status != ot::Status::converged)
    throw Error(Errc::not_finite, concat("--likelihood: dopri5 ended with ", ot::to_string(result.status)));
  return result;
}

Json number(double value) { return std::isnan(value) ? Json(nullptr) : Json(value); }

double bits(const Likelihood& l, double nats) {
  return l.grid_width > 0 ? flow::bits_per_dimension(nats, l.dimensions, l.grid_width) : Likelihood::unknown;
}

std::string plus_minus(double value, double error) {
  return fixed(value, 4) + (std::isnan(error) ? "" : " +- " + fixed(error, 4));
}

}  // namespace

void check_likelihood(const TrainedModel& model) {
  check_velocity("--likelihood", model);
  check_without_class("--likelihood", model.config);
  const std::string file = start_file(model.config, "");
  require(file.empty(), "--likelihood: the model starts from points of ", file, ", whose law is not known");
}

Likelihood measure_likelihood(const TrainedModel& model, const data::Dataset& dataset, const LikelihoodRequest& request,
                              const Context& context) {
  Likelihood result;
  result.points = request.points;
  result.dimensions = dataset.dims();
  Matrix<float> x = copy_of(dataset.test.x.view().rows_from(0, request.points));
  if (dataset.storage == data::Storage::u8) {
    result.grid_width = (dataset.high - dataset.low) / 255;
    flow::dequantise(x.view(), result.grid_width, Rng{request.seed}.substream(0x64657175));  // "dequ"
  }
  std::vector<flow::LikelihoodResult> found;
  const auto add = [&](flow::Trace trace, Index probes) {
    const auto start = std::chrono::steady_clock::now();
    found.push_back(run(model, x.view(), trace, probes, request.seed, context));
    const flow::LikelihoodResult& r = found.back();
    LikelihoodRow row{.trace = trace == flow::Trace::exact ? "exact" : "hutchinson", .probes = probes};
    const MeanOf mean = mean_of(result.points, [&](std::size_t i) { return r.log_density[i]; });
    row.mean = mean.mean;
    row.standard_error = mean.standard_error;
    double variance = 0;
    for (const double error : r.standard_error) variance += error * error;
    row.probe_error = std::sqrt(variance) / static_cast<double>(result.points);
    row.products = r.products;
    row.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result.rows.push_back(row);
  };
  const bool exact = result.dimensions <= most_exact_dimensions;
  if (exact) add(flow::Trace::exact, 0);
  if (!exact || request.probes > 0) add(flow::Trace::hutchinson, std::max<Index>(1, request.probes));

  const std::vector<double>& first = found.front().log_density;
  if (found.size() == 2) {
    const std::vector<double>& second = found.back().log_density;
    const MeanOf difference = mean_of(result.points, [&](std::size_t i) { return second[i] - first[i]; });
    result.difference = difference.mean;
    result.difference_error = difference.standard_error;
  }
  if (const auto truth = data::known_log_density(dataset.source)) {
    const auto at = [&](std::size_t i) { return truth({x.view().row(static_cast<Index>(i)), result.dimensions}); };
    result.truth = mean_of(result.points, at).mean;
    const MeanOf gap = mean_of(result.points, [&](std::size_t i) { return at(i) - first[i]; });
    result.gap = gap.mean;
    result.gap_error = gap.standard_error;
  }
  return result;
}

Json to_json(const Likelihood& l) {
  Json rows = Json::array();
  for (const LikelihoodRow& row : l.rows) {
    rows.push_back({{"trace", row.trace},
                    {"probes", row.probes},
                    {"log_likelihood", row.mean},
                    {"standard_error", number(row.standard_error)},
                    {"probe_error", number(row.probe_error)},
                    {"bits_per_dimension", number(bits(l, row.mean))},
                    {"products", row.products},
                    {"seconds", row.seconds}});
  }
  return {{"points", l.points},
          {"rows", rows},
          {"difference", number(l.difference)},
          {"difference_error", number(l.difference_error)},
          {"true_log_likelihood", number(l.truth)},
          {"gap", number(l.gap)},
          {"gap_error", number(l.gap_error)}};
}

std::string to_table(const Likelihood& l) {
  std::vector<std::vector<std::string>> table = {{"trace", "nats a point", "of the probes", "bits/dim", "seconds"}, {}};
  for (const LikelihoodRow& row : l.rows) {
    const bool exact = row.trace == "exact";
    const std::string name =
        exact ? row.trace : concat(row.trace, ", ", row.probes, row.probes > 1 ? " probes" : " probe");
    table.push_back({name, plus_minus(row.mean, row.standard_error),
                     exact || std::isnan(row.probe_error) ? "" : "+- " + fixed(row.probe_error, 4),
                     l.grid_width > 0 ? fixed(bits(l, row.mean), 4) : "", fixed(row.seconds, 1)});
  }
  if (!std::isnan(l.difference))
    table.push_back({"hutchinson - exact", plus_minus(l.difference, l.difference_error), "", "", ""});
  if (!std::isnan(l.truth)) {
    table.push_back({"the law itself", fixed(l.truth, 4), "", "", ""});
    table.push_back({"the law - the model", plus_minus(l.gap, l.gap_error), "", "", ""});
  }
  return format_table(table);
}

}  // namespace monge::apps
