// sdfm_report: puts evaluated runs side by side, in a table, a plot and a picture.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "monge/apps/common/distinct_files.h"
#include "monge/apps/common/evaluation.h"
#include "monge/apps/common/generate_map.h"
#include "monge/apps/common/image.h"
#include "monge/apps/common/json.h"
#include "monge/apps/common/plot.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/table.h"
#include "monge/apps/common/trained_model.h"
#include "monge/apps/common/validators.h"
#include "monge/data/atomic_file.h"
#include "monge/ot/core/error.h"

namespace {

using namespace monge;
using Json = nlohmann::ordered_json;
using apps::Evaluation;
using apps::EvaluationRow;
namespace fs = std::filesystem;

struct Arguments {
  std::vector<std::string> runs;
  std::string potentials, out;
  int threads = 0;
};

struct Report {
  std::vector<Evaluation> runs;
  std::vector<EvaluationRow> rows;  // of all runs
  Json potentials;

  double floor_sliced_w2() const { return runs.front().floor_sliced_w2; }
  double floor_w2() const { return runs.front().floor_w2; }
};

Report collect(const Arguments& a) {
  Report report;
  if (!a.potentials.empty()) report.potentials = apps::read_json(a.potentials);
  for (const std::string& folder : a.runs) {
    const Evaluation run = apps::read_evaluation(folder);
    for (const Evaluation& other : report.runs) apps::require_alike(other, run);
    report.rows.insert(report.rows.end(), run.rows.begin(), run.rows.end());
    report.runs.push_back(run);
  }
  return report;
}

std::string to_json(const Report& report) {
  Json rows = Json::array();
  for (const EvaluationRow& r : report.rows) {
    rows.push_back({{"coupling", r.coupling},
                    {"objective", r.objective},
                    {"seed", r.seed},
                    {"solver", r.solver},
                    {"steps", r.steps},
                    {"nfe", r.nfe},
                    {"sliced_w2", r.sliced_w2},
                    {"w2", r.w2},
                    {"train_seconds", r.train_seconds},
                    {"step_ms", r.step_ms}});
  }
  return apps::json_text({{"potentials", report.potentials},
                          {"rows", rows},
                          {"floor", {{"sliced_w2", report.floor_sliced_w2()}, {"w2", report.floor_w2()}}}});
}

// The rows of one method at one setting, one per seed; their mean.
std::vector<const EvaluationRow*> select(const Report& report, const std::string& method, const std::string& setting) {
  std::vector<const EvaluationRow*> found;
  for (const EvaluationRow& row : report.rows) {
    if (row.method() == method && row.setting() == setting) found.push_back(&row);
  }
  return found;
}

double mean(const std::vector<const EvaluationRow*>& rows, double EvaluationRow::*value) {
  double sum = 0;
  for (const EvaluationRow* row : rows) sum += row->*value;
  return sum / static_cast<double>(rows.size());
}

std::vector<std::string> settings(const Report& report) {
  std::vector<std::string> names;
  for (const EvaluationRow& row : report.rows) {
    if (std::find(names.begin(), names.end(), row.setting()) == names.end()) names.push_back(row.setting());
  }
  return names;
}

// The independent coupling first, the others in the order of the runs.
std::vector<std::string> methods(const Report& report) {
  std::vector<std::string> names;
  for (const Evaluation& run : report.runs) {
    if (std::find(names.begin(), names.end(), run.method()) == names.end()) names.push_back(run.method());
  }
  std::stable_partition(names.begin(), names.end(), [](const std::string& name) { return name == "independent"; });
  return names;
}

std::string cell(const std::vector<const EvaluationRow*>& rows, double EvaluationRow::*value, int digits) {
  if (rows.empty()) return "-";
  std::string text = apps::fixed(mean(rows, value), digits);
  if (rows.size() == 1) return text;
  text += " (";
  for (const EvaluationRow* row : rows) text += (row == rows.front() ? "" : " ") + apps::fixed(row->*value, digits);
  return text + ")";
}

using Line = std::vector<std::string>;

// "-80%": of the second of two methods against the first.
std::string change(const Report& report, const std::vector<std::string>& names, const std::string& setting) {
  const auto first = select(report, names[0], setting), second = select(report, names[1], setting);
  if (first.empty() || second.empty()) return "-";
  const double ratio = mean(second, &EvaluationRow::sliced_w2) / mean(first, &EvaluationRow::sliced_w2);
  return apps::fixed(100 * (ratio - 1), 0) + "%";
}

std::string to_table(const Report& report) {
  const std::vector<std::string> names = methods(report);
  const bool two = names.size() == 2;
  const auto add = [&](Line& line, const std::string& setting, double EvaluationRow::*value, int digits) {
    for (const std::string& name : names) line.push_back(cell(select(report, name, setting), value, digits));
  };
  Line head = {"sampler"}, floor = {"train vs test"}, step_ms = {"ms per step"};
  for (const std::string& name : names) head.push_back((name == names[0] ? "sliced W2: " : "") + name);
  if (two) head.push_back("change");
  for (const std::string& name : names) head.push_back((name == names[0] ? "W2: " : "") + name);
  std::vector<Line> table = {head, {}};
  for (const std::string& setting : settings(report)) {
    Line line = {setting};
    add(line, setting, &EvaluationRow::sliced_w2, 4);
    if (two) line.push_back(change(report, names, setting));
    add(line, setting, &EvaluationRow::w2, 2);
    table.push_back(line);
  }
  floor.push_back(apps::fixed(report.floor_sliced_w2(), 4));
  floor.resize(names.size() + 1 + (two ? 1 : 0));
  floor.push_back(apps::fixed(report.floor_w2(), 2));
  floor.resize(head.size());
  for (const std::string& name : names) {  // each at its own first setting: methods may share none
    const auto own = std::find_if(report.rows.begin(), report.rows.end(),
                                  [&](const EvaluationRow& row) { return row.method() == name; });
    step_ms.push_back(cell(select(report, name, own->setting()), &EvaluationRow::step_ms, 1));
  }
  step_ms.resize(head.size());
  table.insert(table.end(), {{}, floor, step_ms});
  return apps::format_table(table);
}

std::string color_of(const std::string& method, std::size_t line) {
  if (method == "independent") return "#888888";
  if (method == "semidiscrete") return "#c0392b";
  const std::vector<std::string> others = {"#2980b9", "#27ae60", "#8e44ad", "#d35400", "#16a085", "#7f6000"};
  return others[line % others.size()];
}

// Quality against steps, both metrics, one line per method and solver through the means, a dot per seed, the floor
// dashed. Empty when no run has two numbers of steps.
std::string to_plot(const Report& report) {
  const std::vector<std::string> solvers = {"euler", apps::map_solver};
  const std::vector<std::string> names = methods(report);
  std::vector<apps::PlotPanel> panels;
  const auto add = [&](const std::string& title, double EvaluationRow::*value, double floor) {
    apps::PlotPanel panel{title, "steps", title, true, {}};
    for (std::size_t k = 0; k < names.size() * solvers.size(); ++k) {
      const std::string &method = names[k % names.size()], &solver = solvers[k / names.size()];
      const std::string color = color_of(method, k);
      apps::PlotSeries line{method + (solver == "euler" ? "" : ", " + solver), color, {}}, dots{"", color, {}};
      dots.line = false;
      dots.opacity = 0.4;
      line.marker = method == "independent" ? apps::PlotSeries::Marker::circle : apps::PlotSeries::Marker::diamond;
      for (const std::string& setting : settings(report)) {
        const auto rows = select(report, method, setting);
        if (rows.empty() || rows.front()->solver != solver) continue;
        line.points.push_back({static_cast<double>(rows.front()->steps), mean(rows, value)});
        for (const EvaluationRow* row : rows) dots.points.push_back({static_cast<double>(row->steps), row->*value});
      }
      if (line.points.size() < 2) continue;
      if (dots.points.size() > line.points.size()) panel.series.push_back(dots);
      panel.series.push_back(line);
    }
    if (panel.series.empty()) return;
    apps::PlotSeries dashed{"train vs test", "#2c3e50", {}};
    for (const apps::PlotPoint& point : panel.series.back().points) dashed.points.push_back({point.x, floor});
    dashed.dashed = true;
    dashed.marker = apps::PlotSeries::Marker::none;
    panel.series.push_back(dashed);
    panels.push_back(panel);
  };
  add("sliced W2", &EvaluationRow::sliced_w2, report.floor_sliced_w2());
  add("W2", &EvaluationRow::w2, report.floor_w2());
  return panels.empty() ? "" : apps::plot_svg(panels);
}

// One run of each method is enough for the picture.
std::vector<Evaluation> first_of_each_method(const Report& report) {
  std::vector<Evaluation> shown;
  for (const Evaluation& run : report.runs) {
    const auto same = [&](const Evaluation& other) { return other.method() == run.method(); };
    if (std::none_of(shown.begin(), shown.end(), same)) shown.push_back(run);
  }
  return shown;
}

// The steps that a model is shown at.
std::vector<Index> shown_steps(const apps::TrainedModel& model) {
  if (apps::makes_one_step(model.config)) return {1};
  if (model.options.role == flow::Role::velocity) return {1, 4, 16};
  return {1, 2, 4};
}

// For each run a column of grids, few and more steps from the same noise, of its source where it has one. Empty when a
// run shows no images.
apps::Image to_picture(const std::vector<Evaluation>& runs, const Context& context) {
  constexpr Index columns = 10, rows = 4, scale = 2, gap = 20, text = 20;
  std::vector<std::vector<Index>> steps;
  std::vector<std::vector<apps::Image>> grids;
  for (const Evaluation& run : runs) {
    const fs::path checkpoint = run.folder / "checkpoint.h5";
    const apps::TrainedModel trained = apps::load_model(checkpoint);
    require(trained.step == run.step, checkpoint.string(), ": is of step ", trained.step, ", eval.json of step ",
            run.step, "; run sdfm_eval again");
    const std::string obstacle =
        apps::why_no_picture(trained.image, trained.low, trained.high, columns * rows * scale * scale, columns * scale);
    if (!obstacle.empty()) {
      apps::say("sdfm_report", concat(run.folder.string(), ": no samples.png: ", obstacle));
      return {};
    }
    const Matrix<float> x0 =
        apps::starting_points(trained.config.pairing.source_file, trained.options, columns * rows, 0, context);
    steps.push_back(shown_steps(trained));
    grids.emplace_back();
    for (const Index k : steps.back()) {
      const auto samples = apps::generate(trained.options, trained.weights, apps::default_solver(trained.options),
                                          apps::copy_of(x0.view()), {.steps = k, .context = context});
      grids.back().push_back(
          apps::image_grid(samples.x.view(), trained.image, trained.low, trained.high, columns, scale));
    }
    require(grids.back()[0].pixels.size() == grids[0][0].pixels.size(), runs[0].folder.string(), " and ",
            run.folder.string(), " make images of different sizes");
  }
  const Index height = grids[0][0].height, width = grids[0][0].width;
  std::size_t most = 0;
  for (const auto& column : grids) most = std::max(most, column.size());
  apps::Image picture(static_cast<Index>(most) * (height + gap + text) + gap,
                      static_cast<Index>(grids.size()) * (width + gap) + gap, grids[0][0].channels);
  for (std::size_t column = 0; column < grids.size(); ++column) {
    for (std::size_t row = 0; row < grids[column].size(); ++row) {
      const Index y = gap + static_cast<Index>(row) * (height + gap + text);
      const Index x = gap + static_cast<Index>(column) * (width + gap);
      const Index k = steps[column][row];
      const std::string plural = k > 1 ? " steps" : " step";
      apps::draw_text(picture, runs[column].method() + ", " + std::to_string(k) + plural, y, x, scale);
      apps::paste(picture, grids[column][row], y + text, x);
    }
  }
  return picture;
}

void require_new_files(const Arguments& a, const fs::path& table, const fs::path& plot, const fs::path& picture) {
  std::vector<apps::FileArgument> inputs = {{"--potentials", a.potentials}};
  for (const fs::path folder : a.runs) {
    for (const char* name : {"eval.json", "metrics.jsonl", "checkpoint.h5", "samples.png"}) {
      inputs.push_back({"the run's", folder / name});
    }
  }
  apps::require_distinct_files(inputs, {{"--out:", table}, {"--out:", plot}, {"--out:", picture}});
}

// All files are on disk before the first one takes its name.
void write_all(const std::vector<std::pair<fs::path, std::string>>& contents) {
  std::deque<data::AtomicFile> files;
  for (const auto& [path, bytes] : contents) files.emplace_back("sdfm_report", path).write(bytes);
  for (data::AtomicFile& file : files) file.commit();
}

void report_runs(const Arguments& a) {
  const fs::path out = a.out, table = out / "table.json", plot = out / "quality.svg", picture = out / "samples.png";
  require_new_files(a, table, plot, picture);
  data::require_writable("sdfm_report", table);
  const Report report = collect(a);
  std::vector<std::pair<fs::path, std::string>> files = {{table, to_json(report)}};
  if (const std::string svg = to_plot(report); !svg.empty()) {
    files.push_back({plot, svg});
  } else {
    apps::say("sdfm_report", "no quality.svg: no run was evaluated at two numbers of steps");
  }
  const apps::Image image = to_picture(first_of_each_method(report), {.threads = a.threads});
  if (!image.pixels.empty()) files.push_back({picture, apps::encode_png(image)});
  write_all(files);
  std::printf("%s", to_table(report).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Puts evaluated runs side by side: a table on standard output, and in the folder --out table.json, quality.svg\n"
      "(quality against steps) and samples.png (the first run of each method at few steps: 1, 4 and 16 of Euler, 1, 2 "
      "and\n"
      "4 of a flow map, the one of a neural flow). Runs differ in coupling, objective or seed.\n"
      "A run's folder needs checkpoint.h5 and metrics.jsonl, as sdfm_train leaves them, and eval.json of sdfm_eval.\n",
      "sdfm_report"};
  app.footer(
      "Example:\n  sdfm_report runs/demo/independent-0 runs/demo/semidiscrete-0 --out runs/demo\n\n"
      "Runs have to be measured alike: the same points, and as many, with the same floor. The files are written all "
      "or\n"
      "none. Exit status: 0 when done, 1 for an error, 2 for wrong usage, 130 after Ctrl-C.");
  Arguments a;
  app.add_option("runs", a.runs, "Folders of runs")->required()->type_name("DIR...");
  app.add_option("--potentials", a.potentials, "JSON summary of ot_fit, taken into table.json")->type_name("FILE.json");
  app.add_option("--out", a.out, "Folder to write to, which must exist")->required()->type_name("DIR");
  app.add_option("--threads", a.threads, "CPU threads; 0 = all")
      ->type_name("N")
      ->check(apps::at_least<int>(0))
      ->capture_default_str();
  return apps::run_main(app, argc, argv, [&] { report_runs(a); });
}
