// ot_data from outside, and what else reads the files it makes: the config of couplings, sdfm_eval.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "monge/apps/common/pairing_config.h"
#include "monge/data/pairs.h"
#include "monge/data/synthetic.h"
#include "monge/ot/core/error.h"
#include "monge/tests/apps/programs.h"

namespace monge::apps {
namespace {

TEST(OtData, Generates) {
  const Folder folder;
  const Outcome moons = run(folder, "ot_data", "generate moons --points 300 --test 50 --seed 4 --out m.h5");
  ASSERT_EQ(moons.status, 0) << moons.err;
  EXPECT_NE(moons.out.find("train: 300 x 2, labels of 2 classes (0: "), std::string::npos) << moons.out;
  const data::Dataset read = data::load_dataset(folder / "m.h5");
  EXPECT_EQ(read.digest, data::synthetic("moons", {.points = 300, .test_points = 50, .seed = 4}).data.digest);
  EXPECT_EQ(read.test.rows(), 50);

  const Outcome convex = run(folder, "ot_data", "generate convex --dims 5 --points 40 --out c.h5 --pairs p.h5");
  ASSERT_EQ(convex.status, 0) << convex.err;
  EXPECT_EQ(data::load_pairs(folder / "p.h5").dataset_digest, data::load_dataset(folder / "c.h5").digest);
  ASSERT_EQ(run(folder, "ot_data", "generate gaussian-mixture --points 40 --out mix.h5 --pairs mp.h5").status, 0);
  EXPECT_EQ(data::load_pairs(folder / "mp.h5").labels, data::load_dataset(folder / "mix.h5").train.labels);
  const Outcome known = run(folder, "ot_data", "generate gaussian --points 40 --noise 0 --out g.h5");
  EXPECT_NE(known.out.find("W2 from N(0, I): "), std::string::npos) << known.out << known.err;

  for (const auto& [arguments, words] : std::map<std::string, std::string>{
           {"generate nothing --out x.h5", "name: nothing not in {8gaussians,moons"},
           {"generate moons --points 0 --out x.h5", "at least 1"},
           {"generate moons --dims 3 --out x.h5", "moons has 2 dimensions, not 3"},
           {"generate moons --out x.h5 --pairs p2.h5", "moons has no known map"},
           {"generate convex --out x.h5 --pairs x.h5", "--pairs x.h5 is the same file as --out x.h5"}}) {
    const Outcome refused = run(folder, "ot_data", arguments);
    EXPECT_NE(refused.status, 0);
    EXPECT_NE(refused.err.find(words), std::string::npos) << refused.err;
    EXPECT_FALSE(std::filesystem::exists(folder / "x.h5"));
  }
}

TEST(OtData, ImportsClouds) {
  const Folder folder;
  std::ofstream(folder / "x.csv") << "1,2,3,4\n5,6,7,8\n9,10,11,12\n";
  std::ofstream(folder / "labels.txt") << "3\n-1\n3\n";
  std::ofstream(folder / "test.csv") << "0 0 0 0\n";
  const Outcome done =
      run(folder, "ot_data", "import cloud x.csv --labels labels.txt --test test.csv --image 2,2,1 --out x.h5");
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.out.find("train: 3 x 4, labels of 2 classes (-1: 1, 3: 2)"), std::string::npos) << done.out;
  const data::Dataset d = data::load_dataset(folder / "x.h5");
  EXPECT_EQ(d.train.x(2, 1), 10);
  EXPECT_EQ(d.train.labels, (std::vector<std::int32_t>{3, -1, 3}));
  EXPECT_EQ(d.image.height, 2);
  EXPECT_EQ(d.test.rows(), 1);
  // And from a data file, whose points and labels are arrays as any.
  const Outcome again = run(folder, "ot_data", "import cloud x.h5:/x --labels x.h5:/labels --out y.h5");
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(data::load_dataset(folder / "y.h5").digest, d.digest);

