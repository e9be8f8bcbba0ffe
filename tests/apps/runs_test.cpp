// What a run refuses, how it is stopped, and how it goes on.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "monge/apps/common/metrics_log.h"
#include "monge/data/checkpoint.h"
#include "monge/data/potentials.h"
#include "monge/tests/apps/programs.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char* config = R"([data]
file = "data.h5"
[model]
width = 32
blocks = 1
time_features = 8
[train]
steps = 40
batch = 32
[output]
checkpoint_every = 10
sample_rows = 0
)";

class Runs : public testing::Test {
 protected:
  void SetUp() override {
    data::save_dataset(small_images(), folder / "data.h5");
    std::ofstream(folder / "config.toml") << config;
  }

  Outcome train(const std::string& arguments) { return run(folder, "sdfm_train", arguments); }

  void expect_refusal(const std::string& program, const std::string& arguments, const std::string& what,
                      int status = 1) {
    const Outcome outcome = run(folder, program, arguments);
    EXPECT_EQ(outcome.status, status) << program << " " << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(what), std::string::npos) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.err.find(program + ": error: "), 0u) << outcome.err;
  }

  // Sends a signal once `ready`, and returns how the program ended.
  Outcome stop(pid_t child, int signal, const std::function<bool()>& ready) {
    for (int i = 0; i < 1000 && !ready(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    kill(child, signal);
    return finish(folder, child);
  }

  std::vector<float> weights(const std::string& name) {
    const data::Checkpoint checkpoint = data::load_checkpoint(folder / name);
    std::vector<float> all;
    for (const auto& [group, tensors] : checkpoint.groups) {
      for (const auto& tensor : tensors) all.insert(all.end(), tensor.values.begin(), tensor.values.end());
    }
    return all;
  }

  Folder folder;
};

TEST_F(Runs, AnInterruptSavesTheVeryStep) {
  ASSERT_EQ(train("config.toml --set train.steps=3000 --out whole").status, 0);
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string name = "stopped" + std::to_string(signal);
    const pid_t child = start(folder, "sdfm_train",
                              "config.toml --set train.steps=3000 --set output.checkpoint_every=100000 --out " + name);
    const fs::path log = folder / name / "metrics.jsonl";
    const Outcome outcome = stop(child, signal, [&] { return fs::exists(log) && fs::file_size(log) > 0; });
    ASSERT_EQ(outcome.status, 128 + signal) << outcome.err;
    EXPECT_NE(outcome.err.find("--resume " + name), std::string::npos) << outcome.err;
    const auto saved = data::load_checkpoint(folder / name / "checkpoint.h5");
    EXPECT_EQ(read_metrics(log).back().step, saved.step);
    EXPECT_GT(saved.step, 0u);
    ASSERT_LT(saved.step, 3000u) << "it ended before it was stopped";

    ASSERT_EQ(train("--resume " + name).status, 0);
    EXPECT_EQ(weights("whole/checkpoint.h5"), weights(name + "/checkpoint.h5"));
    const auto records = read_metrics(log), whole = read_metrics(folder / "whole/metrics.jsonl");
    ASSERT_EQ(records.size(), whole.size());
    for (std::size_t i = 0; i < records.size(); ++i) {
      ASSERT_EQ(records[i].step, i + 1);
      ASSERT_EQ(records[i].loss, whole[i].loss);
      ASSERT_GE(records[i].seconds, i > 0 ? records[i - 1].seconds : 0);
    }
  }
}

TEST_F(Runs, EvaluationAndSamplingStopToo) {
  ASSERT_EQ(train("config.toml --out a").status, 0);
  for (const std::string arguments :
       {"sdfm_eval a/checkpoint.h5 --data data.h5 --samples 300 --steps 1000000 --json out",
        "sdfm_sample a/checkpoint.h5 --steps 1000000 --out out.npy"}) {
    const std::size_t space = arguments.find(' ');
    const pid_t child = start(folder, arguments.substr(0, space), arguments.substr(space + 1));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_EQ(stop(child, SIGINT, [] { return true; }).status, 130) << arguments;
    EXPECT_FALSE(fs::exists(folder / "out") || fs::exists(folder / "out.npy"));  // nothing was finished
  }
}

