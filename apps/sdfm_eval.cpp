// sdfm_eval: measures samples of a trained model against held-out data.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "monge/apps/common/device.h"
#include "monge/apps/common/generate.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/progress.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/table.h"
#include "monge/apps/common/trained_model.h"
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
  Index nfe = 0;
  flow::Metrics metrics = {};
  double seconds = 0;
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

Json to_json(const Arguments& a, const apps::TrainedModel& model, const std::vector<Row>& rows,
             const flow::Metrics& floor) {
  Json list = Json::array();
  for (const Row& row : rows) {
    list.push_back({{"solver", flow::to_string(row.run.solver)},
                    {"steps", row.run.steps},
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
          {"samples", a.samples},
          {"exact_rows", a.exact},
          {"rows", list},
          {"floor", {{"sliced_w2", floor.sliced_w2}, {"w2", floor.w2.distance}}}};
}

std::string to_table(const std::vector<Row>& rows, const flow::Metrics& floor) {
  std::vector<std::vector<std::string>> table = {{"solver", "steps", "nfe", "sliced W2", "W2", "seconds"}, {}};
  for (const Row& row : rows) {
    table.push_back({flow::to_string(row.run.solver), std::to_string(row.run.steps), std::to_string(row.nfe),
                     apps::fixed(row.metrics.sliced_w2, 4), apps::fixed(row.metrics.w2.distance, 3),
                     apps::fixed(row.seconds, 1)});
  }
  table.push_back({});
  table.push_back({"train vs test", "", "", apps::fixed(floor.sliced_w2, 4), apps::fixed(floor.w2.distance, 3), ""});
  return apps::format_table(table);
}

void evaluate(const Arguments& a) {
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
  std::vector<Row> rows = plan(a, context);
  apps::Progress progress("evaluate", "run", static_cast<double>(rows.size()) + 1);
  flow::MetricsOptions options;
  options.exact_rows = std::min(a.exact, samples);
  options.sliced.context = options.exact.context = context;
  options.exact.progress = [](const ot::ExactProgress&) { return !apps::interrupted(); };
  const flow::HeldOut held_out(dataset.test.x.view().rows_from(0, samples), options);
  const flow::Metrics floor = held_out.floor(dataset.train.x.view(), samples);
  apps::check_interrupt();
  progress.update(1);

  flow::VelocityModel model(trained.options, trained.weights, 512, context);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const apps::Generated generated = apps::generate(model, samples, a.seed, rows[i].run);
    rows[i].nfe = generated.run.nfe;
    rows[i].run.steps = generated.run.accepted;
    rows[i].seconds = generated.seconds;
    rows[i].metrics = held_out.compare(generated.x.view());
    apps::check_interrupt();
    progress.update(static_cast<double>(i) + 2, flow::to_string(rows[i].run.solver));
  }
  progress.finish();
  if (a.json != "-") std::printf("%s", to_table(rows, floor).c_str());
  if (!a.json.empty()) apps::write_output(a.json, to_json(a, trained, rows, floor).dump(2) + "\n");
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
      "Exit status: 0 when done, 1 for an error, 2 for wrong usage, 130 after Ctrl-C.");
  Arguments a;
  app.add_option("checkpoint", a.checkpoint, "Checkpoint of a run")->required()->type_name("CHECKPOINT.h5");
  app.add_option("--data", a.data, "Data file with test points")->required()->type_name("FILE.h5");
  app.add_option("--solver", a.solvers, "euler, heun, dopri5; several by commas")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--steps", a.steps, "Steps of euler and heun; several by commas")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--dopri5", a.dopri5, "Also the adaptive dopri5");
  app.add_option("--samples", a.samples, "Samples, and test points, compared")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--exact", a.exact, "Of which so many by exact W2")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--seed", a.seed, "Of the noise the samples start from")->capture_default_str();
  app.add_flag("--raw", a.raw, "Use the weights as trained, not their average");
  app.add_option("--json", a.json, "Write the figures as JSON; - = standard output, instead of the table")
      ->type_name("FILE|-");
  app.add_option("--device", a.device, "auto, cpu or cuda:N")->capture_default_str();
  app.add_option("--threads", a.threads, "CPU threads; 0 = all")->check(CLI::NonNegativeNumber)->capture_default_str();
  return apps::run_main(app, argc, argv, [&] { evaluate(a); });
}
