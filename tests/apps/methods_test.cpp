// Every method as a run: configs, teachers, resuming, sampling.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "monge/apps/common/pairing.h"
#include "monge/apps/common/train_config.h"
#include "monge/apps/common/trained_model.h"
#include "monge/apps/common/unused_keys.h"
#include "monge/data/checkpoint.h"
#include "monge/data/pairs.h"
#include "monge/ot/core/error.h"
#include "monge/tests/apps/programs.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;

// Points of the plane or images, of ten classes.
data::Dataset few_points(bool plane) {
  data::Dataset dataset;
  if (!plane) dataset.image = {28, 28, 1};
  dataset.train.x = Matrix<float>(80, plane ? 2 : 784);
  fill_normal(Rng{1}, 0, {dataset.train.x.data(), dataset.train.x.rows() * dataset.train.x.cols()});
  for (std::int32_t i = 0; i < 80; ++i) dataset.train.labels.push_back(i % 10);
  dataset.digest = data::content_digest(dataset);
  return dataset;
}

// The files of configs/ are read, and what they describe is trained for two small steps.
TEST(Configs, EachDescribesAModelThatCanBeTrained) {
  const Folder folder;
  int count = 0;
  for (const fs::directory_entry& file : fs::directory_iterator(MONGE_CONFIGS)) {
    TrainConfig config;
    bind(config).read_file(file.path());
    EXPECT_NO_THROW(refuse_unused_keys(config)) << file.path();
    flow::TrainOptions options = train_options(config, {});
    const bool plane = file.path().filename().string().starts_with("plane_");
    const data::Dataset dataset = few_points(plane);
    options.model.dimensions = dataset.dims();
    set_image(options.model, dataset.image);
    options.batch = 8;
    if (flow::needs_teacher(options.objective.kind)) {
      EXPECT_FALSE(config.teacher_file.empty()) << file.path();
      flow::ModelOptions teacher = options.model;
      std::vector<float> weights(static_cast<std::size_t>(flow::weight_count(teacher)));
      options.objective.teacher = std::make_shared<const flow::Teacher>(flow::Teacher{teacher, weights});
    }
    if (!config.pairing.source_file.empty()) {
      config.pairing.source_file = folder("source.h5");
      data::save_dataset(dataset, config.pairing.source_file);
    }
    if (!config.pairing.pairs_file.empty()) {
      data::Pairs pairs;
      pairs.x0 = few_points(plane).train.x;
      pairs.atoms.resize(80);
      std::iota(pairs.atoms.begin(), pairs.atoms.end(), 0);
      pairs.dataset_digest = dataset.digest;
      config.pairing.pairs_file = folder("pairs.h5");
      data::save_pairs(pairs, config.pairing.pairs_file);
    }
    const fs::path potentials = folder / concat(plane ? "plane" : "images", config.fit_pca, config.pairing.labels,
                                                config.pairing.source_file.empty() ? "" : "from", ".h5");
    config.potentials_file.clear();
    if (config.coupling == "semidiscrete") config.fit_tolerance = 0.5;
    if (needs_fit(config, potentials)) data::save_potentials(fit_potentials(config, dataset, {}), potentials);
    const auto coupling = make_coupling(config, dataset, potentials, {});
    flow::TrainingData training(MatrixView<const float>(dataset.train.x.view()));
    training.labels = dataset.train.labels;
    flow::Trainer trainer(options, training, *coupling);
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(std::isfinite(trainer.step().loss)) << file.path();
    ++count;
  }
  EXPECT_GT(count, 30);
}

constexpr const char* config = R"([data]
file = "data.h5"
[model]
width = 16
blocks = 1
time_features = 4
[train]
steps = 20
batch = 16
[output]
checkpoint_every = 10
sample_rows = 2
sample_steps = 2
)";

class Methods : public testing::Test {
 protected:
  void SetUp() override {
    data::Dataset dataset = small_images();
    for (data::Split* split : {&dataset.train, &dataset.test}) set_labels(*split);
    data::save_dataset(dataset, folder / "data.h5");
    std::ofstream(folder / "config.toml") << config;
  }