TEST_F(Runs, AnInterruptedEvaluationKeepsItsFinishedRows) {
  ASSERT_EQ(train("config.toml --out a").status, 0);
  const std::string arguments = "a/checkpoint.h5 --data data.h5 --samples 200 --exact 1000 --json out --steps ";
  ASSERT_EQ(run(folder, "sdfm_eval", arguments + "1,2").status, 0);
  const auto whole = nlohmann::json::parse(read_file(folder / "out"));
  EXPECT_EQ(whole.at("complete"), true);
  EXPECT_EQ(whole.at("exact_rows"), 200);  // all there are

  Outcome outcome;
  for (int wait_ms = 500; wait_ms < 20000; wait_ms *= 3) {  // nothing tells from outside when two rows are done
    const pid_t child = start(folder, "sdfm_eval", arguments + "1,2,100000000");
    std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
    outcome = stop(child, SIGINT, [] { return true; });
    EXPECT_EQ(outcome.status, 130);
    if (outcome.err.find("2 of 3") != std::string::npos) break;
  }
  EXPECT_NE(outcome.err.find("sdfm_eval: interrupted after 2 of 3 rows, which are saved\n"), std::string::npos)
      << outcome.err;
  const auto part = nlohmann::json::parse(read_file(folder / "out"));
  EXPECT_EQ(part.at("complete"), false);
  EXPECT_EQ(part.at("floor"), whole.at("floor"));
  ASSERT_EQ(part.at("rows").size(), 2u);
  for (const std::size_t i : {0, 1}) {
    for (const char* key : {"steps", "nfe", "sliced_w2", "w2"}) {
      EXPECT_EQ(part.at("rows")[i].at(key), whole.at("rows")[i].at(key)) << i << key;
    }
  }
}

TEST_F(Runs, OutputsAreJudgedBeforeAnyWork) {
  ASSERT_EQ(train("config.toml --out a").status, 0);
  const std::string checkpoint = read_file(folder / "a/checkpoint.h5");
  fs::create_hard_link(folder / "a/checkpoint.h5", folder / "same.h5");
  fs::create_symlink("data.h5", folder / "link");
  const std::string eval = "a/checkpoint.h5 --data data.h5 --samples 20 --json ";
  expect_refusal("sdfm_eval", eval + "data.h5", "--json data.h5 is the same file as --data data.h5");
  expect_refusal("sdfm_eval", eval + "link", "--data data.h5");
  expect_refusal("sdfm_eval", eval + "same.h5", "the checkpoint a/checkpoint.h5");
  expect_refusal("sdfm_sample", "a/checkpoint.h5 --out same.h5", "the checkpoint a/checkpoint.h5");
  EXPECT_EQ(read_file(folder / "a/checkpoint.h5"), checkpoint);

  const std::string sample = "a/checkpoint.h5 --out ";
  expect_refusal("sdfm_sample", sample + "s.npy --columns 3", "--columns");
  expect_refusal("sdfm_sample", sample + "s.npy --count 9000000000000000000", "--count", 2);
  expect_refusal("sdfm_sample", sample + "s.npy --seed 9223372036854775808", "--seed", 2);
  expect_refusal("sdfm_sample", sample + "s.png --count 1000000000", "too many pixels");
  expect_refusal("sdfm_sample", sample + "s.npy --rtol 0 --atol 0", "--atol: must be a number above 0, not 0 (", 2);
  expect_refusal("sdfm_sample", sample + "s.npy --guidance nan", "--guidance: must be a finite number, not nan", 2);
  expect_refusal("sdfm_eval", eval + "j.json --picture o.png", "--picture: writes .svg, not o.png", 2);
  EXPECT_FALSE(fs::exists(folder / "s.npy") || fs::exists(folder / "s.png"));

  // PNG keeps width and height in bytes 16 to 23.
  const auto size = [&](const std::string& arguments) {
    EXPECT_EQ(run(folder, "sdfm_sample", sample + "s.png --steps 1 " + arguments).status, 0);
    const std::string png = read_file(folder / "s.png");
    return std::pair<int, int>{static_cast<unsigned char>(png[19]), static_cast<unsigned char>(png[23])};
  };
  EXPECT_EQ(size("--count 20 --columns 7"), (std::pair<int, int>{7 * 6 - 2, 3 * 6 - 2}));
  expect_refusal("sdfm_sample", sample + "s.png --count 7 --columns 9", "--columns 9: there are 7 samples");
}

