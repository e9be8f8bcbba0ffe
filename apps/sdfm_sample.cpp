// sdfm_sample: draws samples from a trained model.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "monge/apps/common/device.h"
#include "monge/apps/common/distinct_files.h"
#include "monge/apps/common/fitted.h"
#include "monge/apps/common/generate.h"
#include "monge/apps/common/generate_map.h"
#include "monge/apps/common/image.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/starting_points.h"
#include "monge/apps/common/trained_model.h"
#include "monge/apps/common/validators.h"
#include "monge/data/atomic_file.h"
#include "monge/data/dataset.h"
#include "monge/data/npy.h"
#include "monge/data/pairs.h"
#include "monge/ot/core/error.h"

namespace {

using namespace monge;

struct Arguments {
  std::string checkpoint, out, pairs, source, invert, solver, device = "auto";
  std::string classes;                      // a number, "all", or empty: none
  Index count = 0, steps = 0, columns = 0;  // 0: what suits
  std::vector<double> guidance = {1};
  std::uint64_t seed = 0;
  flow::SampleOptions run;  // tolerances
  bool raw = false;
  int threads = 0;
};

Index count_of(const Arguments& a, const apps::TrainedModel& trained, Index inverted) {
  if (a.count > 0) return a.count;
  if (inverted > 0) return inverted;
  return a.classes == "all" ? 10 * trained.options.classes : 64;
}

// Of a picture: square, or a row for each class.
Index columns_of(const Arguments& a, Index count, Index classes) {
  require(a.columns <= count, "--columns ", a.columns, ": there are ", count, " samples");
  if (a.columns > 0) return a.columns;
  if (a.classes == "all") return count / classes;
  return static_cast<Index>(std::ceil(std::sqrt(static_cast<double>(count))));
}

// The class of each sample: all of one, or as many of each in turn. Empty: none.
std::vector<std::int32_t> labels_of(const Arguments& a, Index count, Index classes) {
  if (a.classes.empty()) return {};
  require(classes > 0, "--class: the model has no classes");
  std::vector<std::int32_t> labels(static_cast<std::size_t>(count));
  if (a.classes == "all") {
    require(count % classes == 0, "--count ", count, ": must be a multiple of the model's ", classes, " classes");
    for (Index i = 0; i < count; ++i)
      labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i / (count / classes));
    return labels;
  }
  const Index label = std::stoll(a.classes);
  require(label < classes, "--class: class ", label, " of ", classes);
  std::fill(labels.begin(), labels.end(), static_cast<std::int32_t>(label));
  return labels;
}

// The test points (training points if there are none) of the data file to invert; nothing where there is none.
data::Split points_to_invert(const Arguments& a, const apps::TrainedModel& trained, const std::string& solver) {
  if (a.invert.empty()) return {};
  require(solver != apps::map_solver, "--invert goes along a velocity, not by --solver map");
  require(a.source.empty() && a.pairs.empty(), "--invert starts from the data: no --source, no --pairs");
  data::Dataset dataset = data::load_dataset(a.invert);
  require(dataset.dims() == trained.options.dimensions, a.invert, ": points of ", dataset.dims(),
          " dimensions, the model has ", trained.options.dimensions);
  data::Split split = dataset.test.rows() > 0 ? std::move(dataset.test) : std::move(dataset.train);
  require(a.count <= split.rows(), a.invert, ": has ", split.rows(), " points, --count is ", a.count);
  return split;
}

// A grid for each guidance, side by side, named where there are several.
apps::Image to_picture(const Arguments& a, const apps::TrainedModel& trained,
                       const std::vector<apps::Generated>& samples, Index columns) {
  std::vector<apps::Image> grids;
  for (const apps::Generated& s : samples)
    grids.push_back(apps::image_grid(s.x.view(), trained.image, trained.low, trained.high, columns));
  if (grids.size() == 1) return grids[0];
  constexpr Index gap = 12, text = 14;
  const Index height = grids[0].height, width = grids[0].width + gap;
  apps::Image picture(height + text, static_cast<Index>(grids.size()) * width - gap, grids[0].channels);
  for (std::size_t k = 0; k < grids.size(); ++k) {
    const Index x = static_cast<Index>(k) * width;
    apps::draw_text(picture, concat("guidance ", a.guidance[k]), 2, x);
    apps::paste(picture, grids[k], text, x);
  }
  return picture;
}

