// sdfm_eval: measures samples of a trained model against held-out data.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "monge/apps/common/device.h"
#include "monge/apps/common/distinct_files.h"
#include "monge/apps/common/feature_metrics.h"
#include "monge/apps/common/generate_map.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/json.h"
#include "monge/apps/common/progress.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/starting_points.h"
#include "monge/apps/common/table.h"
#include "monge/apps/common/trained_model.h"
#include "monge/apps/common/validators.h"
#include "monge/apps/sdfm_eval/likelihood.h"
#include "monge/apps/sdfm_eval/paths.h"
#include "monge/data/atomic_file.h"
#include "monge/data/dataset.h"
#include "monge/flow/crossing.h"
#include "monge/flow/metrics.h"
#include "monge/flow/mmd.h"
#include "monge/flow/trajectory.h"
#include "monge/ot/core/error.h"

namespace {

using namespace monge;
using Json = nlohmann::ordered_json;

struct Arguments {
  std::string checkpoint, data, json, picture, device = "auto";
  std::vector<std::string> solvers = {};  // empty: euler of a velocity, else map
  std::vector<Index> steps = {};          // empty: as many as suit the model
  Index samples = 10000, exact = 2000;
  Index likelihood = 0, probes = 0;  // test points, 0: none; hutchinson's, 0: see LikelihoodRequest
  std::uint64_t seed = 0;
  std::string source;  // data file whose test points (else training points) samples start from; empty: the run's own
  std::string features = "auto";   // classifier; auto: the one that comes with the programs, where it fits; or none
  std::optional<double> guidance;  // samples are of the test points' classes
  flow::SampleOptions run = {};    // tolerances
  bool dopri5 = false, raw = false, mmd = false, paths = false;
  int threads = 0;
};

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();  // null in JSON

// Of --features, --mmd and --paths, where they are asked for.
struct Extras {
  apps::FeatureFigures features = {};
  double energy_distance = 0, mmd_rbf = 0;  // the latter unknown where half of the points coincide: no bandwidth
  flow::TrajectoryStatistics paths = {};
  flow::Crossing crossing = {};  // of the straight paths to the samples
};

struct Row {
  std::string solver;
  flow::SampleOptions run;  // but for its solver
  Index steps = 0;          // made
  Index nfe = 0;
  flow::Metrics metrics = {};
  double variance_ratio = 0;  // of the samples, over that of as many test points: all but 0 where samples collapse
  Extras extras = {};
  double seconds = 0;
};

struct Results {
  Index samples = 0, exact_rows = 0;
  std::string features_digest = {};  // of the classifier; empty: none
  flow::Metrics floor = {};
  Extras floor_extras = {};
  double squared_w2 = 0;       // between starting points and test points, exact_rows of each: least energy of a path
  std::vector<Row> rows = {};  // finished
  std::size_t planned = 0;
  bool complete = false;
  std::optional<apps::Likelihood> likelihood = {};
};

const std::string dopri5 = "dopri5";

// The numbers of steps that tell something: of a flow map few.
std::vector<Index> steps_of(const Arguments& a, const apps::TrainedModel& model, const std::string& solver) {
  if (!a.steps.empty()) return a.steps;
  if (solver != apps::map_solver) return {1, 2, 4, 8, 16};
  const apps::MapSteps allowed = apps::map_steps(model.config);
  if (allowed.one) return {1};
  return {allowed.fewest, 2 * allowed.fewest, 4 * allowed.fewest, 8 * allowed.fewest};
}

std::vector<Row> plan(const Arguments& a, const apps::TrainedModel& model, const Context& context) {
  std::vector<Row> rows;
  bool adaptive = a.dopri5;
  std::vector<std::string> solvers = a.solvers;
  if (solvers.empty()) solvers = {apps::default_solver(model.options)};
  for (const std::string& solver : solvers) {
    require(!a.paths || solver != apps::map_solver, "--paths needs a velocity, not --solver map");
    adaptive = adaptive || solver == dopri5;
    if (solver == dopri5) continue;
    for (const Index steps : steps_of(a, model, solver)) rows.push_back({solver, {.steps = steps, .context = context}});
  }
  require(adaptive || apps::default_tolerances(a.run), "--rtol and --atol are of dopri5, which is not asked for");
  if (adaptive) {
    rows.push_back({dopri5, a.run});
    rows.back().run.solver = flow::Solver::dopri5;
    rows.back().run.steps = 0;
    rows.back().run.context = context;
  }
  return rows;
}

void add_features(Json& json, const apps::FeatureFigures& figures) {
  json["f_fid"] = figures.f_fid;
  json["kid"] = figures.kid;
  json["kid_error"] = figures.kid_error;
  json["precision"] = figures.precision;
  json["recall"] = figures.recall;
}

Json to_json(const Arguments& a, const apps::TrainedModel& model, const Results& results) {
  const bool features = !results.features_digest.empty();
  Json list = Json::array();
  for (const Row& row : results.rows) {
    Json json = {{"solver", row.solver},
                 {"steps", row.steps},
                 {"nfe", row.nfe},
                 {"sliced_w2", row.metrics.sliced_w2},
                 {"w2", row.metrics.w2.distance},
                 {"w2_lower", row.metrics.w2.certificate.lower},
                 {"w2_upper", row.metrics.w2.certificate.upper},
                 {"variance_ratio", row.variance_ratio},
                 {"seconds", row.seconds}};
    if (features) add_features(json, row.extras.features);
    if (a.mmd) {
      json["energy_distance"] = row.extras.energy_distance;
      json["mmd_rbf"] = row.extras.mmd_rbf;
    }
    if (a.paths) {
      const flow::TrajectoryStatistics& paths = row.extras.paths;
      json["path_energy"] = paths.energy;
      json["normalised_path_energy"] = flow::normalised_path_energy(paths.energy, results.squared_w2);
      json["displacement"] = paths.displacement;
      json["curvature"] = paths.curvature;
      json["detour"] = paths.detour;
      json["crossing"] = row.extras.crossing.share;
      json["crossing_by_time"] = row.extras.crossing.by_time;
    }
    list.push_back(std::move(json));
  }
  Json floor = {{"sliced_w2", results.floor.sliced_w2}, {"w2", results.floor.w2.distance}};
  if (features) add_features(floor, results.floor_extras.features);
  if (a.mmd) {
    floor["energy_distance"] = results.floor_extras.energy_distance;
    floor["mmd_rbf"] = results.floor_extras.mmd_rbf;
  }
  Json whole = {{"checkpoint", a.checkpoint},
                {"step", model.step},
                {"coupling", model.config.coupling},
                {"objective", model.config.objective},
                {"seed", model.config.seed},
                {"samples", results.samples},
                {"exact_rows", results.exact_rows},
                {"complete", results.complete},
                {"rows", list},
                {"floor", floor}};
  if (features) whole["features_digest"] = results.features_digest;
  if (a.guidance) whole["guidance"] = *a.guidance;
  if (const std::string source = apps::start_file(model.config, a.source); !source.empty()) whole["source"] = source;
  if (a.paths) whole["squared_w2"] = results.squared_w2;
  if (results.likelihood) whole["likelihood"] = apps::to_json(*results.likelihood);
  return whole;
}

std::string to_table(const Arguments& a, const Results& results) {
  using Line = std::vector<std::string>;
  const bool features = !results.features_digest.empty();
  const auto add_features = [&](Line& line, const apps::FeatureFigures& f) {
    if (features)
      line.insert(line.end(), {apps::fixed(f.f_fid, 3), apps::fixed(f.kid, 3) + " +- " + apps::fixed(f.kid_error, 3),
                               apps::fixed(f.precision, 3), apps::fixed(f.recall, 3)});
  };
  const auto add_mmd = [&](Line& line, const Extras& extras) {
    if (a.mmd) line.insert(line.end(), {apps::fixed(extras.energy_distance, 5), apps::fixed(extras.mmd_rbf, 5)});
  };
  std::vector<Line> table = {{"solver", "steps", "nfe", "sliced W2", "W2", "variance", "seconds"}, {}};
  if (features) table[0].insert(table[0].end(), {"F-FID", "KID", "precision", "recall"});
  if (a.mmd) table[0].insert(table[0].end(), {"energy", "MMD"});
  if (a.paths) table[0].insert(table[0].end(), {"NPE", "curvature", "detour", "crossing"});
  for (const Row& row : results.rows) {
    table.push_back({row.solver, std::to_string(row.steps), std::to_string(row.nfe),
                     apps::fixed(row.metrics.sliced_w2, 4), apps::fixed(row.metrics.w2.distance, 3),
                     apps::fixed(row.variance_ratio, 3), apps::fixed(row.seconds, 1)});
    add_features(table.back(), row.extras.features);
    add_mmd(table.back(), row.extras);
    if (!a.paths) continue;
    const flow::TrajectoryStatistics& paths = row.extras.paths;
    const double npe = flow::normalised_path_energy(paths.energy, results.squared_w2);
    table.back().insert(table.back().end(), {apps::fixed(npe, 3), apps::fixed(paths.curvature, 3),
                                             apps::fixed(paths.detour, 3), apps::fixed(row.extras.crossing.share, 3)});
  }
  table.push_back({});
  table.push_back({"train vs test", "", "", apps::fixed(results.floor.sliced_w2, 4),
                   apps::fixed(results.floor.w2.distance, 3), "", ""});
  add_features(table.back(), results.floor_extras.features);
  add_mmd(table.back(), results.floor_extras);
  if (!results.likelihood) return apps::format_table(table);
  return apps::format_table(table) + "\n" + apps::to_table(*results.likelihood);
}

// The sum over all dimensions; of equal points exactly zero.
double variance(MatrixView<const float> x) {
  double sum = 0;
  for (Index k = 0; k < x.cols; ++k) {
    const auto from_first = [&](Index i) { return static_cast<double>(x(i, k)) - static_cast<double>(x(0, k)); };
    double mean = 0, square = 0;
    for (Index i = 0; i < x.rows; ++i) mean += from_first(i) / static_cast<double>(x.rows);
    for (Index i = 0; i < x.rows; ++i) square += std::pow(from_first(i) - mean, 2);
    sum += square / static_cast<double>(x.rows);
  }
  return sum;
}

void measure_mmd(MatrixView<const float> x, MatrixView<const float> y, const Context& context, Extras& extras) {
  extras.energy_distance = flow::energy_distance(x, y, context);
  extras.mmd_rbf = flow::median_distance(y) > 0 ? flow::mmd_rbf(x, y, {.context = context}) : unknown;
}

// Runs the first rows again, with energy and length of their paths.
void measure_paths(const apps::TrainedModel& trained, MatrixView<const float> x0, const flow::Condition& condition,
                   const Row& row, Extras& extras) {
  flow::SampleOptions run = row.run;
  run.solver = flow::parse_solver(row.solver);
  flow::VelocityModel model(trained.options, trained.weights, 512, run.context);
  Matrix<float> x1 = apps::copy_of(x0);
  extras.paths =
      flow::trajectory_statistics(apps::interruptible(model, apps::rows_from(condition, 0, x1.rows())), x1.view(), run);
  if (extras.paths.run.status != ot::Status::converged)
    throw Error(Errc::not_finite, concat("--paths: ", flow::to_string(run.solver), " ended with ",
                                         ot::to_string(extras.paths.run.status), " at t = ", extras.paths.run.t));
  extras.crossing = flow::crossing(x0, x1.view(), 20, run.context);
}

// The classes of the test points, where samples are to be of them.
flow::Condition condition_of(const Arguments& a, const apps::TrainedModel& model, const data::Dataset& dataset) {
  if (!a.guidance || *a.guidance != 1)
    apps::check_without_class(a.guidance ? concat("--guidance ", *a.guidance) : "without --guidance 1", model.config);
  if (!a.guidance) return {};
  require(model.options.classes > 0, "--guidance: the model has no classes");
  require(dataset.test.labelled(), "--guidance: ", a.data, " has no labels of test points");
  return {dataset.test.labels, *a.guidance};
}

// Finishes row after row; what is finished stays in `results` when an interrupt or an error ends it early.
void measure(const Arguments& a, const apps::TrainedModel& trained, const data::Dataset& dataset,
             const std::optional<data::ClassifierFile>& classifier, const std::vector<Row>& rows,
             const Context& context, Results& results) {
  apps::Progress progress("evaluate", "run", static_cast<double>(rows.size()) + (a.likelihood > 0 ? 2 : 1));
  flow::MetricsOptions options;
  options.exact_rows = results.exact_rows;
  options.sliced.context = options.exact.context = context;
  options.exact.progress = [](const ot::AssignmentProgress&) { return !apps::interrupted(); };
  const flow::HeldOut held_out(dataset.test.x.view().rows_from(0, results.samples), options);
  const double test_variance = variance(dataset.test.x.view().rows_from(0, results.samples));
  apps::check_interrupt();
  results.floor = held_out.floor(dataset.train.x.view(), results.samples);
  apps::check_interrupt();
  const Index few = results.exact_rows;  // for what takes time with the square of their number
  const MatrixView<const float> test = dataset.test.x.view().rows_from(0, few);
  if (a.mmd) measure_mmd(dataset.train.x.view().rows_from(0, few), test, context, results.floor_extras);
  std::optional<apps::FeatureMetrics> features;
  if (classifier) {
    features.emplace(*classifier, dataset.test.x.view().rows_from(0, results.samples), context);
    results.features_digest = features->digest();
    results.floor_extras.features = features->compare(dataset.train.x.view().rows_from(0, results.samples));
  }
  const flow::Condition condition = apps::rows_from(condition_of(a, trained, dataset), 0, results.samples);
  const apps::Start start{.file = a.source, .labels = condition.labels, .count = results.samples, .seed = a.seed};
  const Matrix<float> x0 = apps::starting_points(trained.config, trained.options, start, context);
  if (a.paths) results.squared_w2 = std::pow(flow::exact_w2(x0.view(), test, few, options.exact).distance, 2);
  apps::check_interrupt();
  progress.update(1);

  for (Row row : rows) {
    const apps::Generated generated =
        apps::generate(trained.options, trained.weights, row.solver, apps::copy_of(x0.view()), row.run, condition);
    row.steps = generated.run.accepted;
    row.nfe = generated.run.nfe;
    row.seconds = generated.seconds;
    row.metrics = held_out.compare(generated.x.view());
    row.variance_ratio = test_variance > 0 ? variance(generated.x.view()) / test_variance : unknown;
    if (features) row.extras.features = features->compare(generated.x.view());
    if (a.mmd) measure_mmd(generated.x.view().rows_from(0, few), test, context, row.extras);
    if (a.paths) measure_paths(trained, x0.view().rows_from(0, few), condition, row, row.extras);
    apps::check_interrupt();
    results.rows.push_back(row);
    progress.update(static_cast<double>(results.rows.size()) + 1, row.solver);
  }
  if (a.likelihood > 0)
    results.likelihood = apps::measure_likelihood(trained, dataset, {a.likelihood, a.probes, a.seed}, context);
  results.complete = true;
  progress.finish();
}

void draw_picture(const Arguments& a, const apps::TrainedModel& trained, const data::Dataset& dataset,
                  const Context& context) {
  constexpr Index measured = 2048, drawn = 300;
  const std::vector<apps::Paths> panels = apps::gather_paths(trained, a.checkpoint, dataset, measured, context);
  data::write_text("sdfm_eval", a.picture, apps::paths_svg(panels, drawn));
}

void evaluate(const Arguments& a) {
  const bool named = a.features != "auto" && a.features != "none";
  apps::require_distinct_files({{"the checkpoint", a.checkpoint},
                                {"--data", a.data},
                                {"--source", a.source},
                                {"--features", named ? a.features : ""}},
                               {{"--json", a.json}, {"--picture", a.picture}});
  if (!a.picture.empty()) data::require_writable("sdfm_eval", a.picture);
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

  const std::vector<Row> rows = plan(a, trained, context);
  for (const Row& row : rows) apps::check_steps(row.solver, row.run.steps, trained);
  condition_of(a, trained, dataset);
  const std::optional<data::ClassifierFile> classifier = apps::choose_classifier(a.features, dataset);
  require(a.probes == 0 || a.likelihood > 0, "--probes are of --likelihood, which is not asked for");
  require(a.likelihood <= dataset.test.rows(), "--likelihood ", a.likelihood, ": ", a.data, " has ",
          dataset.test.rows(), " test points");
  if (a.likelihood > 0) apps::check_likelihood(trained);
  if (!a.picture.empty()) draw_picture(a, trained, dataset, context);
  apps::announce_device("sdfm_eval", a.device, context);
  Results results{.samples = samples, .exact_rows = std::min(a.exact, samples), .planned = rows.size()};
  std::exception_ptr ended;
  try {
    measure(a, trained, dataset, classifier, rows, context, results);
  } catch (const std::exception&) {
    if (results.rows.empty()) throw;  // nothing to save
    ended = std::current_exception();
  }
  if (a.json != "-") std::printf("%s", to_table(a, results).c_str());
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
      "the value that training points of the same number reach against the test points; and by the features of a\n"
      "classifier F-FID (squared Frechet distance of their Gaussians), KID, precision and recall.\n",
      "sdfm_eval"};
  app.footer(
      "Examples:\n"
      "  sdfm_eval runs/sd/checkpoint.h5 --data fashion.h5 --dopri5\n"
      "  sdfm_eval runs/sd/checkpoint.h5 --data fashion.h5 --solver heun --steps 2,4,8 --json -\n"
      "  sdfm_eval runs/plane_cfm/checkpoint.h5 --data moons.h5 --likelihood 10000 --probes 4 --picture paths.svg\n\n"
      "Ctrl-C saves the rows finished so far, with \"complete\": false, and exits 130.\n"
      "Exit status: 0 when done, 1 for an error, 2 for wrong usage.");
  Arguments a;
  app.add_option("checkpoint", a.checkpoint, "Checkpoint of a run")->required()->type_name("CHECKPOINT.h5");
  app.add_option("--data", a.data, "Data file with test points")->required()->type_name("FILE.h5");
  std::vector<std::string> names = flow::solver_names();
  names.push_back(apps::map_solver);
  app.add_option("--solver", a.solvers, "euler, midpoint, heun, rk4, dopri5, map; several by commas")
      ->type_name("S")
      ->delimiter(',')
      ->check(CLI::IsMember(names))
      ->default_str("euler, of flow maps and neural flows map");
  app.add_option("--steps", a.steps, "Steps of all but dopri5; several by commas")
      ->type_name("K")
      ->delimiter(',')
      ->check(apps::at_least<Index>(1))
      ->default_str("1,2,4,8,16, of flow maps 1,2,4,8 times the fewest they have learnt, of models of one step 1");
  app.add_flag("--dopri5", a.dopri5, "Also the adaptive dopri5");
  apps::add_tolerances(app, a.run);
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
  app.add_flag("--mmd", a.mmd, "Also energy distance and MMD, of the --exact points");
  app.add_flag(
      "--paths", a.paths,
      "Also what paths are like, of the --exact points: normalised path energy (NPE), curvature, detour, and the\n"
      "share of pairs that cross");
  app.add_option("--features", a.features,
                 "Classifier, as sdfm_classifier makes it. auto: the one that comes with the programs, trained on\n"
                 "Fashion-MNIST, for images of its size and range; none: no such figures")
      ->type_name("FILE.h5|auto|none")
      ->capture_default_str();
  app.add_option("--guidance", a.guidance, "Samples are of the test points' classes, with this guidance towards them")
      ->type_name("G")
      ->check(apps::finite());
  app.add_option("--likelihood", a.likelihood,
                 "Also the log-likelihood of so many test points, by the exact trace up to 64 dimensions")
      ->type_name("N")
      ->check(apps::at_least<Index>(1));
  app.add_option("--probes", a.probes, "Of --likelihood: also by Hutchinson's estimate, so many probes a point")
      ->type_name("K")
      ->check(apps::at_least<Index>(1));
  app.add_option("--picture", a.picture,
                 "Draw paths in the plane: pairs as in the training, and the model's own from the same noise")
      ->type_name("FILE.svg")
      ->check([](const std::string& file) { return file.ends_with(".svg") ? "" : "writes .svg, not " + file; });
  app.add_option("--source", a.source,
                 "Start from the test points of this data file (training points if it has none); left out: from the\n"
                 "source of the run's coupling, or noise")
      ->type_name("FILE.h5");
  app.add_flag("--raw", a.raw, "Use the weights as trained, not their average");
  app.add_option("--json", a.json, "Write the figures as JSON; - = standard output, instead of the table")
      ->type_name("FILE|-");
  app.add_option("--device", a.device, "auto, cpu or cuda:N")->type_name("D")->capture_default_str();
  apps::add_threads(app, a.threads);
  return apps::run_main(app, argc, argv, [&] { evaluate(a); });
}