  void expect_runs(const std::string& program, const std::string& arguments) {
    const Outcome outcome = run(folder, program, arguments);
    EXPECT_EQ(outcome.status, 0) << program << " " << arguments << "\n" << outcome.err;
  }
  void expect_refusal(const std::string& program, const std::string& arguments, const std::string& what) {
    const Outcome outcome = run(folder, program, arguments);
    EXPECT_EQ(outcome.status, 1) << program << " " << arguments;
    EXPECT_NE(outcome.err.find(what), std::string::npos) << outcome.err;
  }

  Folder folder;
};

TEST_F(Methods, FlowMapsAreTrainedAndSampled) {
  expect_runs("sdfm_train", "config.toml --out lsd --set objective.kind=lsd");
  EXPECT_TRUE(fs::exists(folder / "lsd/samples.png"));
  for (const std::string solver : {"", "--solver map --steps 3", "--solver euler --steps 3"}) {
    expect_runs("sdfm_sample", "lsd/checkpoint.h5 --out x.npy --count 5 " + solver);
  }
  expect_runs("sdfm_train", "config.toml --out nfm --set objective.kind=neural_flow --set model.network=residual_flow");
  expect_runs("sdfm_sample", "nfm/checkpoint.h5 --out x.npy --count 5");
  expect_refusal("sdfm_sample", "nfm/checkpoint.h5 --out x.npy --count 5 --solver euler",
                 "a neural flow has no velocity");
  expect_refusal("sdfm_sample", "nfm/checkpoint.h5 --out x.npy --count 5 --steps 4", "a neural flow makes one step");
  expect_runs("sdfm_train", "config.toml --out field");
  expect_refusal("sdfm_sample", "field/checkpoint.h5 --out x.npy --count 5 --solver map", "not a flow map");
}

TEST_F(Methods, TeachersAreFoundAndRecognised) {
  expect_refusal("sdfm_train", "config.toml --out lmd --set objective.kind=lmd", "needs a teacher");
  expect_runs("sdfm_train", "config.toml --out teacher");
  const std::string settings = "--set objective.kind=lmd --set objective.teacher=teacher/checkpoint.h5";
  expect_runs("sdfm_train", "config.toml --out lmd " + settings);
  const std::string written = read_file(folder / "lmd/config.toml");
  EXPECT_NE(written.find("teacher_digest = \"xxh64:"), std::string::npos) << written;

  // The same weights elsewhere do; others do not.
  fs::rename(folder / "teacher", folder / "moved");
  expect_refusal("sdfm_train", "--resume lmd", "checkpoint.h5");
  expect_runs("sdfm_train", "--resume lmd --set objective.teacher=moved/checkpoint.h5");
  expect_runs("sdfm_train", "config.toml --out other --seed 4");
  expect_refusal("sdfm_train", "--resume lmd --set objective.teacher=other/checkpoint.h5",
                 "not the teacher of the run");
  expect_refusal("sdfm_train",
                 "config.toml --out pfmm --set objective.kind=pfmm --set objective.teacher=moved/checkpoint.h5",
                 "must be a flow map");
}

