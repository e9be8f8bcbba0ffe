// Figures by features: the classifier that comes with the programs, others, and what becomes of them in evaluations and
// reports; samples of classes.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "monge/apps/common/feature_metrics.h"
#include "monge/data/fashion_mnist.h"
#include "monge/data/pairs.h"
#include "monge/flow/features.h"
#include "monge/ot/core/error.h"
#include "monge/tests/apps/programs.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const fs::path shipped = fs::path(MONGE_BIN) / "../share/monge/fashion_mnist_classifier.h5";

TEST(ShippedClassifier, IsAsGoodAsItSays) {
  if (!fs::exists(data::fashion_mnist_folder)) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const data::Dataset fashion = data::import_fashion_mnist();
  const data::ClassifierFile file = data::load_classifier(shipped);
  EXPECT_EQ(file.dataset_digest, fashion.digest);
  EXPECT_LT(fs::file_size(shipped), 1'000'000u);
  const flow::ClassifierOptions shape{
      .dimensions = 784, .hidden = {file.widths.begin() + 1, file.widths.end() - 1}, .classes = file.widths.back()};
  flow::Classifier classifier(shape, file.weights);
  const double accuracy = flow::accuracy(classifier(fashion.test.x.view()).logits.view(), fashion.test.labels);
  EXPECT_GT(accuracy, 0.88);
  EXPECT_NEAR(accuracy, file.test_accuracy, 5e-4);  // another processor may round five points across a border

  // Training images are as near to test images as images get; noise is far, and so are images of half the contrast.
  constexpr Index n = 2000;
  FeatureMetrics metrics(file, fashion.test.x.view().rows_from(0, n), {});
  Matrix<float> noise(n, 784), faint(n, 784);
  fill_normal(Rng{1}, 0, {noise.data(), n * 784});
  for (Index i = 0; i < n * 784; ++i) faint.data()[i] = (fashion.train.x.data()[i] - 1) / 2;
  const FeatureFigures near = metrics.compare(fashion.train.x.view().rows_from(0, n));
  const FeatureFigures far = metrics.compare(noise.view()), half = metrics.compare(faint.view());
  EXPECT_LT(near.f_fid * 20, half.f_fid);
  EXPECT_LT(half.f_fid, far.f_fid);
  EXPECT_LT(std::abs(near.kid) * 20, half.kid);
  EXPECT_GT(near.precision, 0.8);
  EXPECT_GT(near.recall, 0.8);
  EXPECT_LT(far.precision * 4, near.precision);  // its recall is not small: its points are far apart, their balls wide
  EXPECT_LT(half.recall * 4, near.recall);
}

class Features : public testing::Test {
 protected:
  void SetUp() override {
    data::Dataset dataset = small_images();
    for (data::Split* split : {&dataset.train, &dataset.test}) set_labels(*split);
    data::save_dataset(dataset, folder / "data.h5");
    std::ofstream(folder / "config.toml") << "[data]\nfile = 'data.h5'\n[model]\nwidth = 16\nblocks = 1\nclasses = 2\n"
                                          << "[train]\nsteps = 60\nbatch = 32\n[output]\nsample_rows = 0\n";
    expect_runs("sdfm_classifier", "data.h5 --out features.h5 --hidden 16,6 --epochs 10 --batch 30");
    expect_runs("sdfm_train", "config.toml --out a --set objective.label_drop=0.2");
  }

  Outcome expect_runs(const std::string& program, const std::string& arguments) {
    const Outcome outcome = run(folder, program, arguments);
    EXPECT_EQ(outcome.status, 0) << program << " " << arguments << "\n" << outcome.err;
    return outcome;
  }
  void expect_refusal(const std::string& program, const std::string& arguments, const std::string& what,
                      int status = 1) {
    const Outcome outcome = run(folder, program, arguments);
    EXPECT_EQ(outcome.status, status) << program << " " << arguments;
    EXPECT_NE(outcome.err.find(what), std::string::npos) << outcome.err;
  }
  Json json(const std::string& name) { return Json::parse(read_file(folder / name)); }

  Folder folder;
};

const std::string eval = "a/checkpoint.h5 --data data.h5 --samples 200 --exact 50 --steps 1,4 ";

TEST_F(Features, TheClassifierIsTheSameAtAnyThreadCount) {
  const std::string again = "data.h5 --hidden 16,6 --epochs 10 --batch 30 --threads ";
  expect_runs("sdfm_classifier", again + "1 --out one.h5");
  const Outcome two = expect_runs("sdfm_classifier", again + "2 --out two.h5");
  EXPECT_EQ(read_file(folder / "one.h5"), read_file(folder / "two.h5"));
  EXPECT_EQ(read_file(folder / "one.h5"), read_file(folder / "features.h5"));
  EXPECT_NE(two.out.find("test accuracy 100.00%"), std::string::npos) << two.out;  // the two patterns are far apart
  const data::ClassifierFile file = data::load_classifier(folder / "one.h5");
  EXPECT_EQ(file.widths, (std::vector<Index>{16, 16, 6, 2}));
  EXPECT_EQ(file.dataset_digest, data::load_dataset(folder / "data.h5").digest);
}

