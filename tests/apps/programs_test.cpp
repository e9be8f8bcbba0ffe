// The programs from outside: what they leave, how they end, what they say to bad input.
#include <gtest/gtest.h>
#include <hdf5.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "monge/data/checkpoint.h"
#include "monge/data/potentials.h"
#include "monge/tests/apps/programs.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char* config = R"([data]
file = "data.h5"
[coupling]
kind = "semidiscrete"
pca = 0
[model]
width = 32
blocks = 1
time_features = 8
[train]
steps = 60
batch = 32
[output]
checkpoint_every = 5
sample_rows = 3
)";

class Programs : public testing::Test {
 protected:
  void SetUp() override {
    data::save_dataset(small_images(), folder / "data.h5");
    std::ofstream(folder / "config.toml") << config;
  }

  // One line on stderr that says what is wrong, the given exit status, and no file `absent`.
  void expect_refusal(const std::string& program, const std::string& arguments, const std::string& what, int status = 1,
                      const std::string& absent = "out.h5") {
    const Outcome outcome = run(folder, program, arguments);
    EXPECT_EQ(outcome.status, status) << program << " " << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(what), std::string::npos) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.err.find(program + ": error: "), 0u) << outcome.err;
    EXPECT_FALSE(fs::exists(folder / absent)) << program << " " << arguments;
    for (const auto& entry : fs::directory_iterator(folder.path())) {
      EXPECT_EQ(entry.path().string().find(".tmp"), std::string::npos) << entry.path();
    }
  }

  std::vector<float> weights(const std::string& name) {
    std::vector<float> all;
    const data::Checkpoint checkpoint = data::load_checkpoint(folder / name);
    for (const auto& [group, tensors] : checkpoint.groups) {
      for (const auto& tensor : tensors) all.insert(all.end(), tensor.values.begin(), tensor.values.end());
    }
    return all;
  }

  Folder folder;
};

TEST_F(Programs, TheWholeRoad) {
  ASSERT_EQ(run(folder, "ot_fit", "data.h5 --out potentials.h5 --json fit.json").status, 0);
  const auto fit = nlohmann::json::parse(read_file(folder / "fit.json"));
  EXPECT_LE(fit.at("chi2_upper").get<double>(), 0.06);
  EXPECT_EQ(fit.at("dimensions"), 16);
  EXPECT_GT(fit.at("samples_per_atom").get<double>(), 0);
  EXPECT_LE(fit.at("lower").get<double>(), fit.at("upper").get<double>());
  EXPECT_EQ(data::load_potentials(folder / "potentials.h5").g.size(), 300u);

  const Outcome trained = run(folder, "sdfm_train", "config.toml --set coupling.potentials=potentials.h5 --out a");
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_EQ(data::load_checkpoint(folder / "a" / "checkpoint.h5").step, 60u);
  const std::string log = read_file(folder / "a" / "metrics.jsonl");
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 60);
  EXPECT_EQ(read_file(folder / "a" / "samples.png").substr(1, 3), "PNG");

  ASSERT_EQ(run(folder, "sdfm_eval",
                "a/checkpoint.h5 --data data.h5 --samples 200 --exact 100 --steps 1,4 --solver euler,heun --dopri5 "
                "--json a/eval.json")
                .status,
            0);
  const auto eval = nlohmann::json::parse(read_file(folder / "a" / "eval.json"));
  ASSERT_EQ(eval.at("rows").size(), 5u);
  EXPECT_EQ(eval.at("rows")[1].at("nfe"), 4);
  EXPECT_EQ(eval.at("rows")[3].at("nfe"), 8);  // Heun evaluates twice
  EXPECT_GT(eval.at("floor").at("sliced_w2").get<double>(), 0);
  EXPECT_LT(eval.at("rows")[0].at("w2_lower").get<double>(), eval.at("rows")[0].at("w2").get<double>() * (1 + 1e-9));

  ASSERT_EQ(run(folder, "sdfm_sample", "a/checkpoint.h5 --out s.npy --count 7 --steps 3").status, 0);
  EXPECT_EQ(fs::file_size(folder / "s.npy"), 128 + 7 * 16 * sizeof(float));
  ASSERT_EQ(run(folder, "sdfm_sample", "a/checkpoint.h5 --out s.h5 --count 7 --steps 3").status, 0);
  EXPECT_EQ(data::load_dataset(folder / "s.h5").train.rows(), 7);

  const Outcome report = run(folder, "sdfm_report", "a --potentials fit.json --out r");
  ASSERT_EQ(report.status, 0) << report.err;
  const auto table = nlohmann::json::parse(read_file(folder / "r" / "table.json"));
  EXPECT_EQ(table.at("rows").size(), 5u);
  EXPECT_EQ(table.at("potentials").at("dimensions"), 16);
  for (const char* key :
       {"coupling", "seed", "solver", "steps", "nfe", "sliced_w2", "w2", "train_seconds", "step_ms"}) {
    EXPECT_TRUE(table.at("rows")[0].contains(key)) << key;
  }
}