// Of the same law as the student: path and source.
TEST_F(Methods, TeachersOfAnotherLawAreRefused) {
  data::Dataset source = small_images();
  source.train.x(0, 0) += 1;
  data::save_dataset(source, folder / "source.h5");
  const std::string lmd = "config.toml --out lmd --set objective.kind=lmd --set objective.teacher=";
  const auto refuses = [&](const std::string& teacher, const std::string& student, const std::string& what) {
    fs::remove_all(folder / "teacher");
    expect_runs("sdfm_train", "config.toml --out teacher --set output.sample_rows=0 " + teacher);
    expect_refusal("sdfm_train", lmd + "teacher/checkpoint.h5 " + student, what);
    EXPECT_FALSE(fs::exists(folder / "lmd"));
  };
  refuses("--set path.kind=vp", "", "another path: path.kind is \"linear\", was \"vp\"");
  refuses("--set path.noise=0.1", "", "another path: path.noise is 0.0, was 0.1");
  refuses("--set path.kind=vp", "--set path.kind=vp --set path.beta_max=10", "path.beta_max is 10.0, was 20.0");
  refuses("--set coupling.source=source.h5", "", "another source: coupling.source is noise, was ");
  refuses("", "--set coupling.source=source.h5", "source.h5 (xxh64:");
  const std::string classes = "--set model.classes=2 ";
  refuses(classes + "--set objective.label_drop=0", classes, "objective.label_drop 0.1 with the teacher");

  fs::remove_all(folder / "teacher");
  const std::string same = "--set path.kind=vp --set coupling.source=source.h5 --set output.sample_rows=0 ";
  expect_runs("sdfm_train", "config.toml --out teacher " + same);
  expect_runs("sdfm_train", lmd + "teacher/checkpoint.h5 " + same);
}

// Maps make the steps that they have learnt, and no more is taught of them.
TEST_F(Methods, MapsAreAskedForJumpsTheyHaveLearnt) {
  const auto rows = [&](const std::string& name) {
    expect_runs("sdfm_eval", name + "/checkpoint.h5 --data data.h5 --samples 50 --features none --json eval.json");
    std::vector<int> steps;
    const auto json = nlohmann::json::parse(read_file(folder / "eval.json"));
    for (const auto& row : json.at("rows")) steps.push_back(row.at("steps"));
    return steps;
  };
  const auto samples = [](const std::string& name, const std::string& how) {
    return name + "/checkpoint.h5 --out x.npy --count 5 " + how;
  };
  expect_runs("sdfm_train", "config.toml --out fmm --set objective.kind=fmm --set objective.strip=0.05");
  EXPECT_TRUE(fs::exists(folder / "fmm/samples.png"));  // though output.sample_steps is 2
  expect_refusal("sdfm_sample", samples("fmm", "--steps 1"), "at most 0.05 (objective.strip), so it makes 20 steps");
  expect_refusal("sdfm_eval", "fmm/checkpoint.h5 --data data.h5 --samples 50 --steps 19", "makes 20 steps or more");
  expect_runs("sdfm_sample", samples("fmm", "--steps 20"));
  expect_runs("sdfm_sample", samples("fmm", ""));
  expect_runs("sdfm_sample", samples("fmm", "--solver euler --steps 1"));
  EXPECT_EQ(rows("fmm"), (std::vector<int>{20, 40, 80, 160}));

  const std::string pfmm =
      "config.toml --out pfmm --set objective.kind=pfmm --set objective.jumps=5 --set "
      "objective.teacher=fmm/checkpoint.h5 ";
  expect_refusal("sdfm_train", pfmm, "strip is 1, but the teacher has learnt jumps of at most 0.05, of which 5 make");
  expect_runs("sdfm_train", pfmm + "--set objective.strip=0.25");
  expect_refusal("sdfm_sample", samples("pfmm", "--steps 3"), "makes 4 steps or more");
  expect_runs("sdfm_sample", samples("pfmm", "--steps 4"));

  expect_runs("sdfm_train", "config.toml --out field");
  expect_runs("sdfm_train",
              "config.toml --out last --set objective.kind=consistency --set objective.teacher=field/checkpoint.h5");
  expect_runs("sdfm_sample", samples("last", ""));
  EXPECT_EQ(rows("last"), std::vector<int>{1});
  expect_refusal("sdfm_sample", samples("last", "--steps 4"), "a consistency model makes one step");
  for (const std::string how : {"--solver euler", "--dopri5", "--likelihood 5"}) {
    expect_refusal("sdfm_eval", "last/checkpoint.h5 --data data.h5 --samples 50 " + how, "has not learnt its velocity");
  }
  for (const std::string kind : {"lmd", "pfmm"}) {
    expect_refusal("sdfm_train",
                   "config.toml --out no --set objective.teacher=last/checkpoint.h5 --set objective.kind=" + kind,
                   "learnt jumps to the data alone");
  }
}

