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

bool nearly(double a, double b) { return std::abs(a - b) <= 1e-4 * std::max(std::abs(a), std::abs(b)); }

}  // namespace

std::string method_name(const std::string& coupling, const std::string& objective) {
  return objective == "velocity" ? coupling : coupling + " " + objective;
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
    run.floor_sliced_w2 = json.at("floor").at("sliced_w2");
    run.floor_w2 = json.at("floor").at("w2");
    complete = json.at("complete");
    const double seconds = train_seconds(folder / "metrics.jsonl", run.step);
    for (const Json& row : json.at("rows")) {
      run.rows.push_back({run.coupling, run.objective, row.at("solver"), run.seed, row.at("steps"), row.at("nfe"),
                          row.at("sliced_w2"), row.at("w2"), seconds, 1e3 * seconds / static_cast<double>(run.step)});
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
  require(nearly(a.floor_sliced_w2, b.floor_sliced_w2) && nearly(a.floor_w2, b.floor_w2), both,
          " cannot be compared: their floors differ (sliced W2 ", a.floor_sliced_w2, " and ", b.floor_sliced_w2,
          "), so they were measured against different data");
  require(a.method() != b.method() || a.seed != b.seed, both, " are both ", a.method(), " with seed ", a.seed,
          "; a mean is over seeds");
}

}  // namespace monge::apps