TEST_F(Programs, ThreadsDoNotChangeABit) {
  for (const std::string threads : {"1", "2"}) {
    ASSERT_EQ(run(folder, "ot_fit", "data.h5 --out p" + threads + ".h5 --seed 3 --threads " + threads).status, 0);
    ASSERT_EQ(run(folder, "sdfm_train", "config.toml --seed 3 --out t" + threads + " --threads " + threads).status, 0);
  }
  EXPECT_EQ(data::load_potentials(folder / "p1.h5").g, data::load_potentials(folder / "p2.h5").g);
  EXPECT_EQ(weights("t1/checkpoint.h5"), weights("t2/checkpoint.h5"));
}

// Killed ten times at any moment, and gone on with: the same weights as if nothing had happened.
TEST_F(Programs, KilledRunsResumeToTheSameBits) {
  const std::string settings = "config.toml --set train.steps=1500 --set train.batch=64 --set model.width=96";
  ASSERT_EQ(run(folder, "sdfm_train", settings + " --out whole").status, 0);
  const auto whole_log = read_file(folder / "whole" / "metrics.jsonl");
  int killed = 0;
  std::string arguments = settings + " --out broken";
  for (std::uint64_t i = 0; i < 60 && killed < 10; ++i) {
    const pid_t child = start(folder, "sdfm_train", arguments);
    const double wait_ms = 20 + 130 * Rng::uniform(Rng{77}.bits(i).w[0]);
    std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(wait_ms));
    kill(child, SIGKILL);
    const Outcome outcome = finish(folder, child);
    killed += outcome.status == 128 + SIGKILL;
    if (outcome.status == 0) break;
    if (fs::exists(folder / "broken" / "checkpoint.h5")) {
      EXPECT_NO_THROW(weights("broken/checkpoint.h5"));
    }
    if (fs::exists(folder / "broken" / "config.toml")) arguments = "--resume broken";
  }
  EXPECT_EQ(killed, 10);
  const Outcome resumed = run(folder, "sdfm_train", arguments);
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(weights("whole/checkpoint.h5"), weights("broken/checkpoint.h5"));
  const std::string log = read_file(folder / "broken" / "metrics.jsonl");
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), std::count(whole_log.begin(), whole_log.end(), '\n'));
}

