#include "monge/data/checkpoint.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include <bit>
#include <csignal>
#include <limits>

#include "monge/data/hdf5_writer.h"
#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;
using test::read_bytes;
using test::TemporaryFolder;

// Every float bit pattern of a kind, NaN payloads and infinities included.
std::vector<float> patterns(std::size_t count, std::uint32_t seed) {
  std::vector<float> values(count);
  for (float& v : values) v = std::bit_cast<float>(seed = seed * 1664525u + 1013904223u);
  return values;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
  return true;
}

Checkpoint sample() {
  Checkpoint c;
  c.config = "[train]\nsteps = 10  # \xc3\xa9t\xc3\xa9\n";
  c.step = std::numeric_limits<std::uint64_t>::max();
  c.seed = 1;
  for (const char* group : {"weights", "ema", "adam_m", "adam_v"}) {
    auto& tensors = c.groups[group];
    tensors.push_back({"z.weight", {3, 5, 7}, patterns(105, 1)});
    tensors.push_back({"a bias", {11}, patterns(11, 2)});
    tensors.push_back({"scale", {}, patterns(1, 3)});
    tensors.push_back({"none", {0, 4}, {}});
  }
  c.groups["empty"] = {};
  for (int i = 0; i < 20; ++i) c.counters["stream" + std::to_string(i)] = std::uint64_t{1} << (i + 44);
  c.scalars = {{"tiny", std::numeric_limits<double>::denorm_min()},
               {"minus zero", -0.0},
               {"nan", std::bit_cast<double>(0x7ff8000000001234u)}};
  c.lists = {{"coupling", {3, std::numeric_limits<std::int32_t>::min(), 0}}, {"none", {}}};
  return c;
}

void expect_same(const Checkpoint& a, const Checkpoint& b) {
  EXPECT_EQ(a.config, b.config);
  EXPECT_EQ(a.step, b.step);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.counters, b.counters);
  EXPECT_EQ(a.lists, b.lists);
  ASSERT_EQ(a.scalars.size(), b.scalars.size());
  for (const auto& [name, value] : a.scalars)
    EXPECT_EQ(std::bit_cast<std::uint64_t>(value), std::bit_cast<std::uint64_t>(b.scalars.at(name))) << name;
  ASSERT_EQ(a.groups.size(), b.groups.size());
  for (const auto& [name, tensors] : a.groups) {
    const auto& others = b.groups.at(name);
    ASSERT_EQ(tensors.size(), others.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      EXPECT_EQ(tensors[i].name, others[i].name);  // order kept
      EXPECT_EQ(tensors[i].shape, others[i].shape);
      EXPECT_TRUE(same_bits(tensors[i].values, others[i].values)) << name << "/" << tensors[i].name;
    }
  }
}

TEST(Checkpoint, ComesBackBitForBit) {
  const TemporaryFolder folder;
  save_checkpoint(sample(), folder / "a.h5");
  expect_same(sample(), load_checkpoint(folder / "a.h5"));
  save_checkpoint(sample(), folder / "b.h5");
  EXPECT_EQ(read_bytes(folder / "a.h5"), read_bytes(folder / "b.h5"));
}

TEST(Checkpoint, MayBeBare) {
  const TemporaryFolder folder;
  save_checkpoint({}, folder / "a.h5");
  expect_same({}, load_checkpoint(folder / "a.h5"));
}

TEST(Checkpoint, ManyTensorsKeepTheirOrder) {
  const TemporaryFolder folder;
  Checkpoint saved;
  for (int i = 0; i < 300; ++i) saved.groups["weights"].push_back({concat("t", i * 7919 % 300), {2}, {float(i), 1}});
  save_checkpoint(saved, folder / "a.h5");
  expect_same(saved, load_checkpoint(folder / "a.h5"));
}

TEST(Checkpoint, RefusesToSaveNonsense) {
  const TemporaryFolder folder;
  const auto save = [&](const auto& change) {
    return [&folder, change] {
      Checkpoint checkpoint = sample();
      change(checkpoint);
      save_checkpoint(checkpoint, folder / "a.h5");
    };
  };
  const auto code = Errc::invalid_argument;
  expect_error(code, {"weights/x", "3 values", "4"}, save([](Checkpoint& c) {
                 c.groups["weights"].push_back({"x", {2, 2}, {1, 2, 3}});
               }));
  expect_error(code, {"weights/scale", "twice"}, save([](Checkpoint& c) {
                 c.groups["weights"].push_back({"scale", {}, {1}});
               }));
  expect_error(code, {"'a/b'"}, save([](Checkpoint& c) { c.groups["weights"].push_back({"a/b", {}, {1}}); }));
  expect_error(code, {"'a?b' is no name"}, save([](Checkpoint& c) { c.scalars["a\nb"] = 1; }));
  expect_error(code, {"'.'"}, save([](Checkpoint& c) { c.groups["weights"].push_back({".", {}, {1}}); }));
  expect_error(code, {"''"}, save([](Checkpoint& c) { c.groups[""]; }));
  expect_error(code, {"''"}, save([](Checkpoint& c) { c.counters[""] = 1; }));
  expect_error(code, {"config"}, save([](Checkpoint& c) { c.config += '\0'; }));
  EXPECT_TRUE(folder.files().empty());
}