void write_dataset(const Arguments& a, const apps::TrainedModel& trained, Matrix<float> x,
                   std::vector<std::int32_t> labels, data::Pairs pairs) {
  data::Dataset dataset;
  const Index count = x.rows();
  dataset.train.x = std::move(x);
  dataset.train.labels = std::move(labels);
  dataset.image = trained.image;
  dataset.source = "samples of " + a.checkpoint;
  if (!a.pairs.empty()) {
    pairs.labels = dataset.train.labels;  // x0 is of the class that it goes to
    pairs.dataset_digest = data::content_digest(dataset);
    pairs.atoms.resize(static_cast<std::size_t>(count));
    std::iota(pairs.atoms.begin(), pairs.atoms.end(), 0);
    data::save_pairs(pairs, a.pairs);
  }
  data::save_dataset(dataset, a.out);
}

void sample(const Arguments& a) {
  const std::string kind = std::filesystem::path(a.out).extension();
  require(kind == ".png" || kind == ".npy" || kind == ".h5", a.out, ": samples are written as .png, .npy or .h5");
  require(kind == ".png" || a.columns == 0, "--columns is of a picture, ", a.out, " is none");
  require(kind == ".png" || a.guidance.size() == 1, "several --guidance make a picture, ", a.out, " is none");
  apps::require_distinct_files({{"the checkpoint", a.checkpoint}, {"--source", a.source}, {"--invert", a.invert}},
                               {{"--out", a.out}, {"--pairs", a.pairs}});
  require(a.pairs.empty() || kind == ".h5", "--pairs goes with samples in a data file (.h5), not ", a.out);
  data::require_writable("sdfm_sample", a.out);
  if (!a.pairs.empty()) data::require_writable("sdfm_sample", a.pairs);
  require(a.guidance == std::vector<double>{1} || !a.classes.empty(), "--guidance needs a --class to go to");
  const Context context = apps::choose_device(a.device, a.threads);
  const apps::TrainedModel trained = apps::load_model(a.checkpoint, !a.raw);
  const std::string solver = a.solver.empty() ? apps::default_solver(trained.options) : a.solver;
  const bool adaptive = solver == "dopri5";
  require(!adaptive || a.steps == 0, "--steps ", a.steps, ": dopri5 chooses its own; see --rtol and --atol");
  require(adaptive || apps::default_tolerances(a.run), "--rtol and --atol are of --solver dopri5, not ", solver);
  const Index usual = solver == apps::map_solver ? apps::nearest(apps::map_steps(trained.config), 16) : 16;
  const Index steps = a.steps > 0 ? a.steps : usual;
  apps::check_steps(solver, steps, trained);
  const data::Split inverted = points_to_invert(a, trained, solver);
  const Index count = count_of(a, trained, inverted.rows()), classes = trained.options.classes;
  std::vector<std::int32_t> labels = labels_of(a, count, classes);
  if (labels.empty()) apps::check_without_class("without --class", trained.config);
  for (const double guidance : a.guidance)
    if (guidance != 1) apps::check_without_class(concat("--guidance ", guidance), trained.config);
  const Index columns = columns_of(a, count, classes);
  if (kind == ".png") {
    const std::string obstacle = apps::why_no_picture(trained.image, trained.low, trained.high,
                                                      count * static_cast<Index>(a.guidance.size()), columns);
    require(obstacle.empty(), a.checkpoint, ": no picture: ", obstacle, "; write .npy or .h5");
  }

  apps::announce_device("sdfm_sample", a.device, context);
  const apps::Start start{.file = a.source, .labels = labels, .count = count, .seed = a.seed};
  const Matrix<float> x0 = a.invert.empty() ? apps::starting_points(trained.config, trained.options, start, context)
                                            : apps::copy_of(inverted.x.view().rows_from(0, count));
  flow::SampleOptions run = a.run;
  run.steps = steps;
  run.context = context;
  if (!a.invert.empty()) std::swap(run.t0, run.t1);
  std::vector<apps::Generated> samples;
  double seconds = 0;
  for (const double guidance : a.guidance) {
    samples.push_back(
        apps::generate(trained.options, trained.weights, solver, apps::copy_of(x0.view()), run, {labels, guidance}));
    seconds += samples.back().seconds;
  }
  if (kind == ".png") {
    apps::write_png(a.out, to_picture(a, trained, samples, columns));
  } else if (kind == ".npy") {
    data::write_npy(a.out, samples[0].x.view());
  } else {
    data::Pairs pairs;
    if (!a.pairs.empty()) {
      const bool normal =
          apps::start_file(trained.config, a.source).empty() && flow::start_deviation(trained.options.path) == 1;
      pairs.x0 = apps::copy_of(x0.view());
      pairs.source_law = normal ? apps::standard_normal : "";
    }
    write_dataset(a, trained, std::move(samples[0].x), std::move(labels), std::move(pairs));
  }
  std::printf("%s: %lld samples, %s, %lld network evaluations, %.1f s\n", a.out.c_str(),
              static_cast<long long>(count) * static_cast<long long>(samples.size()), solver.c_str(),
              static_cast<long long>(samples[0].run.nfe), seconds);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Draws samples from a model that sdfm_train has trained, by integrating its velocity from noise to data.\n"
      "The same seed starts from the same noise, whatever the model and the solver.\n",
      "sdfm_sample"};
  app.footer(
      "Examples:\n"
      "  sdfm_sample runs/sd/checkpoint.h5 --out samples.png --steps 4\n"
      "  sdfm_sample runs/sd/checkpoint.h5 --out samples.npy --count 10000 --solver dopri5\n"
      "  sdfm_sample runs/classes/checkpoint.h5 --out classes.png --class all --guidance 1,2,3\n\n"
      "Exit status: 0 when done, 1 for an error, 2 for wrong usage, 130 after Ctrl-C, which leaves no file.");
  Arguments a;
  app.add_option("checkpoint", a.checkpoint, "Checkpoint of a run")->required()->type_name("CHECKPOINT.h5");
  app.add_option("--out", a.out, "Where to: a grid (.png), float32 rows (.npy), or a data file (.h5)")
      ->required()
      ->type_name("FILE");
  app.add_option("--count", a.count, "Number of samples")
      ->type_name("N")
      ->check(apps::in_range<Index>(1, 1'000'000'000))
      ->default_str("64; 10 of each class with --class all");
  std::vector<std::string> solvers = flow::solver_names();
  solvers.push_back(apps::map_solver);
  app.add_option("--solver", a.solver,
                 "euler, midpoint, heun, rk4, dopri5, or map: jumps of a flow map. Left out: euler, or map")
      ->type_name("S")
      ->check(CLI::IsMember(solvers));
  app.add_option("--steps", a.steps,
                 "Steps of all but dopri5, jumps of a map. Left out: 16, or what the map has learnt")
      ->type_name("K")
      ->check(apps::at_least<Index>(1));
  apps::add_tolerances(app, a.run);
  const auto number_or_all = [](const std::string& text) {
    std::string number = text;
    return text == "all" ? std::string() : apps::at_least<Index>(0)(number);
  };
  app.add_option("--class", a.classes,
                 "Of all samples, of a model with classes; all: as many of each in turn, a row of a picture each.\n"
                 "Left out: none")
      ->type_name("K|all")
      ->check(number_or_all);
  app.add_option("--guidance", a.guidance,
                 "Towards --class: without + G (with - without); several by commas: pictures side by side")
      ->type_name("G")
      ->delimiter(',')
      ->check(apps::finite())
      ->default_str("1");
  app.add_option("--pairs", a.pairs,
                 "With a data file: also each sample with what it started from, to train on (coupling pairs: reflow)")
      ->type_name("FILE.h5");
  app.add_option("--source", a.source,
                 "Start from the test points of this data file (training points if it has none); left out: from the\n"
                 "source of the run's coupling, or noise")
      ->type_name("FILE.h5");
  app.add_option("--invert", a.invert,
                 "The other way: from the test points of this data file (training points if it has none) to the noise\n"
                 "that the velocity brings to them")
      ->type_name("FILE.h5");
  app.add_option("--columns", a.columns, "Columns of the grid, at most --count; 0 = square, or a row for each class")
      ->type_name("C")
      ->check(apps::at_least<Index>(0))
      ->capture_default_str();
  app.add_option("--seed", a.seed, "Of the noise")
      ->type_name("N")
      ->check(apps::at_least<std::int64_t>(0))
      ->capture_default_str();
  app.add_flag("--raw", a.raw, "Use the weights as trained, not their average");
  app.add_option("--device", a.device, "auto, cpu or cuda:N")->type_name("D")->capture_default_str();
  apps::add_threads(app, a.threads);
  return apps::run_main(app, argc, argv, [&] { sample(a); });
}