  std::ofstream(folder / "short.txt") << "3\n1\n";
  for (const auto& [arguments, words] : std::map<std::string, std::string>{
           {"x.csv --labels short.txt", "short.txt: has 2 labels, x.csv has 3 points"},
           {"x.csv --test labels.txt", "labels.txt: has points of 1 dimensions, x.csv of 4"},
           {"x.csv --test-labels labels.txt", "--test is not"},
           {"x.csv --image 2,2,2", "do not fill rows of 4 values"},
           {"y.h5:/x --labels z.h5:/labels", "--out z.h5 is the same file as --labels z.h5"},
           {"missing.csv", "missing.csv"}}) {
    const Outcome refused = run(folder, "ot_data", "import cloud " + arguments + " --out z.h5");
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.err.find(words), std::string::npos) << refused.err;
    EXPECT_FALSE(std::filesystem::exists(folder / "z.h5"));
  }
}

TEST(OtData, ImportsImages) {
  const Folder folder;
  const std::string image(3072, '\x40');
  for (const std::string name :
       {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"})
    std::ofstream(folder / (name + ".bin")) << '\1' << image << '\2' << image;
  const Outcome done = run(folder, "ot_data", "import cifar-10 --from . --flips --out cifar.h5");
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.out.find("train: 20 x 3072, labels of 2 classes (1: 10, 2: 10)"), std::string::npos) << done.out;
  EXPECT_EQ(data::load_dataset(folder / "cifar.h5").train.x(19, 3071), data::pixel_value(-1, 1, 0x40));
  const Outcome missing = run(folder, "ot_data", "import imagenet-32 --from . --out x.h5");
  EXPECT_EQ(missing.status, 1);
  EXPECT_NE(missing.err.find("train_data_batch_1.npz"), std::string::npos) << missing.err;
}

// Every kind of coupling that a config can name draws from it, and what makes no sense is refused.
class PairingKinds : public testing::Test {
 protected:
  const Folder folder;
  data::Dataset dataset = data::synthetic("moons", {.points = 60, .test_points = 0}).data;
  PairingConfig config;
  Config keys;

  void SetUp() override {
    data::save_dataset(data::synthetic("gaussian-mixture", {.points = 80, .test_points = 0}).data,
                       folder / "source.h5");
    add_pairing_keys(keys, config);
  }
  std::unique_ptr<flow::Coupling> make(const std::string& kind) { return make_pairing(kind, config, 1, dataset, {}); }
  void draw(flow::Coupling& coupling) {
    Matrix<float> x0(20, 2);
    std::vector<std::int32_t> atoms(20, -1);
    coupling.draw(0, x0.view(), atoms);
    for (const std::int32_t atom : atoms) EXPECT_TRUE(atom >= 0 && atom < 60);
  }
  void refused(const std::string& kind, const std::string& words) {
    try {
      make(kind);
      ADD_FAILURE() << kind << ": nothing was refused";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(words), std::string::npos) << e.what();
    }
  }
};

TEST_F(PairingKinds, AllAreMade) {
  for (const std::string& kind : pairing_kinds())
    if (kind != "pairs") draw(*make(kind));
  keys.set("coupling.labels=within");
  keys.set("coupling.ot_batch=40");
  keys.set("coupling.draw=barycentric");
  keys.set("coupling.source=" + folder("source.h5"));
  for (const std::string kind : {"independent", "minibatch", "minibatch_entropic"}) draw(*make(kind));
  EXPECT_TRUE(make("minibatch_entropic")->has_targets());
  EXPECT_EQ(config.source_digest, data::load_dataset(folder / "source.h5").digest);
  keys.set("coupling.source=");
  EXPECT_EQ(make("online")->state().size(), 60u);

  const data::Synthetic known = data::synthetic("convex", {.points = 60, .test_points = 0});
  data::save_pairs(known.pairs, folder / "pairs.h5");
  keys.set("coupling.pairs=" + folder("pairs.h5"));
  refused("pairs", "belong to other data");
  refused("online", "coupling.pairs is given");
  dataset = data::synthetic("convex", {.points = 60, .test_points = 0}).data;
  keys.set("coupling.labels=none");
  draw(*make("pairs"));
}

TEST_F(PairingKinds, WhatMakesNoSense) {
  refused("pairs", "coupling.pairs names no file");
  refused("semi", "no kind of coupling 'semi'");
  keys.set("coupling.label_penalty=2");
  refused("minibatch", "coupling.labels is none, not penalty");
  keys.set("coupling.labels=penalty");
  draw(*make("minibatch"));
  keys.set("coupling.source=" + folder("source.h5"));
  keys.set("coupling.source_digest=xxh64:0");
  refused("minibatch", "this is not the source of the run");
  refused("online", "coupling.source is given");
  keys.set("coupling.source=");
  dataset.train.labels.clear();
  refused("minibatch", "the data have no labels");
}

