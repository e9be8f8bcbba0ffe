// sdfm_report: puts evaluated runs side by side, in a table, a plot and a picture.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "monge/apps/common/generate.h"
#include "monge/apps/common/image.h"
#include "monge/apps/common/metrics_log.h"
#include "monge/apps/common/plot.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/table.h"
#include "monge/apps/common/trained_model.h"
#include "monge/data/atomic_file.h"
#include "monge/ot/core/error.h"

namespace {

using namespace monge;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

struct Arguments {
  std::vector<std::string> runs;
  std::string potentials, out;
  int threads = 0;
};

struct Row {
  std::string coupling, solver;
  std::uint64_t seed = 0;
  Index steps = 0, nfe = 0;
  double sliced_w2 = 0, w2 = 0, train_seconds = 0, step_ms = 0;

  std::string setting() const { return solver == "dopri5" ? solver : solver + "-" + std::to_string(steps); }
};

struct Report {
  std::vector<Row> rows;
  Json floor, potentials;
};

Json read_json(const fs::path& path) {
  std::ifstream file(path);
  if (!file) throw Error(Errc::io, path.string() + ": cannot be read");
  try {
    return Json::parse(file);
  } catch (const Json::exception& e) {
    throw Error(Errc::bad_file, path.string() + ": " + e.what());
  }
}

Report collect(const Arguments& a) {
  Report report;
  if (!a.potentials.empty()) report.potentials = read_json(a.potentials);
  for (const fs::path folder : a.runs) {
    const Json eval = read_json(folder / "eval.json");
    const std::vector<apps::StepRecord> steps = apps::read_metrics(folder / "metrics.jsonl");
    require(!steps.empty(), folder.string(), ": metrics.jsonl is empty");
    try {
      for (const Json& row : eval.at("rows")) {
        report.rows.push_back({eval.at("coupling"), row.at("solver"), eval.at("seed"), row.at("steps"), row.at("nfe"),
                               row.at("sliced_w2"), row.at("w2"), steps.back().seconds,
                               1e3 * steps.back().seconds / static_cast<double>(steps.back().step)});
      }
      report.floor = eval.at("floor");
    } catch (const Json::exception& e) {
      throw Error(Errc::bad_file, (folder / "eval.json").string() + ": " + e.what());
    }
  }
  return report;
}

std::string to_json(const Report& report) {
  Json rows = Json::array();
  for (const Row& r : report.rows) {
    rows.push_back({{"coupling", r.coupling},
                    {"seed", r.seed},
                    {"solver", r.solver},
                    {"steps", r.steps},
                    {"nfe", r.nfe},
                    {"sliced_w2", r.sliced_w2},
                    {"w2", r.w2},
                    {"train_seconds", r.train_seconds},
                    {"step_ms", r.step_ms}});
  }
  return Json{{"potentials", report.potentials}, {"rows", rows}, {"floor", report.floor}}.dump(2) + "\n";
}

// The rows of one coupling at one setting, one per seed; their mean.
std::vector<const Row*> select(const Report& report, const std::string& coupling, const std::string& setting) {
  std::vector<const Row*> found;
  for (const Row& row : report.rows) {
    if (row.coupling == coupling && row.setting() == setting) found.push_back(&row);
  }
  return found;
}

double mean(const std::vector<const Row*>& rows, double Row::*value) {
  double sum = 0;
  for (const Row* row : rows) sum += row->*value;
  return sum / static_cast<double>(rows.size());
}

std::vector<std::string> settings(const Report& report) {
  std::vector<std::string> names;
  for (const Row& row : report.rows) {
    if (std::find(names.begin(), names.end(), row.setting()) == names.end()) names.push_back(row.setting());
  }
  return names;
}

std::string cell(const std::vector<const Row*>& rows, double Row::*value, int digits) {
  if (rows.empty()) return "-";
  std::string text = apps::fixed(mean(rows, value), digits);
  if (rows.size() == 1) return text;
  text += " (";
  for (const Row* row : rows) text += (row == rows.front() ? "" : " ") + apps::fixed(row->*value, digits);
  return text + ")";
}

std::string to_table(const Report& report) {
  std::vector<std::vector<std::string>> table = {
      {"sampler", "sliced W2: independent", "semidiscrete", "change", "W2: independent", "semidiscrete"}, {}};
  for (const std::string& setting : settings(report)) {
    const auto plain = select(report, "independent", setting), paired = select(report, "semidiscrete", setting);
    std::string change = "-";
    if (!plain.empty() && !paired.empty()) {
      change = apps::fixed(100 * (mean(paired, &Row::sliced_w2) / mean(plain, &Row::sliced_w2) - 1), 0) + "%";
    }
    table.push_back({setting, cell(plain, &Row::sliced_w2, 4), cell(paired, &Row::sliced_w2, 4), change,
                     cell(plain, &Row::w2, 2), cell(paired, &Row::w2, 2)});
  }
  const std::string first = report.rows.front().setting();
  const auto plain = select(report, "independent", first), paired = select(report, "semidiscrete", first);
  table.push_back({});
  table.push_back({"train vs test", apps::fixed(report.floor.at("sliced_w2"), 4), "", "",
                   apps::fixed(report.floor.at("w2"), 2), ""});
  table.push_back({"ms per step", cell(plain, &Row::step_ms, 1), cell(paired, &Row::step_ms, 1), "", "", ""});
  return apps::format_table(table);
}

// Quality against steps, both metrics, one line per coupling through the means, a dot per seed, the floor dashed.
std::string to_plot(const Report& report) {
  const std::map<std::string, std::string> colors = {{"independent", "#888888"}, {"semidiscrete", "#c0392b"}};
  std::vector<apps::PlotPanel> panels;
  const auto add = [&](const std::string& title, double Row::*value, double floor) {
    apps::PlotPanel panel{title, "Euler steps", title, true, {}};
    for (const auto& [coupling, color] : colors) {
      apps::PlotSeries line{coupling, color, {}}, dots{"", color, {}};
      dots.line = false;
      dots.opacity = 0.4;
      line.marker = coupling == "semidiscrete" ? apps::PlotSeries::Marker::diamond : apps::PlotSeries::Marker::circle;
      for (const std::string& setting : settings(report)) {
        const auto rows = select(report, coupling, setting);
        if (rows.empty() || rows.front()->solver != "euler") continue;
        line.points.push_back({static_cast<double>(rows.front()->steps), mean(rows, value)});
        for (const Row* row : rows) dots.points.push_back({static_cast<double>(row->steps), row->*value});
      }
      if (line.points.size() < 2) continue;
      if (dots.points.size() > line.points.size()) panel.series.push_back(dots);
      panel.series.push_back(line);
    }
    require(!panel.series.empty(), "sdfm_report: nothing to plot: no run has two numbers of Euler steps");
    apps::PlotSeries dashed{"train vs test", "#2c3e50", {}};
    for (const apps::PlotPoint& point : panel.series.back().points) dashed.points.push_back({point.x, floor});
    dashed.dashed = true;
    dashed.marker = apps::PlotSeries::Marker::none;
    panel.series.push_back(dashed);
    panels.push_back(panel);
  };
  add("sliced W2", &Row::sliced_w2, report.floor.at("sliced_w2"));
  add("W2", &Row::w2, report.floor.at("w2"));
  return apps::plot_svg(panels);
}

// For each run a column of grids, 1, 4 and 16 Euler steps from the same noise.
apps::Image to_picture(const std::vector<std::string>& folders, const Context& context) {
  constexpr Index columns = 10, rows = 4, scale = 2, gap = 20, text = 20;
  const std::vector<Index> steps = {1, 4, 16};
  std::vector<std::vector<apps::Image>> grids;
  std::vector<std::string> names;
  for (const fs::path folder : folders) {
    const apps::TrainedModel trained = apps::load_model(folder / "checkpoint.h5");
    if (trained.image.size() == 0) return {};
    flow::VelocityModel model(trained.options, trained.weights, 512, context);
    names.push_back(trained.config.coupling);
    grids.emplace_back();
    for (const Index k : steps) {
      const auto samples = apps::generate(model, columns * rows, 0, {.steps = k, .context = context});
      grids.back().push_back(
          apps::image_grid(samples.x.view(), trained.image, trained.low, trained.high, columns, scale));
    }
  }
  const Index height = grids[0][0].height, width = grids[0][0].width;
  apps::Image picture(static_cast<Index>(steps.size()) * (height + gap + text) + gap,
                      static_cast<Index>(grids.size()) * (width + gap) + gap, grids[0][0].channels);
  for (std::size_t column = 0; column < grids.size(); ++column) {
    for (std::size_t row = 0; row < steps.size(); ++row) {
      const Index y = gap + static_cast<Index>(row) * (height + gap + text);
      const Index x = gap + static_cast<Index>(column) * (width + gap);
      const std::string plural = steps[row] > 1 ? " steps" : " step";
      apps::draw_text(picture, names[column] + ", " + std::to_string(steps[row]) + plural, y, x, scale);
      apps::paste(picture, grids[column][row], y + text, x);
    }
  }
  return picture;
}

void report_runs(const Arguments& a) {
  const fs::path out = a.out;
  const Report report = collect(a);
  data::write_text("sdfm_report", out / "table.json", to_json(report));
  data::write_text("sdfm_report", out / "quality.svg", to_plot(report));
  // One run of each coupling is enough for the picture.
  std::vector<std::string> shown, couplings;
  for (const std::string& folder : a.runs) {
    const std::string coupling = read_json(fs::path(folder) / "eval.json").at("coupling");
    if (std::find(couplings.begin(), couplings.end(), coupling) != couplings.end()) continue;
    couplings.push_back(coupling);
    shown.push_back(folder);
  }
  const apps::Image picture = to_picture(shown, {.threads = a.threads});
  if (!picture.pixels.empty()) apps::write_png(out / "samples.png", picture);
  std::printf("%s", to_table(report).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Puts evaluated runs side by side: a table on standard output, and in the folder --out table.json, quality.svg\n"
      "(quality against steps) and samples.png (the first run of each coupling, 1, 4 and 16 Euler steps).\n"
      "A run's folder needs checkpoint.h5 and metrics.jsonl, as sdfm_train leaves them, and eval.json of sdfm_eval.\n",
      "sdfm_report"};
  app.footer("Example:\n  sdfm_report runs/demo/independent-0 runs/demo/semidiscrete-0 --out runs/demo");
  Arguments a;
  app.add_option("runs", a.runs, "Folders of runs")->required()->type_name("DIR...");
  app.add_option("--potentials", a.potentials, "JSON summary of ot_fit, taken into table.json")->type_name("FILE.json");
  app.add_option("--out", a.out, "Folder to write to")->required()->type_name("DIR");
  app.add_option("--threads", a.threads, "CPU threads; 0 = all")->check(CLI::NonNegativeNumber)->capture_default_str();
  return apps::run_main(app, argc, argv, [&] { report_runs(a); });
}
