// What sdfm_eval measures besides distances: likelihoods, variance, pictures of paths.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "monge/data/npy.h"
#include "monge/data/synthetic.h"
#include "monge/tests/apps/programs.h"

namespace monge::apps {
namespace {

using nlohmann::json;

constexpr const char* plane = R"([data]
file = "data.h5"
[model]
network = "mlp"
width = 32
blocks = 2
time_features = 0
prediction = "velocity"
[train]
steps = 400
batch = 64
weight_decay = 0.0
)";

class Eval : public testing::Test {
 protected:
  void SetUp() override {
    data::save_dataset(data::synthetic("8gaussians", {.points = 500, .test_points = 500, .noise = 1}).data,
                       folder / "data.h5");
    std::ofstream(folder / "config.toml") << plane;
  }
  void train(const std::string& name, const std::string& settings = "") {
    const Outcome outcome = run(folder, "sdfm_train", "config.toml --out " + name + " " + settings);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
  json evaluate(const std::string& name, const std::string& options) {
    const Outcome outcome = run(folder, "sdfm_eval", name + "/checkpoint.h5 --samples 300 --json - " + options);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.status == 0 ? json::parse(outcome.out) : json();
  }
  void expect_refusal(const std::string& name, const std::string& options, const std::string& what) {
    const Outcome outcome = run(folder, "sdfm_eval", name + "/checkpoint.h5 --samples 300 " + options);
    EXPECT_EQ(outcome.status, 1) << options;
    EXPECT_NE(outcome.err.find(what), std::string::npos) << outcome.err;
  }

  const Folder folder;
};

TEST_F(Eval, LikelihoodsByBothTraces) {
  train("run");
  const json found = evaluate("run", "--data data.h5 --steps 1 --likelihood 400 --probes 8").at("likelihood");
  EXPECT_EQ(found.at("points"), 400);
  ASSERT_EQ(found.at("rows").size(), 2u);
  const json exact = found.at("rows")[0], hutchinson = found.at("rows")[1];
  EXPECT_EQ(exact.at("trace"), "exact");
  EXPECT_EQ(exact.at("probe_error"), 0);
  EXPECT_EQ(hutchinson.at("probes"), 8);
  EXPECT_TRUE(exact.at("bits_per_dimension").is_null());
  // Two estimates of one error: over the points, and over the probes of each point.
  const double difference = found.at("difference"), error = found.at("difference_error");
  EXPECT_NEAR(difference, hutchinson.at("log_likelihood").get<double>() - exact.at("log_likelihood").get<double>(),
              1e-9);
  EXPECT_LE(std::abs(difference), 5 * error + 1e-3);  // dopri5 at 1e-5 on a network with kinks in its derivatives
  EXPECT_GT(hutchinson.at("probe_error").get<double>(), error / 2);
  EXPECT_LT(hutchinson.at("probe_error").get<double>(), error * 2);

  // The law's own, of the same points, and the divergence of the law from the model.
  const data::Dataset dataset = data::load_dataset(folder / "data.h5");
  const auto log_density = data::known_log_density(dataset.source);
  double truth = 0;
  for (Index i = 0; i < 400; ++i) truth += log_density({dataset.test.x.view().row(i), 2}) / 400;
  EXPECT_NEAR(found.at("true_log_likelihood"), truth, 1e-9);
  EXPECT_NEAR(found.at("gap"), truth - exact.at("log_likelihood").get<double>(), 1e-9);
  EXPECT_GT(found.at("gap").get<double>(), 0);
  EXPECT_LT(found.at("gap").get<double>(), 1);  // N(0, I) itself is some nine nats away

  EXPECT_EQ(evaluate("run", "--data data.h5 --steps 1 --likelihood 50").at("likelihood").at("rows").size(), 1u);
  EXPECT_FALSE(evaluate("run", "--data data.h5 --steps 1").contains("likelihood"));
}

TEST_F(Eval, PixelsAreDequantised) {
  data::Dataset dataset = small_images(400);
  dataset.storage = data::Storage::u8;
  dataset.low = -1;
  dataset.high = 1;
  for (data::Split* split : {&dataset.train, &dataset.test})
    for (Index i = 0; i < 400 * 16; ++i) {
      const float value = std::min(1.0f, std::max(-1.0f, split->x.data()[i]));
      split->x.data()[i] = data::pixel_value(-1, 1, static_cast<int>(std::lround((value + 1) * 127.5f)));
    }
  data::save_dataset(dataset, folder / "pixels.h5");
  train("run", "--set data.file=pixels.h5");
  const json row = evaluate("run", "--data pixels.h5 --steps 1 --likelihood 100").at("likelihood").at("rows")[0];
  const double nats = row.at("log_likelihood");
  EXPECT_NEAR(row.at("bits_per_dimension"), -nats / (16 * std::log(2.0)) - std::log2(2.0 / 255), 1e-9);
  expect_refusal("run", "--data pixels.h5 --picture p.svg", "paths are drawn in the plane");
}

TEST_F(Eval, VarianceOfTheSamplesOverTheDatas) {
  train("run", "--set train.steps=50");
  const double ratio = evaluate("run", "--data data.h5 --steps 4 --seed 5").at("rows")[0].at("variance_ratio");
  ASSERT_EQ(run(folder, "sdfm_sample", "run/checkpoint.h5 --out x.npy --count 300 --steps 4 --seed 5").status, 0);
  const Matrix<float> samples = data::read_npy<float>(folder / "x.npy", 1e9);
  const data::Dataset dataset = data::load_dataset(folder / "data.h5");
  const auto variance = [](MatrixView<const float> x) {
    double sum = 0, square = 0, total = 0;
    for (Index k = 0; k < 2; ++k, sum = square = 0) {
      for (Index i = 0; i < 300; ++i) sum += x(i, k), square += static_cast<double>(x(i, k)) * x(i, k);
      total += square / 300 - sum / 300 * (sum / 300);
    }
    return total;
  };
  EXPECT_NEAR(ratio, variance(samples.view()) / variance(dataset.test.x.view()), 1e-5);
}

// Neither a ratio to no variance nor a kernel of no width: other figures are there all the same.
TEST_F(Eval, ConstantData) {
  data::Dataset dataset;
  for (data::Split* split : {&dataset.train, &dataset.test}) {
    split->x = Matrix<float>(300, 2);
    std::fill_n(split->x.data(), 600, 0.1f);
  }
  data::save_dataset(dataset, folder / "constant.h5");
  train("run", "--set train.steps=5 --set data.file=constant.h5");
  const json found = evaluate("run", "--data constant.h5 --steps 4 --mmd"), row = found.at("rows")[0];
  EXPECT_TRUE(row.at("variance_ratio").is_null());
  EXPECT_TRUE(row.at("mmd_rbf").is_null() && found.at("floor").at("mmd_rbf").is_null());
  EXPECT_GT(row.at("energy_distance").get<double>(), 0);
  EXPECT_GT(row.at("w2").get<double>(), 0);
  EXPECT_EQ(found.at("complete"), true);
}

// "27% of pairs cross": of the panels, in order.
std::vector<double> shares(const std::string& svg) {
  std::vector<double> found;
  const std::string after = "% of pairs";
  for (std::size_t at = svg.find(after); at != std::string::npos; at = svg.find(after, at + 1))
    found.push_back(std::stod(svg.substr(svg.rfind('>', at) + 1)));
  return found;
}

TEST_F(Eval, PicturesOfPaths) {
  train("independent");
  train("minibatch", "--set coupling.kind=minibatch");
  train("online", "--set coupling.kind=online --set objective.kind=neural_flow");
  for (const std::string name : {"independent", "minibatch", "online"}) {
    evaluate(name, "--data data.h5 --steps 1 --picture " + name + ".svg");
    const std::string svg = read_file(folder / (name + ".svg"));
    EXPECT_NE(svg.find("pairs trained on: " + name), std::string::npos);
    std::size_t lines = 0;
    for (std::size_t at = svg.find("<polyline"); at != std::string::npos; at = svg.find("<polyline", at + 1)) ++lines;
    EXPECT_EQ(lines, 600u);
    ASSERT_EQ(shares(svg).size(), 2u);
    // Independent pairs of two laws: as often towards each other as apart. Optimal ones never, and those of different
    // batches seldom.
    EXPECT_NEAR(shares(svg)[0], name == "independent" ? 50 : 2, name == "independent" ? 5 : 4) << name;
    EXPECT_EQ(svg.find("curvature") == std::string::npos, name == "online");
  }
  data::save_dataset(data::synthetic("moons", {.points = 500, .test_points = 500}).data, folder / "other.h5");
  expect_refusal("independent", "--data other.h5 --picture p.svg", "not the data of the run");
}

TEST_F(Eval, Refusals) {
  train("run", "--set train.steps=2");
  train("nfm", "--set train.steps=2 --set objective.kind=neural_flow");
  train("from", "--set train.steps=2 --set coupling.source=data.h5");
  expect_refusal("run", "--data data.h5 --probes 2", "--probes are of --likelihood");
  expect_refusal("run", "--data data.h5 --likelihood 501", "has 500 test points");
  expect_refusal("nfm", "--data data.h5 --likelihood 5", "a neural flow has no velocity");
  expect_refusal("from", "--data data.h5 --likelihood 5", "whose law is not known");
}

}  // namespace
}  // namespace monge::apps