TEST_F(Programs, CtrlCSavesAndExits130) {
  const pid_t training = start(folder, "sdfm_train", "config.toml --set train.steps=100000 --out c");
  for (int i = 0; i < 200 && !fs::exists(folder / "c" / "checkpoint.h5"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  kill(training, SIGINT);
  EXPECT_EQ(finish(folder, training).status, 130);
  EXPECT_GT(data::load_checkpoint(folder / "c" / "checkpoint.h5").step, 0u);

  // The fit of a larger cloud, under way when the signal comes.
  data::Dataset large;
  large.train.x = Matrix<float>(20000, 64);
  fill_normal(Rng{1}, 0, {large.train.x.data(), 20000 * 64});
  data::save_dataset(large, folder / "large.h5");
  const pid_t fitting = start(folder, "ot_fit", "large.h5 --out partial.h5");
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  kill(fitting, SIGINT);
  EXPECT_EQ(finish(folder, fitting).status, 130);
  EXPECT_EQ(data::load_potentials(folder / "partial.h5").status, ot::Status::stopped_by_caller);
}

TEST_F(Programs, InterruptsEndEveryProgramWithALineAndItsCode) {
  // 16384 images of 64 x 64 take long enough to read.
  const auto put = [&](const std::string& name, const char* header, std::size_t values) {
    std::ofstream(folder / name, std::ios::binary)
        << std::string(header, values > 20000 ? 16 : 8) << std::string(values, 1);
  };
  put("train-images-idx3-ubyte", "\0\0\x08\x03\0\0\x40\0\0\0\0\x40\0\0\0\x40", 16384 * 4096);
  put("train-labels-idx1-ubyte", "\0\0\x08\x01\0\0\x40\0", 16384);
  fs::create_symlink("train-images-idx3-ubyte", folder / "t10k-images-idx3-ubyte");
  fs::create_symlink("train-labels-idx1-ubyte", folder / "t10k-labels-idx1-ubyte");
  for (const auto& [signal, code] : {std::pair{SIGINT, 130}, {SIGTERM, 143}}) {
    const pid_t importing = start(folder, "ot_data", "import fashion-mnist --from . --out out.h5");
    await_handlers(importing);
    kill(importing, signal);
    const Outcome outcome = finish(folder, importing);
    EXPECT_EQ(outcome.status, code) << outcome.err;
    EXPECT_EQ(outcome.err, "ot_data: interrupted\n");
    EXPECT_FALSE(fs::exists(folder / "out.h5"));
  }
}

TEST_F(Programs, UsageIsRefusedWithStatus2) {
  expect_refusal("ot_data", "", "subcommand", 2);
  expect_refusal("ot_data", "info", "file", 2);
  expect_refusal("ot_data", "info missing.h5", "missing.h5");
  expect_refusal("ot_fit", "data.h5 --out out.h5 --pca 1e400", "must be a whole number of at least 0, not 1e400", 2);
  expect_refusal("ot_fit", "data.h5 --out out.h5 --seed -1", "must be a whole number of at least 0, not -1", 2);
  for (const char* program : {"ot_data", "ot_fit", "sdfm_train", "sdfm_sample", "sdfm_eval", "sdfm_report"}) {
    EXPECT_EQ(run(folder, program, "--help").status, 0);
    expect_refusal(program, "--help >/dev/full", "standard output");
    expect_refusal(program, "--nonsense", "--help says more", 2);
  }
}

// "--set a=b FILE": FILE is the config.
TEST_F(Programs, OptionsTakeOneValueAtATime) {
  const Outcome trained = run(folder, "sdfm_train", "--set train.steps=2 --set train.batch=16 config.toml");
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_EQ(data::load_checkpoint(folder / "runs" / "config" / "checkpoint.h5").step, 2u);
  const std::string sizes = "--samples 50 --exact 50 --data data.h5 --json e.json ";
  const Outcome eval =
      run(folder, "sdfm_eval", sizes + "--solver euler --steps 1,2 --steps 4 runs/config/checkpoint.h5");
  ASSERT_EQ(eval.status, 0) << eval.err;
  EXPECT_EQ(nlohmann::json::parse(read_file(folder / "e.json")).at("rows").size(), 3u);
}

TEST_F(Programs, RefuseBadConfigs) {
  const auto with = [&](const std::string& text) {
    std::ofstream(folder / "bad.toml") << text;
    return std::string("bad.toml --out out.h5");
  };
  expect_refusal("sdfm_train", with("[train]\nstepz = 5\n"), "train.stepz");
  expect_refusal("sdfm_train", with("[train]\nsteps = \"many\"\n"), "train.steps");
  expect_refusal("sdfm_train", with("[train]\nsteps = -5\n"), "train.steps");
  expect_refusal("sdfm_train", with("[train\n"), "bad.toml");
  expect_refusal("sdfm_train", "missing.toml --out out.h5", "missing.toml");
  expect_refusal("sdfm_train", with(""), "data.file");
  expect_refusal("sdfm_train", "config.toml --set nothing.here=1 --out out.h5", "nothing.here");
  expect_refusal("sdfm_train", "config.toml --set data.file=missing.h5 --out out.h5", "missing.h5");
  expect_refusal("sdfm_train", "config.toml --device cuda:0 --out out.h5", "cuda");
  expect_refusal("sdfm_train", "--resume nowhere", "nowhere");
  expect_refusal("sdfm_train", "config.toml --nonsense", "--nonsense", 2);
}

TEST_F(Programs, RefuseBadData) {
  data::Dataset broken = small_images();
  std::ofstream(folder / "text.h5") << "not HDF5";
  expect_refusal("ot_fit", "text.h5 --out out.h5", "text.h5");
  expect_refusal("ot_fit", "missing.h5 --out out.h5", "missing.h5");
  expect_refusal("ot_fit", "data.h5 --out nowhere/out.h5", "--out: cannot write nowhere/out.h5");
  expect_refusal("ot_fit", "data.h5 --out -", "./-", 1, "-");
  expect_refusal("ot_fit", "data.h5 --out out.h5 --pca 17", "pca");
  expect_refusal("ot_fit", "data.h5 --out out.h5 --epsilon -1", "epsilon", 2);
  expect_refusal("ot_data", "import fashion-mnist --from nowhere --out out.h5", "nowhere");

  // NaN, named by row and column. By plain HDF5: with a digest the file would be refused as damaged before that.
  Matrix<float> x = small_images().train.x;
  x(5, 3) = std::numeric_limits<float>::quiet_NaN();
  const hsize_t shape[2] = {300, 16};
  const hid_t nan = H5Fcreate((folder / "nan.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(2, shape, nullptr);
  const hid_t array = H5Dcreate2(nan, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(array, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x.data());
  H5Dclose(array);
  H5Sclose(space);
  H5Fclose(nan);
  expect_refusal("ot_fit", "nan.h5 --out out.h5", "nan.h5: /x: row 5, column 3: nan");

  ASSERT_EQ(run(folder, "ot_fit", "data.h5 --out potentials.h5").status, 0);
  broken.train.x(0, 0) = 0.123f;
  data::save_dataset(broken, folder / "other.h5");
  expect_refusal("sdfm_train", "config.toml --set data.file=other.h5 --set coupling.potentials=potentials.h5 --out run",
                 "belong to other data");

  // A link out of the file.
  const hid_t file = H5Fcreate((folder / "link.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_external("data.h5", "/x", file, "/x", H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(file);
  expect_refusal("ot_fit", "link.h5 --out out.h5", "link.h5");
}

// Else hours of work could end by overwriting the data.
TEST_F(Programs, OutputsAreNeitherInputsNorEachOther) {
  const std::string before = read_file(folder / "data.h5");
  fs::create_symlink("data.h5", folder / "link.h5");
  expect_refusal("ot_fit", "data.h5 --out ./data.h5", "--out ./data.h5 is the same file as the data file");
  expect_refusal("ot_fit", "data.h5 --out link.h5", "same file");
  expect_refusal("ot_fit", "link.h5 --out out.h5 --json data.h5", "same file");
  expect_refusal("ot_fit", "data.h5 --out out.h5 --json ./out.h5", "--json ./out.h5 is the same file as --out");
  EXPECT_EQ(read_file(folder / "data.h5"), before);
}

TEST_F(Programs, AFullDiskIsSaidAndLeavesNothing) {
  // The shell's file size limit stands in for the disk: 8 blocks of 512 bytes.
  const Outcome outcome = finish(folder, [&] {
    const pid_t child = fork();
    if (child == 0) {
      const rlimit limit{4096, 4096};
      setrlimit(RLIMIT_FSIZE, &limit);
      const std::string command = "cd " + folder.path().string() + " && exec " + MONGE_BIN +
                                  "/ot_fit data.h5 --out out.h5 >stdout.txt 2>stderr.txt";
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    return child;
  }());
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("out.h5"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(folder / "out.h5"));

  const Outcome info = run(folder, "ot_data", "info data.h5 >/dev/full");
  EXPECT_EQ(info.status, 1);
  EXPECT_EQ(info.err, "ot_data: error: cannot write to standard output: No space left on device\n");
}

// A closed standard output must not become the number of the next file opened.
TEST_F(Programs, ClosedStreamsSpoilNoFile) {
  const Outcome outcome = run(folder, "ot_fit", "data.h5 --out out.h5 >&- 2>&-");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(data::load_potentials(folder / "out.h5").status, ot::Status::converged);
}

}  // namespace
}  // namespace monge::apps
