// sdfm_report: which runs it puts side by side, and that it leaves all of its files or none.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "monge/tests/apps/programs.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

class Report : public testing::Test {
 protected:
  void SetUp() override {
    data::Dataset images = small_images(60);
    data::save_dataset(images, folder / "data.h5");
    for (const std::string coupling : {"independent", "semidiscrete"}) {
      std::ofstream(folder / (coupling + ".toml"))
          << "[data]\nfile = 'data.h5'\n[coupling]\nkind = '" << coupling << "'\npca = 0\n[model]\nwidth = 16\n"
          << "blocks = 1\n[train]\nsteps = 20\nbatch = 16\n[output]\nsample_rows = 0\n";
      ASSERT_EQ(run(folder, "sdfm_train", coupling + ".toml --out " + coupling).status, 0);
      ASSERT_EQ(
          run(folder, "sdfm_eval",
              coupling + "/checkpoint.h5 --data data.h5 --samples 50 --steps 1,2 --json " + coupling + "/eval.json")
              .status,
          0);
    }
    fs::create_directory(folder / "out");
  }

  Json eval(const std::string& name) { return Json::parse(read_file(folder / name / "eval.json")); }
  void write_eval(const std::string& name, const Json& json) {
    std::ofstream(folder / name / "eval.json") << json.dump();
  }

  void expect_refusal(const std::string& arguments, const std::string& what) {
    const Outcome outcome = run(folder, "sdfm_report", arguments);
    EXPECT_EQ(outcome.status, 1) << arguments;
    EXPECT_EQ(outcome.err.find("sdfm_report: error: "), 0u) << outcome.err;
    EXPECT_NE(outcome.err.find(what), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(fs::is_empty(folder / "out")) << arguments;
  }

  Folder folder;
};

TEST_F(Report, TakesFiguresOfTheStepThatWasEvaluated) {
  std::ofstream(folder / "independent/metrics.jsonl", std::ios::app)  // steps made since
      << R"({"step":21,"loss":1,"grad_norm":1,"lr":0.1,"step_ms":1,"seconds":1000})"
      << "\n";
  const Outcome outcome = run(folder, "sdfm_report", "independent semidiscrete --out out");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json table = Json::parse(read_file(folder / "out/table.json")), own = eval("independent");
  ASSERT_EQ(table.at("rows").size(), 4u);
  EXPECT_EQ(table.at("rows")[1].at("sliced_w2"), own.at("rows")[1].at("sliced_w2"));
  EXPECT_EQ(table.at("floor"), own.at("floor"));
  const double seconds = table.at("rows")[0].at("train_seconds");
  EXPECT_LT(seconds, 1000);
  EXPECT_DOUBLE_EQ(table.at("rows")[0].at("step_ms"), 1e3 * seconds / 20);
  EXPECT_TRUE(fs::exists(folder / "out/quality.svg") && fs::exists(folder / "out/samples.png"));
}

TEST_F(Report, RefusesRunsThatCannotBeCompared) {
  const Json whole = eval("semidiscrete");
  const auto spoiled = [&](const char* pointer, const Json& value, const std::string& what) {
    Json json = whole;
    json[Json::json_pointer(pointer)] = value;
    write_eval("semidiscrete", json);
    expect_refusal("independent semidiscrete --out out", what);
  };
  spoiled("/samples", 49, "measured on 50 points (50 by exact W2) and on 49 (50)");
  spoiled("/exact_rows", 49, "measured on 50 points (50 by exact W2) and on 50 (49)");
  spoiled("/floor/sliced_w2", 0.9, "floors differ");
  spoiled("/floor/w2", nullptr, "semidiscrete/eval.json: ");
  spoiled("/complete", false, "the evaluation was interrupted; run sdfm_eval again");
  spoiled("/rows", Json::array(), "interrupted");
  spoiled("/step", 0, "no steps up to 0");
  spoiled("/step", 19, "checkpoint.h5: is of step 20, eval.json of step 19");
  spoiled("/coupling", "independent", "both independent with seed 0");
  write_eval("semidiscrete", whole);
  expect_refusal("independent nowhere --out out", "nowhere/eval.json");
  expect_refusal("independent --potentials independent.toml --out out", "independent.toml");
  expect_refusal("independent nowhere --out new/reports", "nowhere/eval.json");
  EXPECT_FALSE(fs::exists(folder / "new"));
}

TEST_F(Report, MakesItsFolder) {
  const Outcome outcome = run(folder, "sdfm_report", "independent --out new/reports");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(folder / "new/reports/table.json") && fs::exists(folder / "new/reports/samples.png"));
  expect_refusal("independent --out independent.toml/reports", "independent.toml/reports: cannot make the folder: ");
}