TEST_F(Runs, GoOnFromAnywhereWithTheirOwnConfigOnly) {
  ASSERT_EQ(train("config.toml --set output.log_every=7 --out a").status, 0);
  EXPECT_EQ(read_metrics(folder / "a/metrics.jsonl").size(), 6u);  // 7, 14, ..., 35 and the last
  expect_refusal("sdfm_train", "config.toml --out a", "holds a run already");
  expect_refusal("sdfm_train", "--resume a --set train.batch=64", "train.batch is 64, was 32");
  expect_refusal("sdfm_train", "--resume a --seed 5", "run.seed is 5, was 0");
  expect_refusal("sdfm_train", "config.toml --resume a", "output.log_every is 1, was 7");
  std::ofstream(folder / "seeded.toml") << "[run]\nseed = 4\n" << config << "log_every = 7\n";
  expect_refusal("sdfm_train", "seeded.toml --resume a", "run.seed is 4, was 0");
  ASSERT_EQ(train("config.toml --resume a --set output.log_every=7").status, 0);

  fs::rename(folder / "data.h5", folder / "moved.h5");
  expect_refusal("sdfm_train", "--resume a", "data.h5");
  ASSERT_EQ(train("--resume a --set data.file=moved.h5").status, 0);
  fs::create_directory(folder / "elsewhere");
  fs::rename(folder / "a", folder / "elsewhere/a");
  const Folder other_folder;
  ASSERT_EQ(run(other_folder, "sdfm_train", "--resume " + folder("elsewhere/a")).status, 0);

  data::Dataset other = small_images();
  other.train.x(0, 0) = 0.25f;
  data::save_dataset(other, folder / "other.h5");
  expect_refusal("sdfm_train", "--resume elsewhere/a --set data.file=other.h5", "not the data of the run");

  std::string text = read_file(folder / "elsewhere/a/config.toml");
  text.replace(text.find("batch = 32"), 10, "batch = 16");
  std::ofstream(folder / "elsewhere/a/config.toml") << text;
  expect_refusal("sdfm_train", "--resume elsewhere/a", "train.batch is 16, was 32");
}

TEST_F(Runs, LeaveNothingWhenTheyCannotStart) {
  for (const auto& [setting, what] : {std::pair<std::string, std::string>{"model.time_features=7", "time_features"},
                                      {"coupling.kind=semidiscrete --set coupling.potentials=missing.h5", "missing.h5"},
                                      {"coupling.kind=semidiscrete --set coupling.potentials=data.h5", "data.h5"},
                                      {"data.digest=xxh64:0", "not the data of the run"},
                                      {"coupling.kind=minibatch --set coupling.ot_batch=48",
                                       "coupling.ot_batch is 48, no multiple of train.batch, which is 32"},
                                      {"data.file=caf\xE9.h5", "not a TOML value"},
                                      {"train.steps=5 --seed -1", "--seed"},
                                      {"train.steps=5 --seed 9223372036854775808", "--seed"}}) {
    expect_refusal("sdfm_train", "config.toml --out new/a --set " + setting, what, setting.find("--seed") < 99 ? 2 : 1);
    EXPECT_FALSE(fs::exists(folder / "new")) << setting;
  }
  expect_refusal("sdfm_train", "config.toml --out /proc/a", "/proc/a");
  expect_refusal("sdfm_train", "config.toml --out config.toml/a", "config.toml/a");
  expect_refusal("sdfm_train", "", "CONFIG.toml or --resume DIR", 2);
  expect_refusal("sdfm_train", "config.toml --out a --resume b", "--resume", 2);
  expect_refusal("sdfm_train", "config.toml --out a --threads -1", "--threads", 2);
  for (const char* program : {"sdfm_train", "sdfm_sample", "sdfm_eval", "sdfm_report", "sdfm_classifier", "ot_fit",
                              "ot_solve", "coupling_cost"})
    expect_refusal(program, "x --threads 100000", "--threads: must be a whole number from 0 to 1024, not 100000", 2);
}

TEST_F(Runs, KeepTheLargestSeed) {
  ASSERT_EQ(train("config.toml --seed 9223372036854775807 --out a").status, 0);
  ASSERT_EQ(train("--resume a").status, 0);
  EXPECT_EQ(data::load_checkpoint(folder / "a/checkpoint.h5").seed, 9223372036854775807u);
}

TEST_F(Runs, TouchNobodysFiles) {
  const auto holding = [&](const std::string& name, const std::string& text) {
    fs::remove_all(folder / "full");
    fs::create_directory(folder / "full");
    std::ofstream(folder / "full" / name) << text;
    expect_refusal("sdfm_train", "config.toml --out full", "full: holds other files (" + name + ")");
    EXPECT_EQ(read_file(folder / "full" / name), text);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder / "full"), {}), 1);
  };
  for (const char* name : {"notes.txt", "metrics.jsonl", "potentials.h5", "samples.png", ".hidden"}) holding(name, "!");
  holding("config.toml", "[other]\nprogram = true\n");
  expect_refusal("sdfm_train", "--resume full", "unknown key other.program");

  fs::create_directory(folder / "empty");
  expect_refusal("sdfm_train", "--resume empty", "empty: holds no run");
  std::ofstream(folder / "empty/.config.toml.17-0.tmp") << "[run";  // of a process killed while it wrote
  EXPECT_EQ(train("config.toml --out empty").status, 0);
  EXPECT_FALSE(fs::exists(folder / "empty/.config.toml.17-0.tmp"));
}

