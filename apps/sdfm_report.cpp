// sdfm_report: puts evaluated runs side by side, in a table, a plot and a picture.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdint>
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
#include "monge/apps/common/starting_points.h"
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

  const EvaluationRow& floor() const { return runs.front().floor; }
  const std::string& features() const { return runs.front().features_digest; }  // empty: none
};

// A column of a table.
struct Measure {
  const char* name;
  double EvaluationRow::*value;
  int digits;
};

const std::vector<Measure> distances = {{"sliced W2", &EvaluationRow::sliced_w2, 4}, {"W2", &EvaluationRow::w2, 2}};
const std::vector<Measure> feature_figures = {{"F-FID", &EvaluationRow::f_fid, 2},
                                              {"KID", &EvaluationRow::kid, 3},
                                              {"precision", &EvaluationRow::precision, 3},
                                              {"recall", &EvaluationRow::recall, 3}};

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

void add_figures(Json& json, const Report& report, const EvaluationRow& r) {
  json["sliced_w2"] = r.sliced_w2;
  json["w2"] = r.w2;
  if (report.features().empty()) return;
  json["f_fid"] = r.f_fid;
  json["kid"] = r.kid;
  json["kid_error"] = r.kid_error;
  json["precision"] = r.precision;
  json["recall"] = r.recall;
}

