// Every kind of coupling as a run: training, resuming, classes.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "monge/apps/common/fitted.h"
#include "monge/apps/common/pairing.h"
#include "monge/apps/common/train_config.h"
#include "monge/apps/common/trained_model.h"
#include "monge/apps/common/unused_keys.h"
#include "monge/data/checkpoint.h"
#include "monge/data/pairs.h"
#include "monge/data/potentials.h"
#include "monge/ot/core/error.h"
#include "monge/tests/apps/programs.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char* tiny_run = R"([data]
file = "data.h5"
[model]
width = 16
blocks = 1
time_features = 4
[train]
steps = 12
batch = 16
[output]
sample_rows = 2
sample_steps = 2
)";

class Couplings : public testing::Test {
 protected:
  void SetUp() override {
    data::Dataset dataset = small_images(70), source = small_images(50);
    for (data::Dataset* either : {&dataset, &source}) set_labels(either->train), set_labels(either->test);
    for (Index i = 0; i < source.train.x.rows() * 16; ++i) source.train.x.data()[i] *= -0.5f;
    data::save_dataset(dataset, folder / "data.h5");
    data::save_dataset(source, folder / "source.h5");
    data::Pairs pairs;
    pairs.x0 = small_images(90).test.x;
    for (std::int32_t i = 0; i < 90; ++i) pairs.atoms.push_back((i * 7) % 70);
    pairs.dataset_digest = data::load_dataset(folder / "data.h5").digest;
    data::save_pairs(pairs, folder / "pairs.h5");
    std::ofstream(folder / "config.toml") << tiny_run;
  }

  // A run in this process, made as sdfm_train makes it.
  struct Run {
    Run(const fs::path& folder, const std::vector<std::string>& settings)
        : dataset(data::load_dataset(folder / "data.h5")) {
      Config keys = bind(config);
      keys.read_file(folder / "config.toml");
      for (const std::string& setting : settings) keys.set(setting);
      const fs::path fitted = folder / "fitted.h5";
      if (needs_fit(config, fitted)) data::save_potentials(fit_potentials(config, dataset, {}), fitted);
      coupling = make_coupling(config, dataset, fitted, {});
      flow::TrainingData training(MatrixView<const float>(dataset.train.x.view()));
      training.labels = dataset.train.labels;
      trainer = std::make_unique<flow::Trainer>(train_options(config, {}), training, *coupling);
    }
    std::vector<float> weights() const { return {trainer->weights().begin(), trainer->weights().end()}; }

    TrainConfig config;
    data::Dataset dataset;
    std::unique_ptr<flow::Coupling> coupling;
    std::unique_ptr<flow::Trainer> trainer;
  };

  // Stops after 7 steps of 16 of 70 atoms: in the second pass, and within a batch of 48 that is matched at once.
  void expect_resumes(const std::vector<std::string>& settings) {
    fs::remove(folder / "fitted.h5");
    Run whole(folder.path(), settings), part(folder.path(), settings), resumed(folder.path(), settings);
    for (int i = 0; i < 12; ++i) whole.trainer->step();
    for (int i = 0; i < 7; ++i) part.trainer->step();
    const fs::path file = folder / "part.h5";
    data::save_checkpoint(make_checkpoint(*part.trainer, *part.coupling, "", part.dataset, 0), file);
    restore(*resumed.trainer, *resumed.coupling, data::load_checkpoint(file), "part.h5");
    for (int i = 7; i < 12; ++i) resumed.trainer->step();
    EXPECT_EQ(whole.weights(), resumed.weights()) << settings[0];
    EXPECT_EQ(whole.coupling->state(), resumed.coupling->state()) << settings[0];
  }

  void expect_runs(const std::string& program, const std::string& arguments) {
    const Outcome outcome = run(folder, program, arguments);
    EXPECT_EQ(outcome.status, 0) << program << " " << arguments << "\n" << outcome.err;
  }
  void expect_refusal(const std::string& arguments, const std::string& what) {
    const Outcome outcome = run(folder, "sdfm_train", "config.toml --out refused " + arguments);
    EXPECT_EQ(outcome.status, 1) << arguments;
    EXPECT_NE(outcome.err.find(what), std::string::npos) << outcome.err;
    EXPECT_FALSE(fs::exists(folder / "refused"));
  }

  Folder folder;
};