TEST_F(Runs, AFolderBelongsToOneProcess) {
  const pid_t child = start(folder, "sdfm_train", "config.toml --set train.steps=10000000 --out a");
  const fs::path log = folder / "a/metrics.jsonl";
  for (int i = 0; i < 1000 && !(fs::exists(log) && fs::file_size(log) > 0); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const auto second = [&](const std::string& arguments) {  // `finish` reads the first one's output
    const int status = std::system(
        ("cd " + folder.path().string() + " && " + MONGE_BIN + "/sdfm_train " + arguments + " >second.txt 2>&1")
            .c_str());
    EXPECT_EQ(WEXITSTATUS(status), 1) << arguments;
    return read_file(folder / "second.txt");
  };
  for (const std::string arguments : {"config.toml --out a", "--resume a"}) {
    EXPECT_EQ(second(arguments), "sdfm_train: error: a: another process is training in this folder\n");
  }
  EXPECT_EQ(stop(child, SIGINT, [] { return true; }).status, 130);
}

TEST_F(Runs, AnInterruptedFitIsSavedAndGoneOnWith) {
  data::Dataset large;  // takes seconds to fit
  large.train.x = Matrix<float>(4000, 64);
  fill_normal(Rng{1}, 0, {large.train.x.data(), 4000 * 64});
  data::save_dataset(large, folder / "large.h5");
  const std::string settings =
      "config.toml --set data.file=large.h5 --set coupling.kind=semidiscrete --set coupling.tolerance=0.02 --out ";
  const pid_t child = start(folder, "sdfm_train", settings + "a");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const Outcome outcome = stop(child, SIGINT, [] { return true; });
  ASSERT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("sdfm_train: stopped during the fit; a/potentials.h5 holds what it reached; sdfm_train "
                             "--resume a fits again\n"),
            std::string::npos)
      << outcome.err;
  const data::PotentialsFile part = data::load_potentials(folder / "a/potentials.h5");
  EXPECT_EQ(part.status, ot::Status::stopped_by_caller);
  EXPECT_EQ(part.g.size(), 4000u);
  EXPECT_FALSE(fs::exists(folder / "a/checkpoint.h5"));

  // To the same bits as a fit in one go.
  ASSERT_EQ(train("--resume a").status, 0);
  ASSERT_EQ(train(settings + "whole").status, 0);
  EXPECT_EQ(data::load_potentials(folder / "a/potentials.h5").g,
            data::load_potentials(folder / "whole/potentials.h5").g);
  EXPECT_EQ(weights("a/checkpoint.h5"), weights("whole/checkpoint.h5"));
}

TEST_F(Runs, SayWhatTheirPotentialsAreWorth) {
  ASSERT_EQ(run(folder, "ot_fit", "data.h5 --out rough.h5 --max-samples 2").status, 0);
  ASSERT_EQ(run(folder, "ot_fit", "data.h5 --out good.h5").status, 0);
  const std::string with = "config.toml --set coupling.kind=semidiscrete --set coupling.potentials=";
  const Outcome rough = train(with + "rough.h5 --out a");
  EXPECT_EQ(rough.status, 0);
  EXPECT_NE(rough.err.find("rough.h5: the fit of these potentials ended with iteration_limit; the chi-square of their "
                           "marginal is at most "),
            std::string::npos)
      << rough.err;
  EXPECT_NE(read_file(folder / "a/config.toml").find("status = \"iteration_limit\""), std::string::npos);
  EXPECT_EQ(train("--resume a").status, 0);
  expect_refusal("sdfm_train", with + "rough.h5 --set coupling.status=converged --out b",
                 "coupling.status is converged, theirs is iteration_limit");
  const Outcome good = train(with + "good.h5 --set coupling.status=converged --out b");
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_EQ(good.err.find("warning"), std::string::npos) << good.err;
}

// Refused by the outcome of the fit: the folder can be had again.
TEST_F(Runs, LeaveNothingWhenTheirFitIsRefused) {
  const std::string own = "config.toml --out new/a --set coupling.kind=semidiscrete --set coupling.status=";
  const Outcome refused = train(own + "iteration_limit");
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("coupling.status is iteration_limit, theirs is converged"), std::string::npos)
      << refused.err;
  EXPECT_FALSE(fs::exists(folder / "new"));
  fs::create_directory(folder / "new");
  EXPECT_EQ(train(own + "iteration_limit").status, 1);
  EXPECT_TRUE(fs::is_empty(folder / "new"));
  EXPECT_EQ(train(own + "converged").status, 0);
}

