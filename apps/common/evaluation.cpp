#include "monge/apps/common/evaluation.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "monge/apps/common/metrics_log.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Wall time of the training steps up to `step`.
double train_seconds(const fs::path& metrics, std::uint64_t step) {
  double seconds = 0;
  for (const StepRecord& record : read_metrics(metrics)) {
    if (record.step <= step) seconds = record.seconds;
  }
  require(step > 0 && seconds > 0, metrics.string(), ": has no steps up to ", step, ", which eval.json is of");
  return seconds;
}

double number_or_unknown(const Json& json, const char* key) {
  return json.contains(key) && !json.at(key).is_null() ? json.at(key).get<double>() : EvaluationRow::unknown;
}

void read_figures(const Json& json, EvaluationRow& row) {
  row.sliced_w2 = json.at("sliced_w2");
  row.w2 = json.at("w2");
  row.f_fid = number_or_unknown(json, "f_fid");
  row.kid = number_or_unknown(json, "kid");
  row.kid_error = number_or_unknown(json, "kid_error");
  row.precision = number_or_unknown(json, "precision");
  row.recall = number_or_unknown(json, "recall");
}

bool nearly(double a, double b) { return std::abs(a - b) <= 1e-4 * std::max(std::abs(a), std::abs(b)); }

}  // namespace

std::string method_name(const std::string& coupling, const std::string& objective, double guidance) {
  const std::string name = objective == "velocity" ? coupling : coupling + " " + objective;
  return std::isnan(guidance) ? name : concat(name, ", guidance ", guidance);
}

Json read_json(const fs::path& path) {
  std::ifstream file(path);
  if (!file || fs::is_directory(path)) throw Error(Errc::io, path.string() + ": cannot be read");
  try {
    return Json::parse(file);
  } catch (const Json::exception& e) {
    throw Error(Errc::bad_file, path.string() + ": " + e.what());
  }
}

Evaluation read_evaluation(const fs::path& folder) {
  const fs::path path = folder / "eval.json";
  const Json json = read_json(path);
  Evaluation run;
  run.folder = folder;
  bool complete = false;
  try {
    run.coupling = json.at("coupling");
    run.objective = json.value("objective", "velocity");
    run.seed = json.at("seed");
    run.step = json.at("step");
    run.samples = json.at("samples");
    run.exact_rows = json.at("exact_rows");
    run.guidance = number_or_unknown(json, "guidance");
    run.features_digest = json.value("features_digest", "");
    read_figures(json.at("floor"), run.floor);
    complete = json.at("complete");
    const double seconds = train_seconds(folder / "metrics.jsonl", run.step);
    for (const Json& row : json.at("rows")) {
      run.rows.push_back({.coupling = run.coupling,
                          .objective = run.objective,
                          .solver = row.at("solver"),
                          .guidance = run.guidance,
                          .seed = run.seed,
                          .steps = row.at("steps"),
                          .nfe = row.at("nfe"),
                          .train_seconds = seconds,
                          .step_ms = 1e3 * seconds / static_cast<double>(run.step)});
      read_figures(row, run.rows.back());
    }
  } catch (const Json::exception& e) {
    throw Error(Errc::bad_file, path.string() + ": " + e.what());
  }
  require(complete && !run.rows.empty(), path.string(), ": the evaluation was interrupted; run sdfm_eval again");
  return run;
}

void require_alike(const Evaluation& a, const Evaluation& b) {
  const std::string both = concat(a.folder.string(), " and ", b.folder.string());
  require(a.samples == b.samples && a.exact_rows == b.exact_rows, both, " cannot be compared: measured on ", a.samples,
          " points (", a.exact_rows, " by exact W2) and on ", b.samples, " (", b.exact_rows,
          "); run sdfm_eval with the same --samples and --exact");
  require(nearly(a.floor.sliced_w2, b.floor.sliced_w2) && nearly(a.floor.w2, b.floor.w2), both,
          " cannot be compared: their floors differ (sliced W2 ", a.floor.sliced_w2, " and ", b.floor.sliced_w2,
          "), so they were measured against different data");
  require(a.features_digest == b.features_digest, both, " cannot be compared: measured by different features (",
          a.features_digest.empty() ? "none" : a.features_digest, " and ",
          b.features_digest.empty() ? "none" : b.features_digest, "); run sdfm_eval with the same --features");
  require(a.method() != b.method() || a.seed != b.seed, both, " are both ", a.method(), " with seed ", a.seed,
          "; a mean is over seeds");
}

}  // namespace monge::apps