TEST_F(Couplings, GoOnToTheSameBits) {
  const std::string source = "coupling.source=" + folder("source.h5"), pairs = "coupling.pairs=" + folder("pairs.h5");
  expect_resumes({"coupling.kind=independent", source, "coupling.labels=within"});
  expect_resumes({"coupling.kind=minibatch"});
  expect_resumes({"coupling.kind=minibatch", "coupling.ot_batch=48", source});
  expect_resumes({"coupling.kind=minibatch_entropic", "coupling.draw=barycentric"});
  expect_resumes({"coupling.kind=minibatch_entropic", "coupling.draw=distinct", "coupling.labels=penalty",
                  "coupling.label_penalty=3", "model.classes=2"});
  expect_resumes({"coupling.kind=online"});
  expect_resumes({"coupling.kind=online", "coupling.labels=within"});
  expect_resumes({"coupling.kind=pairs", pairs});
  expect_resumes({"coupling.kind=semidiscrete", "coupling.labels=within", "model.classes=2"});
  expect_resumes({"coupling.kind=semidiscrete", "coupling.epsilon=0.5", source});
  expect_resumes({"coupling.kind=semidiscrete", "coupling.epsilon=0.5", "coupling.labels=within", source});
}

// Settings beside the kinds that have a use for them; all others are refused, by key and kind, before data are read.
TEST_F(Couplings, SettingsThatAKindHasNoUseForAreRefused) {
  const std::vector<std::string> kinds = {"independent", "minibatch", "minibatch_entropic",
                                          "online",      "pairs",     "semidiscrete"};
  const std::vector<std::pair<std::string, std::string>> uses = {
      {"ot_batch=32", "minibatch minibatch_entropic"},
      {"plan_epsilon=0.1", "minibatch_entropic"},
      {"draw=distinct", "minibatch_entropic"},
      {"labels=within", "independent minibatch minibatch_entropic online pairs semidiscrete"},
      {"source=source.h5", "independent minibatch minibatch_entropic semidiscrete"},
      {"pairs=pairs.h5", "pairs"},
      {"pairs_digest=xxh64:0", "pairs"},
      {"epsilon=0.1", "semidiscrete"},
      {"pca=3", "independent minibatch minibatch_entropic online pairs semidiscrete"},
      {"potentials=p.h5", "semidiscrete"}};
  for (const auto& [setting, users] : uses) {
    const std::string key = "coupling." + setting.substr(0, setting.find('='));
    for (const std::string& kind : kinds) {
      TrainConfig given;
      Config keys = bind(given);
      keys.set("coupling.kind=" + kind);
      keys.set("coupling." + setting);
      const bool used = (" " + users + " ").find(" " + kind + " ") != std::string::npos;
      std::string refusal;
      try {
        refuse_unused_keys(given, "coupling.");
      } catch (const Error& e) {
        refusal = e.what();
      }
      EXPECT_EQ(refusal.empty(), used) << setting << " " << kind << " " << refusal;
      if (used) continue;
      EXPECT_EQ(refusal.find(key + " is given, but coupling.kind is " + kind + "; it is for: "), 0u) << refusal;
    }
  }
  expect_refusal("--set coupling.kind=online --set coupling.ot_batch=32 --set data.file=missing.h5",
                 "coupling.ot_batch is given, but coupling.kind is online; it is for: minibatch or minibatch_entropic");
}

TEST_F(Couplings, ACheckpointOfAnotherCouplingIsRefused) {
  Run online(folder.path(), {"coupling.kind=online"}), independent(folder.path(), {"coupling.kind=independent"});
  online.trainer->step();
  data::Checkpoint checkpoint = make_checkpoint(*online.trainer, *online.coupling, "", online.dataset, 0);
  EXPECT_THROW(restore(*independent.trainer, *independent.coupling, checkpoint, "a.h5"), Error);
  checkpoint.lists["coupling"][3] = checkpoint.lists["coupling"][4];
  EXPECT_THROW(restore(*online.trainer, *online.coupling, checkpoint, "a.h5"), Error);
}

TEST_F(Couplings, AStoppedProgramGoesOnWhereFilesHaveMoved) {
  const std::string settings =
      "config.toml --set train.steps=1500 --set output.checkpoint_every=100000 --set output.sample_rows=0 ";
  for (const std::string kind :
       {"--set coupling.kind=online", "--set coupling.kind=minibatch --set coupling.source=source.h5"}) {
    for (const char* name : {"whole", "part"}) fs::remove_all(folder / name);
    expect_runs("sdfm_train", settings + kind + " --out whole");
    const pid_t child = start(folder, "sdfm_train", settings + kind + " --out part");
    const fs::path log = folder / "part/metrics.jsonl";
    for (int i = 0; i < 2000 && !(fs::exists(log) && fs::file_size(log) > 0); ++i) usleep(5000);
    kill(child, SIGTERM);
    ASSERT_EQ(finish(folder, child).status, 128 + SIGTERM);
    ASSERT_LT(data::load_checkpoint(folder / "part/checkpoint.h5").step, 1500u) << "it ended before it was stopped";
    const bool from_source = kind.find("source") != std::string::npos;
    if (from_source) {
      fs::rename(folder / "source.h5", folder / "moved.h5");
      EXPECT_EQ(run(folder, "sdfm_train", "--resume part --set coupling.source=data.h5").status, 1);  // other points
    }
    expect_runs("sdfm_train", std::string("--resume part") + (from_source ? " --set coupling.source=moved.h5" : ""));
    const auto values = [&](const char* name) {
      return data::load_checkpoint(folder / name / "checkpoint.h5").groups.at("weights").front().values;
    };
    EXPECT_EQ(values("whole"), values("part")) << kind;
  }
}

