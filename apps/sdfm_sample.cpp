// sdfm_sample: draws samples from a trained model.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <string>

#include "monge/apps/common/device.h"
#include "monge/apps/common/distinct_files.h"
#include "monge/apps/common/generate.h"
#include "monge/apps/common/generate_map.h"
#include "monge/apps/common/image.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/trained_model.h"
#include "monge/apps/common/validators.h"
#include "monge/data/atomic_file.h"
#include "monge/data/dataset.h"
#include "monge/data/pairs.h"
#include "monge/ot/core/error.h"

namespace {

using namespace monge;

struct Arguments {
  std::string checkpoint, out, pairs, source, solver, device = "auto";
  Index count = 64, steps = 0, columns = 0, label = -1;
  double guidance = 1;
  std::uint64_t seed = 0;
  bool raw = false;
  int threads = 0;
};

// The NumPy format, version 1.0: a header padded to 64 bytes, then little-endian float32.
std::string npy(MatrixView<const float> x) {
  static_assert(std::endian::native == std::endian::little);
  std::string header = concat("{'descr': '<f4', 'fortran_order': False, 'shape': (", x.rows, ", ", x.cols, "), }");
  header.append(63 - (10 + header.size()) % 64, ' ').append("\n");
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  for (Index i = 0; i < x.rows; ++i) {
    bytes.append(reinterpret_cast<const char*>(x.row(i)), static_cast<std::size_t>(x.cols) * sizeof(float));
  }
  return bytes;
}

Index columns_of(const Arguments& a) {
  const Index square = static_cast<Index>(std::ceil(std::sqrt(static_cast<double>(a.count))));
  return std::min(a.count, a.columns > 0 ? a.columns : square);
}

void sample(const Arguments& a) {
  const std::string kind = std::filesystem::path(a.out).extension();
  require(kind == ".png" || kind == ".npy" || kind == ".h5", a.out, ": samples are written as .png, .npy or .h5");
  require(kind == ".png" || a.columns == 0, "--columns is of a picture, ", a.out, " is none");
  apps::require_distinct_files({{"the checkpoint", a.checkpoint}, {"--source", a.source}},
                               {{"--out", a.out}, {"--pairs", a.pairs}});
  require(a.pairs.empty() || kind == ".h5", "--pairs goes with samples in a data file (.h5), not ", a.out);
  data::require_writable("sdfm_sample", a.out);
  if (!a.pairs.empty()) data::require_writable("sdfm_sample", a.pairs);
  require(a.guidance == 1 || a.label >= 0, "--guidance needs a --class to go to");
  const Context context = apps::choose_device(a.device, a.threads);
  const apps::TrainedModel trained = apps::load_model(a.checkpoint, !a.raw);
  if (kind == ".png") {
    const std::string obstacle = apps::why_no_picture(trained.image, trained.low, trained.high, a.count, columns_of(a));
    require(obstacle.empty(), a.checkpoint, ": no picture: ", obstacle, "; write .npy or .h5");
  }

  apps::announce_device("sdfm_sample", a.device, context);
  const std::string solver = a.solver.empty() ? apps::default_solver(trained.options) : a.solver;
  const Index steps = a.steps > 0 ? a.steps : apps::makes_one_step(trained.config) ? 1 : 16;
  Matrix<float> x0 = apps::starting_points(a.source, trained.options, a.count, a.seed, context);
  data::Pairs pairs;
  if (!a.pairs.empty()) pairs.x0 = apps::copy_of(x0.view());
  apps::Generated samples = apps::generate(trained.options, trained.weights, solver, std::move(x0),
                                           {.steps = steps, .context = context}, {a.label, a.guidance});
  if (kind == ".png") {
    apps::write_png(a.out, apps::image_grid(samples.x.view(), trained.image, trained.low, trained.high, columns_of(a)));
  } else if (kind == ".npy") {
    data::write_text("sdfm_sample", a.out, npy(samples.x.view()));
  } else {
    data::Dataset dataset;
    dataset.train.x = std::move(samples.x);
    dataset.image = trained.image;
    dataset.source = "samples of " + a.checkpoint;
    if (!a.pairs.empty()) {
      pairs.dataset_digest = data::content_digest(dataset);
      pairs.atoms.resize(static_cast<std::size_t>(a.count));
      std::iota(pairs.atoms.begin(), pairs.atoms.end(), 0);
      data::save_pairs(pairs, a.pairs);
    }
    data::save_dataset(dataset, a.out);
  }
  std::printf("%s: %lld samples, %s, %lld network evaluations, %.1f s\n", a.out.c_str(),
              static_cast<long long>(a.count), solver.c_str(), static_cast<long long>(samples.run.nfe),
              samples.seconds);
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
      "  sdfm_sample runs/sd/checkpoint.h5 --out samples.npy --count 10000 --solver dopri5\n\n"
      "Exit status: 0 when done, 1 for an error, 2 for wrong usage, 130 after Ctrl-C, which leaves no file.");
  Arguments a;
  app.add_option("checkpoint", a.checkpoint, "Checkpoint of a run")->required()->type_name("CHECKPOINT.h5");
  app.add_option("--out", a.out, "Where to: a grid (.png), float32 rows (.npy), or a data file (.h5)")
      ->required()
      ->type_name("FILE");
  app.add_option("--count", a.count, "Number of samples")
      ->type_name("N")
      ->check(apps::in_range<Index>(1, 1'000'000'000))
      ->capture_default_str();
  std::vector<std::string> solvers = flow::solver_names();
  solvers.push_back(apps::map_solver);
  app.add_option("--solver", a.solver,
                 "euler, midpoint, heun, rk4, dopri5, or map: jumps of a flow map. Left out: euler, or map")
      ->type_name("S")
      ->check(CLI::IsMember(solvers));
  app.add_option("--steps", a.steps, "Steps of all but dopri5, jumps of a map. Left out: 16, or 1 of a one-step map")
      ->type_name("K")
      ->check(apps::at_least<Index>(1));
  app.add_option("--class", a.label, "Of all samples, of a model with classes; left out: none")
      ->type_name("K")
      ->check(apps::at_least<Index>(0));
  app.add_option("--guidance", a.guidance, "Towards --class: without + G (with - without)")
      ->type_name("G")
      ->check(CLI::Number)
      ->capture_default_str();
  app.add_option("--pairs", a.pairs,
                 "With a data file: also each sample with what it started from, to train on (coupling pairs: reflow)")
      ->type_name("FILE.h5");
  app.add_option("--source", a.source,
                 "Start from the test points of this data file (training points if it has none) instead of noise")
      ->type_name("FILE.h5");
  app.add_option("--columns", a.columns, "Columns of the grid, at most --count; 0 = square")
      ->type_name("C")
      ->check(apps::at_least<Index>(0))
      ->capture_default_str();
  app.add_option("--seed", a.seed, "Of the noise")
      ->type_name("N")
      ->check(apps::at_least<std::int64_t>(0))
      ->capture_default_str();
  app.add_flag("--raw", a.raw, "Use the weights as trained, not their average");
  app.add_option("--device", a.device, "auto, cpu or cuda:N")->type_name("D")->capture_default_str();
  app.add_option("--threads", a.threads, "CPU threads; 0 = all")
      ->type_name("N")
      ->check(apps::at_least<int>(0))
      ->capture_default_str();
  return apps::run_main(app, argc, argv, [&] { sample(a); });
}