TEST_F(Features, StandInTableJsonAndReport) {
  const Outcome outcome = expect_runs("sdfm_eval", eval + "--features features.h5 --json a/eval.json");
  EXPECT_NE(outcome.out.find("F-FID"), std::string::npos) << outcome.out;
  const Json whole = json("a/eval.json");
  EXPECT_EQ(whole.at("features_digest"), data::load_classifier(folder / "features.h5").digest);
  ASSERT_EQ(whole.at("rows").size(), 2u);

  // The floor from the library itself.
  const data::Dataset dataset = data::load_dataset(folder / "data.h5");
  FeatureMetrics metrics(data::load_classifier(folder / "features.h5"), dataset.test.x.view().rows_from(0, 200), {});
  const FeatureFigures floor = metrics.compare(dataset.train.x.view().rows_from(0, 200));
  EXPECT_DOUBLE_EQ(whole.at("floor").at("f_fid").get<double>(), floor.f_fid);
  EXPECT_DOUBLE_EQ(whole.at("floor").at("kid").get<double>(), floor.kid);
  EXPECT_DOUBLE_EQ(whole.at("floor").at("precision").get<double>(), floor.precision);
  EXPECT_DOUBLE_EQ(whole.at("floor").at("recall").get<double>(), floor.recall);
  EXPECT_TRUE(whole.at("floor").at("kid_error").is_null());  // of one block
  for (const Json& row : whole.at("rows")) {
    EXPECT_GT(row.at("f_fid").get<double>(), floor.f_fid);
    EXPECT_TRUE(row.contains("kid") && row.contains("precision") && row.contains("recall"));
  }

  fs::create_directory(folder / "out");
  const Outcome report = expect_runs("sdfm_report", "a --out out");
  EXPECT_NE(report.out.find("F-FID: independent"), std::string::npos) << report.out;
  const Json table = json("out/table.json");
  EXPECT_EQ(table.at("rows")[1].at("f_fid"), whole.at("rows")[1].at("f_fid"));
  EXPECT_EQ(table.at("floor").at("recall"), whole.at("floor").at("recall"));
  EXPECT_EQ(table.at("features_digest"), whole.at("features_digest"));
  EXPECT_NE(read_file(folder / "out/quality.svg").find("F-FID"), std::string::npos);

  // Not beside a run that was measured without them, or by others.
  expect_runs("sdfm_train", "config.toml --out b --seed 1");
  const std::string other = "b/checkpoint.h5 --data data.h5 --samples 200 --exact 50 --steps 1,4 --json b/eval.json ";
  expect_runs("sdfm_eval", other);
  expect_refusal("sdfm_report", "a b --out out", "measured by different features");
  expect_runs("sdfm_eval", other + "--features features.h5");
  EXPECT_NE(expect_runs("sdfm_report", "a b --out out").out.find("F-FID: independent"), std::string::npos);
}

TEST_F(Features, AreLeftOutOrRefused) {
  expect_runs("sdfm_eval", eval + "--json auto.json");  // images of 4 x 4: the one that is shipped is not for these
  expect_runs("sdfm_eval", eval + "--features none --json none.json");
  for (const char* name : {"auto.json", "none.json"}) {
    EXPECT_FALSE(json(name).contains("features_digest"));
    EXPECT_FALSE(json(name).at("floor").contains("f_fid"));
  }
  expect_refusal("sdfm_eval", eval + "--features " + shipped.string(),
                 "takes points of 784 dimensions, the data have 16");
  expect_refusal("sdfm_eval", eval + "--features nowhere.h5", "nowhere.h5");
  expect_refusal("sdfm_eval", eval + "--features a/checkpoint.h5", "is monge-checkpoint, not monge-classifier");
  expect_refusal("sdfm_eval", eval + "--features features.h5 --json features.h5", "is the same file as");
  data::ClassifierFile file = data::load_classifier(folder / "features.h5");
  file.low -= 1;
  data::save_classifier(file, folder / "range.h5");
  expect_refusal("sdfm_eval", eval + "--features range.h5", "trained on values from");
  std::string bytes = read_file(folder / "features.h5");
  const std::string value(reinterpret_cast<const char*>(&file.weights[3]), sizeof(float));
  bytes.at(bytes.find(value)) ^= 1;
  std::ofstream(folder / "damaged.h5", std::ios::binary) << bytes;
  expect_refusal("sdfm_eval", eval + "--features damaged.h5", "does not match its digest");
  data::Dataset dataset = data::load_dataset(folder / "data.h5");
  dataset.train.labels.clear();
  data::save_dataset(dataset, folder / "bare.h5");
  expect_refusal("sdfm_classifier", "bare.h5 --out x.h5", "has no labels");
  expect_refusal("sdfm_classifier", "data.h5 --out data.h5", "is the same file as");
}