std::string to_json(const Report& report) {
  Json rows = Json::array(), floor;
  for (const EvaluationRow& r : report.rows) {
    Json row = {{"coupling", r.coupling}, {"objective", r.objective}, {"seed", r.seed},
                {"solver", r.solver},     {"steps", r.steps},         {"nfe", r.nfe}};
    if (!std::isnan(r.guidance)) row["guidance"] = r.guidance;
    add_figures(row, report, r);
    row["train_seconds"] = r.train_seconds;
    row["step_ms"] = r.step_ms;
    rows.push_back(std::move(row));
  }
  add_figures(floor, report, report.floor());
  Json whole = {{"potentials", report.potentials}, {"rows", rows}, {"floor", floor}};
  if (!report.features().empty()) whole["features_digest"] = report.features();
  return apps::json_text(whole);
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
std::string change(const Report& report, const std::vector<std::string>& names, const std::string& setting,
                   double EvaluationRow::*value) {
  const auto first = select(report, names[0], setting), second = select(report, names[1], setting);
  if (first.empty() || second.empty()) return "-";
  const double ratio = mean(second, value) / mean(first, value);
  return apps::fixed(100 * (ratio - 1), 0) + "%";
}

// The measures side by side, each of all methods; of two methods the change in the first measure.
std::vector<Line> to_lines(const Report& report, const std::vector<Measure>& measures) {
  const std::vector<std::string> names = methods(report);
  const auto compares = [&](const Measure& m) { return names.size() == 2 && &m == &measures.front(); };
  std::vector<Line> table = {{"sampler"}, {}};
  for (const Measure& m : measures) {
    for (const std::string& name : names) table[0].push_back((name == names[0] ? concat(m.name, ": ") : "") + name);
    if (compares(m)) table[0].push_back("change");
  }
  for (const std::string& setting : settings(report)) {
    Line line = {setting};
    for (const Measure& m : measures) {
      for (const std::string& name : names) line.push_back(cell(select(report, name, setting), m.value, m.digits));
      if (compares(m)) line.push_back(change(report, names, setting, m.value));
    }
    table.push_back(line);
  }
  Line floor = {"train vs test"};
  for (const Measure& m : measures) {
    floor.push_back(apps::fixed(report.floor().*m.value, m.digits));
    floor.resize(floor.size() + names.size() - 1 + (compares(m) ? 1 : 0));
  }
  table.insert(table.end(), {{}, floor});
  return table;
}

std::string to_table(const Report& report) {
  std::vector<Line> table = to_lines(report, distances);
  Line step_ms = {"ms per step"};
  for (const std::string& name : methods(report)) {  // each at its own first setting: methods may share none
    const auto own = std::find_if(report.rows.begin(), report.rows.end(),
                                  [&](const EvaluationRow& row) { return row.method() == name; });
    step_ms.push_back(cell(select(report, name, own->setting()), &EvaluationRow::step_ms, 1));
  }
  step_ms.resize(table[0].size());
  table.push_back(step_ms);
  const std::string text = apps::format_table(table);
  return report.features().empty() ? text : text + "\n" + apps::format_table(to_lines(report, feature_figures));
}

std::string color_of(const std::string& method, std::size_t line) {
  if (method == "independent") return "#888888";
  if (method == "semidiscrete") return "#c0392b";
  const std::vector<std::string> others = {"#2980b9", "#27ae60", "#8e44ad", "#d35400", "#16a085", "#7f6000"};
  return others[line % others.size()];
}

// Quality against steps, a panel a measure, one line per method and solver through the means, a dot per seed, the floor
// dashed. Empty when no run has two numbers of steps.
std::string to_plot(const Report& report) {
  const std::vector<std::string> solvers = {"euler", apps::map_solver};
  const std::vector<std::string> names = methods(report);
  std::vector<apps::PlotPanel> panels;
  const auto add = [&](const Measure& m) {
    apps::PlotPanel panel{m.name, "steps", m.name, true, {}};
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
        line.points.push_back({static_cast<double>(rows.front()->steps), mean(rows, m.value)});
        for (const EvaluationRow* row : rows) dots.points.push_back({static_cast<double>(row->steps), row->*m.value});
      }
      if (line.points.size() < 2) continue;
      if (dots.points.size() > line.points.size()) panel.series.push_back(dots);
      panel.series.push_back(line);
    }
    if (panel.series.empty()) return;
    apps::PlotSeries dashed{"train vs test", "#2c3e50", {}};
    for (const apps::PlotPoint& point : panel.series.back().points)
      dashed.points.push_back({point.x, report.floor().*m.value});
    dashed.dashed = true;
    dashed.marker = apps::PlotSeries::Marker::none;
    panel.series.push_back(dashed);
    panels.push_back(panel);
  };
  for (const Measure& m : distances) add(m);
  if (!report.features().empty()) add(feature_figures.front());
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
  if (model.options.role == flow::Role::velocity) return {1, 4, 16};
  const apps::MapSteps allowed = apps::map_steps(model.config);
  if (allowed.one) return {1};
  return {allowed.fewest, 2 * allowed.fewest, 4 * allowed.fewest};
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
    std::vector<std::int32_t> labels;  // a column of each class, where the run was measured by classes
    for (Index i = 0; i < columns * rows && !std::isnan(run.guidance); ++i)
      labels.push_back(static_cast<std::int32_t>(i % columns % trained.options.classes));
    const apps::Start start{.labels = labels, .count = columns * rows};
    const Matrix<float> x0 = apps::starting_points(trained.config, trained.options, start, context);
    steps.push_back(shown_steps(trained));
    grids.emplace_back();
    for (const Index k : steps.back()) {
      const auto samples =
          apps::generate(trained.options, trained.weights, apps::default_solver(trained.options),
                         apps::copy_of(x0.view()), {.steps = k, .context = context}, {labels, run.guidance});
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

// All files are on disk before the first one takes its name; the folder is made for them.
void write_all(const std::vector<std::pair<fs::path, std::string>>& contents) {
  std::error_code failed;
  const fs::path folder = contents.front().first.parent_path();
  fs::create_directories(folder, failed);
  if (failed) throw Error(Errc::io, concat(folder.string(), ": cannot make the folder: ", failed.message()));
  std::deque<data::AtomicFile> files;
  for (const auto& [path, bytes] : contents) files.emplace_back("sdfm_report", path).write(bytes);
  for (data::AtomicFile& file : files) file.commit();
}

void report_runs(const Arguments& a) {
  const fs::path out = a.out, table = out / "table.json", plot = out / "quality.svg", picture = out / "samples.png";
  require_new_files(a, table, plot, picture);
  if (fs::exists(out)) data::require_writable("sdfm_report", table);
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
  app.add_option("--out", a.out, "Folder to write to; made where there is none")->required()->type_name("DIR");
  apps::add_threads(app, a.threads);
  return apps::run_main(app, argc, argv, [&] { report_runs(a); });
}