TEST_F(Report, WritesAllOrNothing) {
  fs::remove(folder / "semidiscrete/checkpoint.h5");  // found out last, for the picture
  expect_refusal("independent semidiscrete --out out", "checkpoint.h5");
  fs::create_directory(folder / "out/samples.png");  // cannot be replaced by a file
  const Outcome outcome = run(folder, "sdfm_report", "independent --out out");
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "out"), {}), 1);

  fs::copy(folder / "out/../independent/checkpoint.h5", folder / "independent/samples.png");
  const Outcome own = run(folder, "sdfm_report", "independent --out independent");
  EXPECT_EQ(own.status, 1);
  EXPECT_NE(own.err.find("independent/samples.png is the same file as"), std::string::npos) << own.err;
}

TEST_F(Report, LeavesOutWhatThereIsNoDataFor) {
  const std::string eval = "independent/checkpoint.h5 --data data.h5 --samples 50 --json independent/eval.json ";
  ASSERT_EQ(run(folder, "sdfm_eval", eval + "--solver dopri5").status, 0);
  const Outcome outcome = run(folder, "sdfm_report", "independent --out out");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.err.find("no quality.svg: "), std::string::npos) << outcome.err;
  EXPECT_TRUE(fs::exists(folder / "out/table.json"));
  EXPECT_FALSE(fs::exists(folder / "out/quality.svg"));
}

// Flow maps at their few steps, neural flows at their one, beside a velocity of the same coupling and seed.
TEST_F(Report, PutsMapsBesideVelocities) {
  for (const std::string objective : {"lsd", "neural_flow"}) {
    ASSERT_EQ(
        run(folder, "sdfm_train", "independent.toml --set objective.kind=" + objective + " --out " + objective).status,
        0);
    const Outcome outcome =
        run(folder, "sdfm_eval",
            objective + "/checkpoint.h5 --data data.h5 --samples 50 --json " + objective + "/eval.json");
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    std::vector<int> steps;
    const Json json = eval(objective);
    for (const Json& row : json.at("rows")) {
      EXPECT_EQ(row.at("solver"), "map");
      EXPECT_EQ(row.at("nfe"), row.at("steps"));
      steps.push_back(row.at("steps"));
    }
    EXPECT_EQ(steps, objective == "lsd" ? (std::vector<int>{1, 2, 4, 8}) : std::vector<int>{1});
  }
  const Outcome outcome = run(folder, "sdfm_report", "lsd semidiscrete neural_flow independent --out out");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json table = Json::parse(read_file(folder / "out/table.json"));
  EXPECT_EQ(table.at("rows").size(), 4u + 2 + 1 + 2);
  EXPECT_EQ(table.at("rows")[0].at("objective"), "lsd");
  EXPECT_NE(outcome.out.find("map-8"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("independent neural_flow"), std::string::npos) << outcome.out;
  EXPECT_NE(read_file(folder / "out/quality.svg").find("independent lsd, map"), std::string::npos);
  EXPECT_TRUE(fs::exists(folder / "out/samples.png"));

  for (const auto& [arguments, why] : {std::pair{"independent/checkpoint.h5 --solver map", "not a flow map"},
                                       {"neural_flow/checkpoint.h5 --solver euler", "has no velocity"},
                                       {"neural_flow/checkpoint.h5 --steps 1,2", "makes one step"},
                                       {"lsd/checkpoint.h5 --paths", "--paths needs a velocity"}}) {
    const Outcome refused = run(folder, "sdfm_eval", std::string(arguments) + " --data data.h5 --samples 50");
    EXPECT_EQ(refused.status, 1) << arguments;
    EXPECT_NE(refused.err.find(why), std::string::npos) << refused.err;
  }
  EXPECT_EQ(
      run(folder, "sdfm_eval", "lsd/checkpoint.h5 --data data.h5 --samples 50 --solver map,euler --dopri5").status, 0);
}

}  // namespace
}  // namespace monge::apps