TEST_F(Features, ClassesAndGuidance) {
  expect_runs("sdfm_eval", eval + "--guidance 2 --paths --json two.json");
  expect_runs("sdfm_eval", eval + "--json plain.json");
  EXPECT_EQ(json("two.json").at("guidance"), 2);
  EXPECT_FALSE(json("plain.json").contains("guidance"));
  EXPECT_NE(json("two.json").at("rows")[1].at("sliced_w2"), json("plain.json").at("rows")[1].at("sliced_w2"));

  // As many of each class in turn, from the noise of all; a class alone starts from the noise of the first.
  expect_runs("sdfm_sample", "a/checkpoint.h5 --out all.h5 --class all --count 6 --guidance 2");
  expect_runs("sdfm_sample", "a/checkpoint.h5 --out one.h5 --class 0 --count 3 --guidance 2");
  const data::Dataset all = data::load_dataset(folder / "all.h5"), one = data::load_dataset(folder / "one.h5");
  EXPECT_EQ(all.train.labels, (std::vector<std::int32_t>{0, 0, 0, 1, 1, 1}));
  for (Index i = 0; i < 3 * 16; ++i) EXPECT_NEAR(all.train.x.data()[i], one.train.x.data()[i], 1e-5);
  expect_runs("sdfm_sample", "a/checkpoint.h5 --out classes.png --class all --guidance 1,2,3");
  EXPECT_EQ(read_file(folder / "classes.png").substr(1, 3), "PNG");
  expect_refusal("sdfm_sample", "a/checkpoint.h5 --out x.npy --class all --guidance 1,2", "make a picture");
  expect_refusal("sdfm_sample", "a/checkpoint.h5 --out x.png --class all --count 5",
                 "multiple of the model's 2 classes");
  expect_refusal("sdfm_sample", "a/checkpoint.h5 --out x.png --class some", "--class", 2);
  expect_runs("sdfm_train", "config.toml --out c --set model.classes=0");
  expect_refusal("sdfm_sample", "c/checkpoint.h5 --out x.png --class all", "has no classes");
  expect_refusal("sdfm_eval", "c/checkpoint.h5 --data data.h5 --samples 200 --guidance 1", "has no classes");
}

// A run from a source is measured and sampled from there without being told, and from no other file of that name.
TEST_F(Features, RunsStartFromTheirOwnSource) {
  data::Dataset source = small_images(250);
  for (Index i = 0; i < 250 * 16; ++i) source.test.x.data()[i] = 3;
  data::save_dataset(source, folder / "source.h5");
  expect_runs("sdfm_train", "config.toml --out s --set coupling.source=source.h5");
  const std::string own = "s/checkpoint.h5 --data data.h5 --samples 200 --exact 50 --steps 1 --json ";
  expect_runs("sdfm_eval", own + "own.json");
  expect_runs("sdfm_eval", own + "told.json --source source.h5");
  EXPECT_EQ(json("own.json").at("rows")[0].at("w2"), json("told.json").at("rows")[0].at("w2"));
  EXPECT_EQ(json("own.json").at("source"), (folder / "source.h5").string());
  expect_runs("sdfm_sample", "s/checkpoint.h5 --out own.npy --count 5");
  expect_runs("sdfm_sample", "s/checkpoint.h5 --out told.npy --count 5 --source source.h5");
  EXPECT_EQ(read_file(folder / "own.npy"), read_file(folder / "told.npy"));
  data::save_dataset(small_images(240), folder / "source.h5");
  expect_refusal("sdfm_eval", own + "own.json", "this is not the source of the run");
}

// Samples, and the noise that they are brought back to.
TEST_F(Features, SamplesAreInverted) {
  const std::string closely = " --solver dopri5 --rtol 1e-6 --atol 1e-6 ";
  expect_runs("sdfm_sample", "a/checkpoint.h5 --out x.h5 --pairs pairs.h5 --count 20" + closely);
  expect_runs("sdfm_sample", "a/checkpoint.h5 --invert x.h5 --out z.h5" + closely);
  const data::Pairs pairs = data::load_pairs(folder / "pairs.h5");
  EXPECT_EQ(pairs.source_law, "standard_normal");
  const Matrix<float> z = data::load_dataset(folder / "z.h5").train.x;
  ASSERT_EQ(z.rows(), 20);
  for (Index i = 0; i < z.rows() * z.cols(); ++i) ASSERT_NEAR(z.data()[i], pairs.x0.data()[i], 2e-3) << i;
  expect_refusal("sdfm_sample", "a/checkpoint.h5 --invert x.h5 --out y.npy --count 21", "has 20 points");
  expect_refusal("sdfm_sample", "a/checkpoint.h5 --invert x.h5 --out y.npy --source x.h5", "no --source");
  expect_refusal("sdfm_sample", "a/checkpoint.h5 --out y.npy --solver dopri5 --steps 4", "dopri5 chooses its own");
  expect_refusal("sdfm_sample", "a/checkpoint.h5 --out y.npy --rtol 1e-6", "are of --solver dopri5");
  expect_refusal("sdfm_eval", "a/checkpoint.h5 --data data.h5 --samples 200 --atol 1e-6", "are of dopri5");
}

}  // namespace
}  // namespace monge::apps
