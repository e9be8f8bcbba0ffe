// sdfm_eval: measures samples of a trained model against held-out data.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "monge/apps/common/device.h"
#include "monge/apps/common/distinct_files.h"
#include "monge/apps/common/generate.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/json.h"
#include "monge/apps/common/progress.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/table.h"
#include "monge/apps/common/trained_model.h"
#include "monge/apps/common/validators.h"
#include "monge/data/atomic_file.h"
#include "monge/data/dataset.h"
#include "monge/flow/metrics.h"
#include "monge/ot/core/error.h"

namespace {

using namespace monge;
using Json = nlohmann::ordered_json;

struct Arguments {
  std::string checkpoint, data, json, device = "auto";
  std::vector<std::string> solvers = {"euler"};
  std::vector<Index> steps = {1, 2, 4, 8, 16};
  Index samples = 10000, exact = 2000;
  std::uint64_t seed = 0;
  bool dopri5 = false, raw = false;
  int threads = 0;
};

struct Row {
  flow::SampleOptions run;
  Index steps = 0;  // made
  Index nfe = 0;
  flow::Metrics metrics = {};
  double seconds = 0;
};

struct Results {
  Index samples = 0, exact_rows = 0;
  flow::Metrics floor = {};
  std::vector<Row> rows = {};  // finished
  std::size_t planned = 0;
};

std::vector<Row> plan(const Arguments& a, const Context& context) {
  std::vector<Row> rows;
  bool adaptive = a.dopri5;
  for (const std::string& name : a.solvers) {
    const flow::Solver solver = flow::parse_solver(name);
    if (solver == flow::Solver::dopri5) {
      adaptive = true;
      continue;
    }
    for (const Index steps : a.steps) rows.push_back({.run = {.solver = solver, .steps = steps, .context = context}});
  }
  if (adaptive) rows.push_back({.run = {.solver = flow::Solver::dopri5, .steps = 0, .context = context}});
  return rows;
}

Json to_json(const Arguments& a, const apps::TrainedModel& model, const Results& results) {
  Json list = Json::array();
  for (const Row& row : results.rows) {
    list.push_back({{"solver", flow::to_string(row.run.solver)},
                    {"steps", row.steps},
                    {"nfe", row.nfe},
                    {"sliced_w2", row.metrics.sliced_w2},
                    {"w2", row.metrics.w2.distance},
                    {"w2_lower", row.metrics.w2.certificate.lower},
                    {"w2_upper", row.metrics.w2.certificate.upper},
                    {"seconds", row.seconds}});
  }
  return {{"checkpoint", a.checkpoint},
          {"step", model.step},
          {"coupling", model.config.coupling},
          {"seed", model.config.seed},
          {"samples", results.samples},
          {"exact_rows", results.exact_rows},
          {"complete", results.rows.size() == results.planned},
          {"rows", list},
          {"floor", {{"sliced_w2", results.floor.sliced_w2}, {"w2", results.floor.w2.distance}}}};
}

std::string to_table(const Results& results) {
  std::vector<std::vector<std::string>> table = {{"solver", "steps", "nfe", "sliced W2", "W2", "seconds"}, {}};
  for (const Row& row : results.rows) {
    table.push_back({flow::to_string(row.run.solver), std::to_string(row.steps), std::to_string(row.nfe),
                     apps::fixed(row.metrics.sliced_w2, 4), apps::fixed(row.metrics.w2.distance, 3),
                     apps::fixed(row.seconds, 1)});
  }
  const flow::Metrics& floor = results.floor;
  table.push_back({});
  table.push_back({"train vs test", "", "", apps::fixed(floor.sliced_w2, 4), apps::fixed(floor.w2.distance, 3), ""});
  return apps::format_table(table);
}

// Finishes row after row; what is finished stays in `results` when an interrupt or an error ends it early.
void measure(const Arguments& a, const apps::TrainedModel& trained, const data::Dataset& dataset,
             const std::vector<Row>& rows, const Context& context, Results& results) {
  apps::Progress progress("evaluate", "run", static_cast<double>(rows.size()) + 1);
  flow::MetricsOptions options;
  options.exact_rows = results.exact_rows;
  options.sliced.context = options.exact.context = context;
  options.exact.progress = [](const ot::AssignmentProgress&) { return !apps::interrupted(); };
  const flow::HeldOut held_out(dataset.test.x.view().rows_from(0, results.samples), options);
  apps::check_interrupt();
  results.floor = held_out.floor(dataset.train.x.view(), results.samples);
  apps::check_interrupt();
  progress.update(1);

  flow::VelocityModel model(trained.options, trained.weights, 512, context);
  for (Row row : rows) {
    const apps::Generated generated = apps::generate(model, results.samples, a.seed, row.run);
    row.steps = generated.run.accepted;
    row.nfe = generated.run.nfe;
    row.seconds = generated.seconds;
    row.metrics = held_out.compare(generated.x.view());
    apps::check_interrupt();
    results.rows.push_back(row);
    progress.update(static_cast<double>(results.rows.size()) + 1, flow::to_string(row.run.solver));
  }
  progress.finish();
}

void evaluate(const Arguments& a) {
  apps::require_distinct_files({{"the checkpoint", a.checkpoint}, {"--data", a.data}}, {{"--json", a.json}});
  if (!a.json.empty() && a.json != "-") data::require_writable("sdfm_eval", a.json);
  const Context context = apps::choose_device(a.device, a.threads);
  const apps::TrainedModel trained = apps::load_model(a.checkpoint, !a.raw);
  const data::Dataset dataset = data::load_dataset(a.data);
  require(dataset.test.rows() > 0, a.data, ": has no test points to measure against");
  require(dataset.dims() == trained.options.dimensions, a.data, ": points of ", dataset.dims(),
          " dimensions, the model has ", trained.options.dimensions);
  const Index samples = std::min({a.samples, dataset.test.rows(), dataset.train.rows()});
  require(samples == a.samples, a.data, ": asked for ", a.samples, " samples, there are ", dataset.train.rows(),
          " training and ", dataset.test.rows(), " test points; use --samples ", samples);

  apps::announce_device("sdfm_eval", a.device, context);
  const std::vector<Row> rows = plan(a, context);
  Results results{.samples = samples, .exact_rows = std::min(a.exact, samples), .planned = rows.size()};
  std::exception_ptr ended;
  try {
    measure(a, trained, dataset, rows, context, results);
  } catch (const std::exception&) {
    if (results.rows.empty()) throw;  // nothing to save
    ended = std::current_exception();
  }
  if (a.json != "-") std::printf("%s", to_table(results).c_str());
  if (!a.json.empty()) apps::write_output(a.json, apps::json_text(to_json(a, trained, results)));
  if (ended && apps::interrupted()) {
    throw apps::Interrupted(concat("interrupted after ", results.rows.size(), " of ", results.planned, " rows",
                                   a.json.empty() ? "" : ", which are saved"));
  }
  if (ended) std::rethrow_exception(ended);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Measures samples of a trained model against the test points of a data file: sliced W2 (square root of the mean\n"
      "squared 1-D W2 over 1,000 fixed directions) and exact W2 (square root, on the first --exact points), each with\n"
      "the value that training points of the same number reach against the test points.\n",
      "sdfm_eval"};
  app.footer(
      "Examples:\n"
      "  sdfm_eval runs/sd/checkpoint.h5 --data fashion.h5 --dopri5\n"
      "  sdfm_eval runs/sd/checkpoint.h5 --data fashion.h5 --solver heun --steps 2,4,8 --json -\n\n"
      "Ctrl-C saves the rows finished so far, with \"complete\": false, and exits 130.\n"
      "Exit status: 0 when done, 1 for an error, 2 for wrong usage.");
  Arguments a;
  app.add_option("checkpoint", a.checkpoint, "Checkpoint of a run")->required()->type_name("CHECKPOINT.h5");
  app.add_option("--data", a.data, "Data file with test points")->required()->type_name("FILE.h5");
  app.add_option("--solver", a.solvers, "euler, heun, dopri5; several by commas")
      ->type_name("S")
      ->delimiter(',')
      ->check(CLI::IsMember({"euler", "heun", "dopri5"}))
      ->capture_default_str();
  app.add_option("--steps", a.steps, "Steps of euler and heun; several by commas")
      ->type_name("K")
      ->delimiter(',')
      ->check(apps::at_least<Index>(1))
      ->capture_default_str();
  app.add_flag("--dopri5", a.dopri5, "Also the adaptive dopri5");
  app.add_option("--samples", a.samples, "Samples, and test points, compared")
      ->type_name("N")
      ->check(apps::at_least<Index>(1))
      ->capture_default_str();
  app.add_option("--exact", a.exact, "Of which so many by exact W2, at most --samples")
      ->type_name("N")
      ->check(apps::at_least<Index>(1))
      ->capture_default_str();
  app.add_option("--seed", a.seed, "Of the noise the samples start from")
      ->type_name("N")
      ->check(apps::at_least<std::int64_t>(0))
      ->capture_default_str();
  app.add_flag("--raw", a.raw, "Use the weights as trained, not their average");
  app.add_option("--json", a.json, "Write the figures as JSON; - = standard output, instead of the table")
      ->type_name("FILE|-");
  app.add_option("--device", a.device, "auto, cpu or cuda:N")->type_name("D")->capture_default_str();
  app.add_option("--threads", a.threads, "CPU threads; 0 = all")
      ->type_name("N")
      ->check(apps::at_least<int>(0))
      ->capture_default_str();
  return apps::run_main(app, argc, argv, [&] { evaluate(a); });
}