TEST_F(Couplings, SemidiscretePairsKnowOfClasses) {
  const std::string semidiscrete = "--set coupling.kind=semidiscrete --set model.classes=2 ";
  expect_runs("sdfm_train", "config.toml --out within --set coupling.labels=within " + semidiscrete);
  const data::PotentialsFile within = data::load_potentials(folder / "within/potentials.h5");
  EXPECT_EQ(within.labels.size(), 70u);
  EXPECT_TRUE(std::isinf(within.label_penalty));
  expect_runs("sdfm_sample", "within/checkpoint.h5 --out x.npy --count 5 --class 1");
  expect_runs("sdfm_train",
              "config.toml --out dearer --set coupling.labels=penalty --set coupling.label_penalty=2 " + semidiscrete);
  EXPECT_EQ(data::load_potentials(folder / "dearer/potentials.h5").label_penalty, 2);

  ASSERT_EQ(run(folder, "ot_fit", "data.h5 --out labelled.h5 --labels").status, 0);
  ASSERT_EQ(run(folder, "ot_fit", "data.h5 --out plain.h5").status, 0);
  const std::string given = semidiscrete + "--set coupling.potentials=";
  expect_refusal(given + "labelled.h5", "coupling.labels is none, but these potentials were fitted with labels");
  expect_refusal("--set coupling.epsilon=0.25 " + given + "plain.h5",
                 "coupling.epsilon is 0.25, these potentials were fitted with 0");
  expect_runs("sdfm_train", "config.toml --out asked --set coupling.labels=within " + given + "labelled.h5");
  expect_refusal("--set coupling.labels=within " + given + "plain.h5", "fitted without labels");
  expect_refusal("--set coupling.labels=penalty --set coupling.label_penalty=2 " + given + "labelled.h5",
                 "that of the config 2");

  // From points: their potentials are of no use for others.
  const std::string from = "--set coupling.source=source.h5 ";
  ASSERT_EQ(run(folder, "ot_fit", "data.h5 --source source.h5 --epsilon 0.5 --out moved.h5").status, 0);
  expect_refusal(from + given + "moved.h5", "coupling.epsilon is 0, these potentials were fitted with 0.5");
  expect_runs("sdfm_train", "config.toml --out from --set coupling.epsilon=0.5 " + from + given + "moved.h5");
  expect_refusal(from + given + "plain.h5", "fitted for the source law 'standard_normal'");
  expect_refusal(given + "moved.h5", "training draws from 'standard_normal'");
  expect_refusal("--set coupling.source=data.h5 " + given + "moved.h5", "training draws from 'points ");
}

// Classes of points to classes of points: who is asked for starts from points of his own.
TEST_F(Couplings, SemidiscretePairsOfPointsKnowOfClasses) {
  const data::Dataset source = data::load_dataset(folder / "source.h5");
  const std::string from =
                        "--set coupling.kind=semidiscrete --set coupling.epsilon=0.5 --set model.classes=2 "
                        "--set coupling.source=source.h5 ",
                    within = from + "--set coupling.labels=within ",
                    penalty = from + "--set coupling.labels=penalty --set coupling.label_penalty=2 ";
  expect_runs("sdfm_train", "config.toml --out within " + within);
  const data::PotentialsFile fitted = data::load_potentials(folder / "within/potentials.h5");
  EXPECT_EQ(fitted.source_law, points_law(source, true));
  ASSERT_EQ(fitted.noise_labels.size(), 2u);
  expect_runs("sdfm_sample", "within/checkpoint.h5 --out x.h5 --pairs p.h5 --count 25 --class 1");
  const data::Pairs started = data::load_pairs(folder / "p.h5");
  EXPECT_EQ(started.labels, std::vector<std::int32_t>(25, 1));
  std::set<Index> rows;  // of the test points
  for (Index i = 0; i < 25; ++i)
    for (Index k = 0; k < source.test.rows(); ++k)
      if (std::equal(started.x0.view().row(i), started.x0.view().row(i) + 16, source.test.x.view().row(k)))
        rows.insert(k);
  EXPECT_EQ(rows.size(), 25u);
  for (const Index k : rows) EXPECT_EQ(source.test.labels[static_cast<std::size_t>(k)], 1) << k;

  // Potentials of points by label are for these alone.
  ASSERT_EQ(run(folder, "ot_fit", "data.h5 --source source.h5 --epsilon 0.5 --labels --out labelled.h5").status, 0);
  ASSERT_EQ(run(folder, "ot_fit", "data.h5 --source source.h5 --epsilon 0.5 --out plain.h5").status, 0);
  expect_runs("sdfm_train", "config.toml --out given " + within + "--set coupling.potentials=labelled.h5");
  expect_refusal(from + "--set coupling.potentials=labelled.h5", "fitted for the source law 'points ");
  expect_refusal(within + "--set coupling.potentials=plain.h5", "training draws from '" + points_law(source, true));
  expect_refusal(penalty + "--set coupling.potentials=labelled.h5", "that of the config 2");
  data::Dataset other = data::load_dataset(folder / "source.h5");
  std::swap(other.train.labels[0], other.train.labels[1]);
  data::save_dataset(other, folder / "other.h5");
  expect_refusal(within + "--set coupling.potentials=labelled.h5 --set coupling.source=other.h5",
                 "fitted for the source law 'points ");
  other.train.labels.clear(), other.test.labels.clear();
  data::save_dataset(other, folder / "unlabelled.h5");
  expect_refusal(within + "--set coupling.source=unlabelled.h5", "unlabelled.h5: coupling.labels is within, but");

  // With a finite penalty labels come as often as points have them.
  expect_runs("sdfm_train", "config.toml --out dearer " + penalty);
  EXPECT_EQ(data::load_potentials(folder / "dearer/potentials.h5").label_penalty, 2);
}

