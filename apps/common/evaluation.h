#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::apps {

// What is compared, for tables: "semidiscrete" for a velocity, "semidiscrete lsd" for another objective, "semidiscrete,
// guidance 2" for samples of classes; `guidance` NaN: of none.
std::string method_name(const std::string& coupling, const std::string& objective, double guidance);

// One sampler of one run, or the floor. What was not measured is NaN.
struct EvaluationRow {
  static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  std::string coupling, objective, solver;
  double guidance = unknown;
  std::uint64_t seed = 0;
  Index steps = 0, nfe = 0;
  double sliced_w2 = 0, w2 = 0, train_seconds = 0, step_ms = 0;
  double f_fid = unknown, kid = unknown, kid_error = unknown, precision = unknown, recall = unknown;

  std::string method() const { return method_name(coupling, objective, guidance); }
  // The sampler's name in tables.
  std::string setting() const { return solver == "dopri5" ? solver : solver + "-" + std::to_string(steps); }
};

// What a run reached, as the eval.json in its folder says.
struct Evaluation {
  std::filesystem::path folder;
  std::string coupling, objective;
  double guidance = EvaluationRow::unknown;
  std::uint64_t seed = 0, step = 0;  // of training
  Index samples = 0, exact_rows = 0;
  std::string features_digest;  // of the classifier; empty: none
  EvaluationRow floor;          // its figures
  std::vector<EvaluationRow> rows;

  std::string method() const { return method_name(coupling, objective, guidance); }
};

// A JSON file. Throws Error: io, bad_file.
nlohmann::ordered_json read_json(const std::filesystem::path& path);

// Reads eval.json, and from metrics.jsonl how long the training took that it measured. Throws Error: io, bad_file,
// invalid_argument (an evaluation that was interrupted).
Evaluation read_evaluation(const std::filesystem::path& folder);

// Refuses two runs that cannot stand side by side: measured on different numbers of points, against different data or
// by different features, or of the same method and seed. Throws Error(invalid_argument).
void require_alike(const Evaluation& a, const Evaluation& b);

}  // namespace monge::apps
