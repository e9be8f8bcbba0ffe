// sdfm_train: trains a flow model on a data file, as a config says.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "monge/apps/common/device.h"
#include "monge/apps/common/generate_map.h"
#include "monge/apps/common/image.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/metrics_log.h"
#include "monge/apps/common/pairing.h"
#include "monge/apps/common/progress.h"
#include "monge/apps/common/run_folder.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/starting_points.h"
#include "monge/apps/common/teacher.h"
#include "monge/apps/common/train_config.h"
#include "monge/apps/common/trained_model.h"
#include "monge/apps/common/unused_keys.h"
#include "monge/apps/common/validators.h"
#include "monge/data/atomic_file.h"
#include "monge/data/checkpoint.h"
#include "monge/data/dataset.h"
#include "monge/flow/train.h"
#include "monge/ot/core/error.h"

namespace {

using namespace monge;
using apps::RunFolder;
namespace fs = std::filesystem;

struct Arguments {
  std::string config, out, resume, device = "auto";
  std::vector<std::string> settings;
  std::optional<std::uint64_t> seed;
  int threads = 0;
};

void apply_settings(apps::Config& keys, apps::TrainConfig& config, const Arguments& a) {
  for (const std::string& setting : a.settings) keys.set(setting);
  if (a.seed) config.seed = *a.seed;
}

void refuse_changes(const fs::path& where, const apps::Config& wanted, const apps::Config& own) {
  for (const auto& difference : wanted.differences(own)) {
    require(apps::names_a_place(difference.key), where.string(), ": a resumed run keeps its config: ", difference.text);
  }
}

// The config of a run that goes on: its own. Only where things are may be given anew.
std::optional<data::Checkpoint> read_run(const RunFolder& run, apps::TrainConfig& config, const Arguments& a) {
  apps::Config keys = apps::bind(config);
  std::optional<data::Checkpoint> checkpoint;
  if (fs::exists(run.checkpoint())) {
    checkpoint = data::load_checkpoint(run.checkpoint());
    keys.read_text(checkpoint->config, run.checkpoint().string() + " (config)");
    apps::TrainConfig written;
    apps::Config written_keys = apps::bind(written);
    if (fs::exists(run.config())) {
      written_keys.read_file(run.config());
      apps::inherit_records(config, written);
      apps::inherit_records(written, config);
      refuse_changes(run.config(), written_keys, keys);
      apps::inherit_places(config, written);  // where things were last found
    }
  } else {
    keys.read_file(run.config());  // stopped before its first checkpoint: starts again
  }
  apps::TrainConfig wanted = config;
  apps::Config wanted_keys = apps::bind(wanted);
  if (!a.config.empty()) {
    wanted = apps::TrainConfig{};
    wanted_keys.read_file(a.config);
    apps::inherit_records(wanted, config);
  }
  apply_settings(wanted_keys, wanted, a);
  refuse_changes(run.path(), wanted_keys, keys);
  apps::inherit_places(config, wanted);
  return checkpoint;
}

// Names of files hold wherever the run is resumed from.
void make_absolute(std::string& file) {
  if (!file.empty()) file = fs::absolute(file).lexically_normal().string();
}

// What can be said of a config before its data are read. Throws for names that TOML cannot keep, too.
void check_config(apps::TrainConfig& config) {
  require(!config.data_file.empty(),
          "data.file is not set: name a data file in the config or with --set data.file=FILE");
  apps::refuse_unused_keys(config);
  require(config.pairing.ot_batch % config.train.batch == 0, "coupling.ot_batch is ", config.pairing.ot_batch,
          ", no multiple of train.batch, which is ", config.train.batch);
  for (const apps::Place& place : apps::places(config)) make_absolute(*place.file);
  (void)apps::bind(config).toml();
}

data::Dataset load_data(apps::TrainConfig& config) {
  data::Dataset dataset = data::load_dataset(config.data_file);
  if (config.data_digest.empty()) config.data_digest = dataset.digest;
  require(config.data_digest == dataset.digest, config.data_file, ": these are not the data of the run: digest ",
          dataset.digest, ", data.digest is ", config.data_digest);
  return dataset;
}

// What is written is what a later --resume will read: so it is read back.
void write_config(const RunFolder& run, const apps::Config& keys) {
  data::write_text("sdfm_train", run.config(), keys.toml());
  apps::TrainConfig back;
  apps::Config back_keys = apps::bind(back);
  back_keys.read_file(run.config());
  for (const auto& difference : back_keys.differences(keys)) {
    throw Error(Errc::bad_file, concat(run.config().string(), ": reads back otherwise: ", difference.text));
  }
}

std::string resume_command(const RunFolder& run) { return "sdfm_train --resume " + run.path().string(); }

// Fits the run's own potentials. The config goes first: with it the folder holds a run.
void fit(RunFolder& run, apps::TrainConfig& config, const apps::Config& keys, const data::Dataset& dataset,
         const Context& context) {
  data::require_writable("sdfm_train", run.config());
  const data::PotentialsFile potentials = apps::fit_potentials(config, dataset, context);
  write_config(run, keys);
  data::save_potentials(potentials, run.potentials());
  if (potentials.status == ot::Status::stopped_by_caller) {
    run.keep();
    throw apps::Interrupted(concat("stopped during the fit; ", run.potentials().string(), " holds what it reached; ",
                                   resume_command(run), " fits again"));
  }
}

bool wants_picture(const apps::TrainConfig& config, const data::Dataset& dataset) {
  if (config.sample_rows == 0 || dataset.image.size() == 0) return false;
  const Index rows = config.sample_rows;
  const std::string obstacle = apps::why_no_picture(dataset.image, dataset.low, dataset.high, rows * rows, rows);
  if (!obstacle.empty()) apps::say("sdfm_train", "there will be no samples.png: " + obstacle);
  return obstacle.empty();
}

void write_samples(const RunFolder& run, const flow::Trainer& trainer, const apps::TrainConfig& config,
                   const data::Dataset& dataset, const Context& context) {
  const flow::ModelOptions& model = trainer.options().model;
  const Index steps = apps::nearest(apps::map_steps(config), config.sample_steps);
  const Index count = config.sample_rows * config.sample_rows;
  std::vector<std::int32_t> labels;  // classes in turn, of a model that knows no samples without
  for (Index i = 0; i < count && model.classes > 0 && config.train.objective.label_drop == 0; ++i)
    labels.push_back(static_cast<std::int32_t>(i % config.sample_rows % model.classes));
  Matrix<float> x0 = apps::starting_points(config, model, {.labels = labels, .count = count}, context);
  const apps::Generated samples = apps::generate(model, trainer.ema(), apps::default_solver(model), std::move(x0),
                                                 {.steps = steps, .context = context}, {labels});
  apps::write_png(run.samples(),
                  apps::image_grid(samples.x.view(), dataset.image, dataset.low, dataset.high, config.sample_rows));
}

// Steps until the end or an interrupt, with a line of metrics and a checkpoint every so often.
void run_steps(RunFolder& run, flow::Trainer& trainer, const flow::Coupling& coupling, const apps::TrainConfig& config,
               const std::string& config_text, const data::Dataset& dataset, double& seconds) {
  apps::MetricsLog log(run.metrics(), trainer.steps_done());
  apps::Progress progress("train", "step", static_cast<double>(config.train.steps),
                          static_cast<double>(trainer.steps_done()));
  double logged = seconds;  // up to the last line of the log
  std::uint64_t unlogged = 0;
  while (trainer.steps_done() < config.train.steps) {
    const auto start = std::chrono::steady_clock::now();
    const flow::StepReport report = trainer.step();
    run.keep();  // whatever the config could be refused for was asked for by now
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ++unlogged;
    const bool last = report.step == config.train.steps, stop = apps::interrupted();
    if (last || stop || report.step % config.log_every == 0) {
      const double step_ms = 1e3 * (seconds - logged) / static_cast<double>(unlogged);
      log.append({report.step, report.loss, report.gradient_norm, report.learning_rate, step_ms, seconds});
      logged = seconds;
      unlogged = 0;
    }
    if (last || stop || report.step % config.checkpoint_every == 0) {
      data::save_checkpoint(apps::make_checkpoint(trainer, coupling, config_text, dataset, seconds), run.checkpoint());
    }
    char note[48];
    std::snprintf(note, sizeof note, "loss %.4f", report.loss);
    progress.update(static_cast<double>(report.step), note);
    if (stop && !last) {
      progress.finish();
      throw apps::Interrupted(concat("stopped after step ", report.step, ", saved; ", resume_command(run), " goes on"));
    }
  }
  progress.finish();
}

void train(const Arguments& a) {
  if (a.config.empty() && a.resume.empty()) throw CLI::RequiredError("CONFIG.toml or --resume DIR");
  const bool starts = a.resume.empty();
  apps::TrainConfig config;
  apps::Config keys = apps::bind(config);
  if (starts) {
    keys.read_file(a.config);
    apply_settings(keys, config, a);
    check_config(config);
  }
  const Context context = apps::choose_device(a.device, a.threads);
  const fs::path out = !a.out.empty() ? fs::path(a.out) : fs::path("runs") / fs::path(a.config).stem();
  RunFolder run = starts ? RunFolder::start(out) : RunFolder::resume(a.resume);
  std::optional<data::Checkpoint> checkpoint;
  if (!starts) {
    checkpoint = read_run(run, config, a);
    check_config(config);
  }
  const data::Dataset dataset = load_data(config);
  flow::TrainOptions options = apps::train_options(config, context);
  options.model.dimensions = dataset.dims();
  apps::set_image(options.model, dataset.image);
  if (flow::needs_teacher(options.objective.kind)) {
    apps::load_source(config.pairing, dataset);  // the teacher's is compared with its digest
    options.objective.teacher = apps::load_teacher(config);
  }
  flow::nn::Graph recorded;
  flow::Objective(recorded, options.model, options.objective, options.batch);  // refuses what makes no sense
  flow::TrainingData training(MatrixView<const float>(dataset.train.x.view()));
  training.labels = dataset.train.labels;

  // What is refused from here on, until the first step is made, leaves nothing behind (RunFolder::keep).
  if (apps::needs_fit(config, run.potentials())) fit(run, config, keys, dataset, context);
  const auto coupling = apps::make_coupling(config, dataset, run.potentials(), context);
  flow::Trainer trainer(options, training, *coupling);
  double seconds = 0;
  if (checkpoint) {
    apps::restore(trainer, *coupling, *checkpoint, run.checkpoint().string());
    seconds = checkpoint->scalars["seconds"];
  }
  write_config(run, keys);  // now with what is known of data and potentials
  apps::announce_device("sdfm_train", a.device, context);
  const bool picture = wants_picture(config, dataset);
  run_steps(run, trainer, *coupling, config, keys.toml(), dataset, seconds);
  if (picture) write_samples(run, trainer, config, dataset, context);
  std::printf("%s: %llu steps in %.1f s, %.1f ms a step\n", run.checkpoint().c_str(),
              static_cast<unsigned long long>(trainer.steps_done()), seconds,
              1e3 * seconds / static_cast<double>(std::max<std::uint64_t>(1, trainer.steps_done())));
}

}  // namespace

