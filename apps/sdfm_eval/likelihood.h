#pragma once
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "monge/apps/common/trained_model.h"
#include "monge/data/dataset.h"

namespace monge::apps {

// The mean log-likelihood of test points under a model, by one way of finding the divergence.
struct LikelihoodRow {
  std::string trace;          // exact or hutchinson
  Index probes = 0;           // hutchinson: of each point
  double mean = 0;            // nats
  double standard_error = 0;  // of that mean as one of the data's law: over the points, error of the probes included
  double probe_error = 0;     // of that mean as one of these points: of the probes; 0: exact, NaN: a single probe
  Index products = 0;         // evaluations of the velocity with a product each
  double seconds = 0;
};

// NaN: not known.
struct Likelihood {
  Index points = 0, dimensions = 0;
  std::vector<LikelihoodRow> rows;
  double difference = unknown, difference_error = unknown;  // hutchinson - exact, of the same points
  double grid_width = 0;  // of pixels, which are dequantised; 0: points are not pixels
  double truth = unknown, gap = unknown, gap_error = unknown;  // of the law itself; that - the first row, in pairs

  static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
};

struct LikelihoodRequest {
  Index points = 0;        // of the test split, from its first on
  Index probes = 0;        // hutchinson; 0: only where the exact trace is too much, and then one
  std::uint64_t seed = 0;  // of probes and dequantisation
};

// The exact trace takes a product a dimension, and is left out above so many.
constexpr Index most_exact_dimensions = 64;

// Refuses models that have no likelihood: no velocity, none without class, or a source of unknown law. Throws
// Error(invalid_argument).
void check_likelihood(const TrainedModel& model);

// Throws Error(not_finite) when the flow back to the noise breaks down, Interrupted.
Likelihood measure_likelihood(const TrainedModel& model, const data::Dataset& dataset, const LikelihoodRequest& request,
                              const Context& context);

nlohmann::ordered_json to_json(const Likelihood& likelihood);
std::string to_table(const Likelihood& likelihood);

}  // namespace monge::apps