TEST_F(Runs, TrainOnWhatNoPictureCanShow) {
  data::Dataset two_channels = small_images(), constant = small_images();
  two_channels.image = {4, 2, 2};
  std::fill_n(constant.train.x.data(), 300 * 16, 0.5f);
  for (const auto& [dataset, why] : {std::pair{&two_channels, "images of 2 channels"}, {&constant, "are 0.5"}}) {
    fs::remove_all(folder / "a");
    data::save_dataset(*dataset, folder / "data.h5");
    const Outcome outcome = train("config.toml --set output.sample_rows=2 --out a");
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_NE(outcome.err.find(std::string("there will be no samples.png: ")), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find(why), std::string::npos) << outcome.err;
    EXPECT_FALSE(fs::exists(folder / "a/samples.png"));
    expect_refusal("sdfm_sample", "a/checkpoint.h5 --out s.png", why);
    EXPECT_EQ(run(folder, "sdfm_sample", "a/checkpoint.h5 --out s.npy").status, 0);
  }
}

TEST_F(Runs, CheckpointsAreJudgedBeforeUse) {
  ASSERT_EQ(train("config.toml --out a").status, 0);
  expect_refusal("sdfm_sample", "data.h5 --out s.npy", "data.h5");
  expect_refusal("sdfm_sample", "a/checkpoint.h5 --out s.gif", "s.gif");
  expect_refusal("sdfm_sample", "a/checkpoint.h5 --out nowhere/s.png", "nowhere");
  expect_refusal("sdfm_sample", "a/checkpoint.h5 --out s.png --solver rk5", "rk5", 2);
  expect_refusal("sdfm_eval", "a/checkpoint.h5 --data data.h5", "--samples 300");

  data::Dataset flat;
  flat.train.x = Matrix<float>(20, 3);
  flat.test.x = Matrix<float>(20, 3);
  std::fill_n(flat.train.x.data(), 60, 0.5f);
  std::fill_n(flat.test.x.data(), 60, 0.5f);
  data::save_dataset(flat, folder / "flat.h5");
  expect_refusal("sdfm_eval", "a/checkpoint.h5 --data flat.h5 --samples 20", "3 dimensions, the model has 16");

  data::Checkpoint checkpoint = data::load_checkpoint(folder / "a/checkpoint.h5");
  const auto spoiled = [&](const std::function<void(data::Checkpoint&)>& spoil, const std::string& what) {
    data::Checkpoint bad = checkpoint;
    spoil(bad);
    data::save_checkpoint(bad, folder / "bad.h5");
    expect_refusal("sdfm_sample", "bad.h5 --out s.npy", what);
  };
  spoiled([](auto& c) { c.groups["ema"][0].values[0] = std::numeric_limits<float>::infinity(); }, "NaN or infinity");
  spoiled([](auto& c) { c.groups["ema"][0].name = "odd"; }, "odd");
  spoiled([](auto& c) { c.groups["ema"].pop_back(); }, "ema");
  spoiled([](auto& c) { c.groups.erase("ema"); }, "ema");
  spoiled([](auto& c) { c.counters["dimensions"] = 17; }, "does not fit");
  spoiled([](auto& c) { c.counters["dimensions"] = std::uint64_t{1} << 60; }, "dimensions");
  spoiled([](auto& c) { c.counters["image_height"] = 5; }, "images of 20 values");
  spoiled([](auto& c) { c.scalars.erase("low"); }, "low");
  spoiled([](auto& c) { c.config = "[train]\nstep = 3\n"; }, "did you mean train.steps?");
  EXPECT_FALSE(fs::exists(folder / "s.npy"));
}

// One line a failed write: standard output on a full disk.
TEST_F(Runs, SayWhenStandardOutputIsFull) {
  ASSERT_EQ(train("config.toml --out a").status, 0);
  const Outcome outcome = [&] {
    const pid_t child = fork();
    if (child == 0) {
      const std::string command =
          "cd " + folder.path().string() + " && exec " + MONGE_BIN +
          "/sdfm_eval a/checkpoint.h5 --data data.h5 --samples 50 --exact 20 --steps 1 --device "
          "cpu --json - >/dev/full 2>stderr.txt";
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    return finish(folder, child);
  }();
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("standard output"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace monge::apps