// Assigned within classes, trained on, and sampled for a class.
TEST_F(Couplings, GivenPairsKnowOfClasses) {
  const std::vector<std::int32_t> labels = data::load_dataset(folder / "source.h5").train.labels;
  data::Dataset to = data::load_dataset(folder / "source.h5");
  for (Index k = 0; k < to.train.rows() * 16; ++k) to.train.x.data()[k] += 3;
  data::save_dataset(to, folder / "to.h5");
  const std::string assign = "source.h5:/x to.h5:/x --solver exact --pairs ";
  ASSERT_EQ(run(folder, "ot_solve",
                assign + "within.h5 --x-labels source.h5:/labels --y-labels to.h5:/labels --label-penalty inf")
                .status,
            0);
  const std::string on = "--set coupling.kind=pairs --set data.file=to.h5 --set model.classes=2 ",
                    within = on + "--set coupling.labels=within ";
  expect_runs("sdfm_train", "config.toml --out a " + within + "--set coupling.pairs=within.h5");
  expect_runs("sdfm_sample", "a/checkpoint.h5 --out x.h5 --pairs p.h5 --count 25 --class 1");
  const data::Pairs pairs = data::load_pairs(folder / "within.h5"), started = data::load_pairs(folder / "p.h5");
  ASSERT_EQ(pairs.labels, labels);
  std::set<Index> rows;
  for (Index i = 0; i < 25; ++i)
    for (Index k = 0; k < pairs.size(); ++k)
      if (std::equal(started.x0.view().row(i), started.x0.view().row(i) + 16, pairs.x0.view().row(k))) rows.insert(k);
  EXPECT_EQ(rows.size(), 25u);  // all there are
  for (const Index k : rows) EXPECT_EQ(pairs.labels[static_cast<std::size_t>(k)], 1) << k;

  data::Pairs wrong;
  wrong.x0 = Matrix<float>(pairs.size(), 16);
  std::copy_n(pairs.x0.data(), pairs.size() * 16, wrong.x0.data());
  wrong.atoms = pairs.atoms, wrong.labels = pairs.labels, wrong.dataset_digest = pairs.dataset_digest;
  std::swap(wrong.atoms[0], wrong.atoms[1]);
  data::save_pairs(wrong, folder / "wrong.h5");
  expect_refusal(within + "--set coupling.pairs=wrong.h5", "pair 0 goes from label 0 to atom ");
  expect_runs("sdfm_train", "config.toml --out b " + on + "--set coupling.pairs=wrong.h5");
  wrong.labels.clear();
  data::save_pairs(wrong, folder / "wrong.h5");
  expect_refusal(within + "--set coupling.pairs=wrong.h5", "but these pairs have no labels");
  expect_refusal(on + "--set coupling.labels=penalty --set coupling.label_penalty=2 --set coupling.pairs=within.h5",
                 "a penalty belongs in making them");
  // Noise is of the class that it goes to, whoever says so.
  wrong.source_law = standard_normal;
  data::save_pairs(wrong, folder / "noise.h5");
  expect_runs("sdfm_train", "config.toml --out c " + within + "--set coupling.pairs=noise.h5");
}

}  // namespace
}  // namespace monge::apps
