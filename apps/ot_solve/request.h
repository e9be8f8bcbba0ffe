#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "monge/ot/core/array.h"

namespace monge::apps {

// What the user of ot_solve asked for; what was left open is empty.
struct Request {
  std::string x, y;  // clouds; x may also name a law, "normal" or "uniform"
  std::string cost;  // a dense matrix, instead of clouds
  std::string a, b;  // weights
  std::string x_labels, y_labels;
  std::optional<double> label_penalty;

  std::string solver = "auto";
  std::optional<std::string> metric;
  std::optional<double> epsilon;
  bool relative = false;
  std::optional<double> tau_a, tau_b, mass;

  std::optional<double> tolerance;
  std::optional<Index> max_iterations;
  double max_seconds = 0;  // 0 = no limit
  std::optional<std::string> dtype;
  std::uint64_t seed = 0;
  Context context;       // device and threads
  double memory_mb = 0;  // 0 = what the machine has

  std::string json, plan, map, potentials, pairs;  // outputs

  bool from_law() const { return x == "normal" || x == "uniform"; }
  bool on_gpu() const { return context.device.type != DeviceType::cpu; }
  std::string metric_name() const { return metric.value_or("squared_euclidean"); }
};

// Refuses what no solver can make sense of, and outputs that cannot be written or would replace an input. Reads
// nothing. Throws CLI::ParseError for wrong usage; Error(invalid_argument), Error(io) for outputs.
void check_request(const Request& request);

// Refuses options that mean nothing to `solver`: none is ignored. Throws CLI::ParseError.
void check_options_of(const std::string& solver, const Request& request);

}  // namespace monge::apps