int main(int argc, char** argv) {
  apps::TrainConfig defaults;
  CLI::App app{
      "Trains a flow model from noise to the points of a data file. The config says how; what it leaves out has the\n"
      "defaults below. A run's folder keeps the resolved config.toml, checkpoint.h5, metrics.jsonl and samples.png.\n",
      "sdfm_train"};
  app.footer(
      "Examples:\n"
      "  sdfm_train configs/fashion_mnist_semidiscrete.toml --out runs/sd\n"
      "  sdfm_train configs/fashion_mnist_independent.toml --set train.steps=500 --seed 1 --out runs/short\n"
      "  sdfm_train --resume runs/sd\n\n"
      "Ctrl-C saves (a checkpoint, or during the fit its potentials) and exits 130. --resume goes on, also after a "
      "kill\n"
      "from the last checkpoint, to the same bits as if nothing had happened.\n"
      "Exit status: 0 when done, 1 for an error, 2 for wrong usage.\n\n"
      "Config keys and defaults (TOML):\n" +
      apps::bind(defaults).help());
  Arguments a;
  app.add_option("config", a.config, "What to train")->type_name("CONFIG.toml");
  app.add_option("--set", a.settings, "Set a key, over the config; may be repeated")->type_name("KEY=VALUE");
  app.add_option("--out", a.out, "Folder of the run, new or empty; runs/CONFIG when left out")->type_name("DIR");
  app.add_option("--resume", a.resume, "Go on with the run in this folder")->type_name("DIR")->excludes("--out");
  app.add_option("--device", a.device, "auto, cpu or cuda:N")->type_name("D")->capture_default_str();
  app.add_option("--seed", a.seed, "Sets run.seed")->type_name("N")->check(apps::at_least<std::int64_t>(0));
  apps::add_threads(app, a.threads, "The result does not depend on it");
  return apps::run_main(app, argc, argv, [&] { train(a); });
}