TEST(Checkpoint, RefusesContentsThatDoNotHold) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& contents, const std::vector<std::string>& words) {
    {
      Hdf5Writer file("test", folder / "a.h5");
      file.attribute("", "format", "monge-checkpoint");
      file.attribute("", "version", std::uint64_t{1});
      file.attribute("", "step", std::uint64_t{1});
      file.attribute("", "seed", std::uint64_t{1});
      file.text("config", "");
      file.text("contents", contents);
      file.group("counters");
      file.array("tensors/weights/double", {2}, std::vector<double>(2).data());
      file.commit();
    }
    expect_error(Errc::bad_file, words, [&] { load_checkpoint(folder / "a.h5"); });
  };
  refused("hello", {"load_checkpoint", "/contents", "'hello'"});
  refused("tensors/weights", {"/contents", "'tensors/weights'"});
  refused("tensors//w", {"/contents", "'tensors//w'"});
  refused("other/weights/w", {"/contents", "'other/weights/w'"});
  refused("counters/", {"/contents", "'counters/'"});
  refused("counters/a", {"/counters", "attribute a is missing"});
  refused("scalars/a", {"/scalars", "missing"});
  refused("tensors/weights/w", {"/tensors/weights/w", "missing"});
  refused("tensors/weights/double", {"/tensors/weights/double", "f64, not f32"});
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

// The disk fills up after every possible number of bytes: in the first metadata, among the values, at the closing
// flush.
TEST(Checkpoint, FullDiskLeavesTheOldFileAndNothingElse) {
  const TemporaryFolder folder;
  Checkpoint checkpoint = sample();
  save_checkpoint(checkpoint, folder / "a.h5");
  const std::string before = read_bytes(folder / "a.h5");
  checkpoint.step = 5;
  const std::size_t descriptors = open_descriptors();

  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old = {};
  getrlimit(RLIMIT_FSIZE, &old);
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  int failures = 0;
  for (std::size_t limit = 0; limit < before.size(); limit += 97) {
    const rlimit small = {limit, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    try {
      save_checkpoint(checkpoint, folder / "a.h5");
    } catch (const Error& error) {
      failures += error.code() == Errc::io && std::string(error.what()).find("File too large") != std::string::npos;
    }
    setrlimit(RLIMIT_FSIZE, &old);
    if (failures == 0) break;
  }
  EXPECT_EQ(::testing::internal::GetCapturedStdout() + ::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(failures, static_cast<int>((before.size() + 96) / 97));
  EXPECT_EQ(read_bytes(folder / "a.h5"), before);
  EXPECT_EQ(folder.files().size(), 1u);
  EXPECT_EQ(open_descriptors(), descriptors);
  for (int i = 0; i < 20; ++i) {  // HDF5 is none the worse for it
    save_checkpoint(checkpoint, folder / "a.h5");
    expect_same(checkpoint, load_checkpoint(folder / "a.h5"));
  }
}

TEST(Checkpoint, KilledWhileSavingIsAlwaysWhole) {
  const TemporaryFolder folder;
  const auto path = folder / "a.h5";
  const auto at_step = [](std::uint64_t step) {
    Checkpoint c;
    c.step = step;
    c.groups["weights"].push_back({"w", {500, 400}, std::vector<float>(200000, static_cast<float>(step))});
    return c;
  };
  save_checkpoint(at_step(0), path);
  std::uint32_t random = 12345;
  std::uint64_t last = 0;
  for (int round = 0; round < 20; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      for (std::uint64_t step = last + 1;; ++step) save_checkpoint(at_step(step), path);
    }
    random = random * 1664525u + 1013904223u;
    usleep(1000 + (random >> 8) % 40000);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    const Checkpoint c = load_checkpoint(path);
    EXPECT_GE(c.step, last);
    last = c.step;
    for (const float v : c.groups.at("weights").at(0).values) ASSERT_EQ(v, static_cast<float>(last));
    EXPECT_LE(folder.files().size(), 2u);  // at most one stale temporary: each save sweeps those before it
  }
  EXPECT_GT(last, 0u);
  save_checkpoint(at_step(1), path);
  EXPECT_EQ(folder.files(), std::vector<std::string>{"a.h5"});
}

}  // namespace
}  // namespace monge::data