// label_drop = 0: what the embedding of no class says was never learnt.
TEST_F(Methods, ModelsOfClassesAloneAreAskedForNoOthers) {
  expect_runs("sdfm_train", "config.toml --out c --set model.classes=2 --set objective.label_drop=0");
  EXPECT_TRUE(fs::exists(folder / "c/samples.png"));
  const std::string sample = "c/checkpoint.h5 --out x.npy --count 5 ", what = "not learnt to do without classes";
  const std::string eval = "c/checkpoint.h5 --data data.h5 --samples 50 --features none --steps 1 ";
  expect_refusal("sdfm_sample", sample, "without --class: the model has " + what);
  expect_refusal("sdfm_sample", sample + "--class 1 --guidance 2", what);
  expect_runs("sdfm_sample", sample + "--class 1");
  expect_refusal("sdfm_eval", eval, "without --guidance 1: the model has " + what);
  expect_refusal("sdfm_eval", eval + "--guidance 1.5", what);
  expect_refusal("sdfm_eval", eval + "--guidance 1 --likelihood 5", what);
  expect_runs("sdfm_eval", eval + "--guidance 1");
}

TEST_F(Methods, TransformersTakeImagesAndClasses) {
  const std::string dit = "--set model.network=dit --set model.patch=2 --set model.heads=2 ";
  expect_runs("sdfm_train", "config.toml --out dit --set model.classes=2 --set model.dropout=0.1 " + dit);
  expect_runs("sdfm_sample", "dit/checkpoint.h5 --out x.npy --count 5");
  expect_runs("sdfm_sample", "dit/checkpoint.h5 --out x.npy --count 5 --class 1 --guidance 2");
  expect_refusal("sdfm_sample", "dit/checkpoint.h5 --out x.npy --count 5 --class 2", "class 2 of 2");
  expect_refusal("sdfm_train", "config.toml --out few --set model.classes=1 " + dit, "has the label 1");
  expect_refusal("sdfm_train", "config.toml --out odd --set model.network=dit --set model.patch=3 --set model.heads=2",
                 "cannot be cut into patches of 3");
}

// Noise on the path, classes, two times: all that a step draws is drawn again.
TEST_F(Methods, AStoppedRunGoesOnToTheSameWeights) {
  const std::string settings =
      "config.toml --set objective.kind=mean_flow --set path.bridge=0.2 --set model.classes=2 --set model.dropout=0.1 "
      "--set train.steps=1500 --set output.checkpoint_every=100000 --set output.sample_rows=0 --out ";
  expect_runs("sdfm_train", settings + "whole");
  const pid_t child = start(folder, "sdfm_train", settings + "part");
  const fs::path log = folder / "part/metrics.jsonl";
  for (int i = 0; i < 2000 && !(fs::exists(log) && fs::file_size(log) > 0); ++i) usleep(5000);
  kill(child, SIGTERM);
  ASSERT_EQ(finish(folder, child).status, 128 + SIGTERM);
  ASSERT_LT(data::load_checkpoint(folder / "part/checkpoint.h5").step, 1500u) << "it ended before it was stopped";
  expect_runs("sdfm_train", "--resume part");
  const data::Checkpoint whole = data::load_checkpoint(folder / "whole/checkpoint.h5"),
                         part = data::load_checkpoint(folder / "part/checkpoint.h5");
  for (const auto& [group, tensors] : whole.groups) {
    const auto& others = part.groups.at(group);
    ASSERT_EQ(tensors.size(), others.size());
    for (std::size_t k = 0; k < tensors.size(); ++k) EXPECT_EQ(tensors[k].values, others[k].values) << tensors[k].name;
  }
}

}  // namespace
}  // namespace monge::apps