TEST(SdfmEval, PathsAndMmd) {
  const Folder folder;
  ASSERT_EQ(run(folder, "ot_data", "generate moons --points 300 --test 200 --out data.h5").status, 0);
  ASSERT_EQ(run(folder, "ot_data", "generate 8gaussians --points 250 --test 0 --out source.h5").status, 0);
  std::ofstream(folder / "config.toml") << "[data]\nfile = \"data.h5\"\n[model]\nwidth = 16\nblocks = 1\n"
                                           "[train]\nsteps = 20\nbatch = 32\n[output]\nsample_rows = 0\n";
  ASSERT_EQ(run(folder, "sdfm_train", "config.toml --out a").status, 0);
  const std::string eval = "a/checkpoint.h5 --data data.h5 --samples 200 --exact 150 --solver midpoint,rk4 --steps 2 ";
  const auto evaluate = [&](const std::string& more) {
    const Outcome done = run(folder, "sdfm_eval", eval + more + " --json out.json");
    EXPECT_EQ(done.status, 0) << done.err;
    return nlohmann::json::parse(read_file(folder / "out.json"));
  };
  const auto plain = evaluate(""), full = evaluate("--mmd --paths"), moved = evaluate("--source source.h5 --paths");
  ASSERT_EQ(full.at("rows").size(), 2u);
  EXPECT_EQ(full.at("rows")[0].at("nfe"), 4);
  EXPECT_EQ(full.at("rows")[1].at("nfe"), 8);
  EXPECT_EQ(full.at("rows")[0].at("w2"), plain.at("rows")[0].at("w2"));
  EXPECT_FALSE(plain.at("rows")[0].contains("path_energy"));
  EXPECT_GT(full.at("rows")[0].at("energy_distance").get<double>(),
            full.at("floor").at("energy_distance").get<double>());
  const auto& row = full.at("rows")[1];
  const double energy = row.at("path_energy"), w2 = full.at("squared_w2");
  EXPECT_NEAR(row.at("curvature").get<double>(), energy - row.at("displacement").get<double>(), 1e-9);
  EXPECT_NEAR(row.at("normalised_path_energy").get<double>(), std::abs(energy - w2) / w2, 1e-9);
  EXPECT_GE(row.at("detour").get<double>(), 0.999);
  double crossing = 0;
  for (const auto& share : row.at("crossing_by_time")) crossing += share.get<double>();
  EXPECT_NEAR(row.at("crossing").get<double>(), crossing, 1e-12);
  EXPECT_GT(moved.at("squared_w2").get<double>(), 2 * w2);  // eight Gaussians on a circle of radius 5 are further away
  EXPECT_EQ(moved.at("source"), "source.h5");
  // What a flow made of what, as a data set and pairs of it.
  ASSERT_EQ(run(folder, "sdfm_sample", "a/checkpoint.h5 --count 30 --steps 2 --out s.h5 --pairs p.h5").status, 0);
  const data::Pairs pairs = data::load_pairs(folder / "p.h5");
  EXPECT_EQ(pairs.dataset_digest, data::load_dataset(folder / "s.h5").digest);
  EXPECT_EQ(pairs.atoms.back(), 29);
  const std::string from_source = "a/checkpoint.h5 --count 30 --source source.h5 --out s2.h5 --pairs p2.h5";
  ASSERT_EQ(run(folder, "sdfm_sample", from_source).status, 0);
  const Matrix<float> started = data::load_pairs(folder / "p2.h5").x0;
  const Matrix<float> source = data::load_dataset(folder / "source.h5").train.x;
  bool found = false;
  for (Index i = 0; i < source.rows(); ++i) found |= source(i, 0) == started(29, 0) && source(i, 1) == started(29, 1);
  EXPECT_TRUE(found);
  EXPECT_EQ(run(folder, "sdfm_sample", "a/checkpoint.h5 --out s.npy --pairs p3.h5").status, 1);
  EXPECT_EQ(run(folder, "sdfm_eval", eval + "--source s.h5").status, 0);  // each of its 30 points several times
}

}  // namespace
}  // namespace monge::apps
