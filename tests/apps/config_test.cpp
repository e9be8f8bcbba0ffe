#include "monge/apps/common/config.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "monge/apps/common/train_config.h"
#include "monge/apps/common/unused_keys.h"
#include "monge/ot/core/error.h"
#include "monge/tests/data/support.h"

namespace monge::apps {
namespace {

using test::expect_error;

struct Settings {
  bool fast = false;
  std::int64_t steps = 10;
  std::uint64_t seed = 1;
  double rate = 0.1;
  std::string kind = "plain", path = "";

  Config bind() {
    Config config;
    config.add("run.seed", seed, "of everything", {});
    config.add("run.fast", fast, "or slow");
    config.add("train.steps", steps, "how many", {.low = 1, .high = 100});
    config.add("train.rate", rate, "how much", {.low = 0, .high = 1, .above_low = true, .below_high = true});
    config.add("data.kind", kind, "which", {"plain", "odd"});
    config.add("data.path", path, "where");
    return config;
  }
};

// What is said when `text` is read as the file c.toml.
void refuses(const std::string& text, const std::vector<std::string>& words) {
  Settings settings;
  expect_error(Errc::invalid_argument, words, [&] { settings.bind().read_text(text, "c.toml"); });
}

TEST(Config, ReadsEveryType) {
  Settings s;
  s.bind().read_text("run.fast = true\n[train]\nsteps = 7\nrate = 5e-1\n[data]\nkind = 'odd'\npath = \"a b\"\n",
                     "c.toml");
  EXPECT_TRUE(s.fast);
  EXPECT_EQ(s.steps, 7);
  EXPECT_EQ(s.rate, 0.5);
  EXPECT_EQ(s.kind, "odd");
  EXPECT_EQ(s.path, "a b");
  EXPECT_EQ(s.seed, 1u);  // left alone
}

TEST(Config, RefusesUnknownKeysWithTheNearestOne) {
  refuses("[train]\nsteps = 3\nstep = 4\n", {"c.toml:3: ", "unknown key train.step", "did you mean train.steps?"});
  refuses("steps = 3\n", {"c.toml:1: ", "unknown key steps", "did you mean train.steps?"});
  refuses("[train]\nmomentum = 3\n", {"unknown key train.momentum"});
  refuses("[train.rate]\nx = 3\n", {"unknown key train.rate.x"});
  Settings s;
  try {
    s.bind().read_text("[other]\nthing = 1\n", "c.toml");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find("did you mean"), std::string::npos) << e.what();
  }
}

TEST(Config, RefusesWrongTypesNamingBoth) {
  refuses("[train]\n\nsteps = \"7\"\n", {"c.toml:3: ", "train.steps must be an integer, not a string"});
  refuses("[train]\nsteps = 7.0\n", {"train.steps must be an integer, not a number"});
  refuses("[train]\nsteps = [7]\n", {"train.steps must be an integer, not an array"});
  refuses("[train]\nrate = true\n", {"train.rate must be a number, not true or false"});
  refuses("[run]\nfast = 1\n", {"run.fast must be true or false, not an integer"});
  refuses("[data]\nkind = 1979-05-27\n", {"data.kind must be a string, not a date or time"});
}

TEST(Config, RefusesValuesOutOfRange) {
  refuses("train.steps = 0", {"train.steps must be at least 1, not 0"});
  refuses("train.steps = 101", {"train.steps must be at most 100, not 101"});
  refuses("train.rate = 0", {"train.rate must be above 0"});
  refuses("train.rate = 1", {"train.rate must be below 1"});
  refuses("train.rate = nan", {"train.rate must be finite"});
  refuses("train.rate = -inf", {"train.rate must be finite"});
  refuses("run.seed = -1", {"run.seed must not be negative"});
  refuses("data.kind = 'even'", {"data.kind must be one of \"plain\", \"odd\", not \"even\""});
  refuses("data.path = \"a\\u0000b\"", {"data.path holds a zero byte"});
}

TEST(Config, RefusesWhatIsNotToml) {
  refuses("[train]\nsteps = = 3\n", {"c.toml:2: ", "not valid TOML"});
  refuses("[train\n", {"c.toml:1: "});
  refuses("train.steps = 3\ntrain.steps = 4\n", {"c.toml:2: "});
}

TEST(Config, RefusesFilesThatCannotBeRead) {
  const test::TemporaryFolder folder;
  Settings s;
  expect_error(Errc::io, {"missing.toml", "No such file"}, [&] { s.bind().read_file(folder / "missing.toml"); });
  expect_error(Errc::io, {"folder"}, [&] { s.bind().read_file(folder.path()); });
  std::ofstream(folder / "c.toml") << "train.steps = 0\n";
  expect_error(Errc::invalid_argument, {(folder / "c.toml").string() + ":1: "},
               [&] { s.bind().read_file(folder / "c.toml"); });
}

TEST(Config, SetTakesTextWithAndWithoutQuotes) {
  Settings s;
  Config config = s.bind();
  config.set("train.steps=42");
  config.set(" data.kind = odd ");
  config.set("data.path=runs/a=b \"c\" \\d");
  EXPECT_EQ(s.steps, 42);
  EXPECT_EQ(s.kind, "odd");
  EXPECT_EQ(s.path, "runs/a=b \"c\" \\d");
  config.set("data.path=\"q\"");
  EXPECT_EQ(s.path, "q");
  config.set("data.path=");
  EXPECT_EQ(s.path, "");
  expect_error(Errc::invalid_argument, {"--set train.step=1", "did you mean train.steps?"},
               [&] { config.set("train.step=1"); });
  expect_error(Errc::invalid_argument, {"must be an integer, not a number"}, [&] { config.set("train.steps=1.5"); });
  expect_error(Errc::invalid_argument, {"'many' is not a TOML value"}, [&] { config.set("train.steps=many"); });
  EXPECT_THROW(config.set("train.steps=1\nx = 2"), Error);
  expect_error(Errc::invalid_argument, {"expected KEY=VALUE"}, [&] { config.set("train.steps"); });
  EXPECT_EQ(s.steps, 42);
}

TEST(Config, TextReadsBackToTheSameBits) {
  Settings s{.fast = true,
             .steps = 99,
             .seed = 1ull << 62,
             .rate = 0.1 + 1e-17,
             .kind = "odd",
             .path = "a\"\\\n\tb\x7f\xC3\xA9"};
  s.rate = 1.0 / 3;
  for (const std::string& text : {s.bind().toml(), s.bind().help()}) {
    Settings back;
    back.bind().read_text(text, "text");
    EXPECT_EQ(back.fast, s.fast);
    EXPECT_EQ(back.steps, s.steps);
    EXPECT_EQ(back.seed, s.seed);
    EXPECT_EQ(back.rate, s.rate);
    EXPECT_EQ(back.kind, s.kind);
    EXPECT_EQ(back.path, s.path);
    EXPECT_EQ(back.bind().toml(), s.bind().toml());
  }
}

// Else a finished run could not be read again.
TEST(Config, WritesNothingThatDoesNotReadBack) {
  Settings s;
  s.path = "caf\xE9/data.h5";  // Latin-1
  expect_error(Errc::invalid_argument, {"data.path is \"caf\xE9/data.h5\"", "UTF-8"}, [&] { (void)s.bind().toml(); });
  s.path = "";
  s.seed = std::uint64_t{1} << 63;
  expect_error(Errc::invalid_argument, {"run.seed is 9223372036854775808", "2^63"}, [&] { (void)s.bind().toml(); });
}

TEST(Config, NamesDifferences) {
  Settings a, b;
  b.rate = 0.5;
  b.path = "x";
  const auto found = a.bind().differences(b.bind());
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].key, "train.rate");
  EXPECT_EQ(found[0].text, "train.rate is 0.1, was 0.5");
  EXPECT_EQ(found[1].key, "data.path");
}

TEST(TrainConfig, DefaultsAreThoseOfTheTrainerAndReadBack) {
  TrainConfig config, back;
  bind(back).read_text(bind(config).toml(), "defaults");
  EXPECT_TRUE(bind(back).differences(bind(config)).empty());
  const flow::TrainOptions options = train_options(back, {}), standard;
  EXPECT_EQ(options.learning_rate, standard.learning_rate);
  EXPECT_EQ(options.model.width, standard.model.width);
  EXPECT_EQ(options.model.prediction, flow::Prediction::data);
  back.prediction = "velocity";
  back.seed = 12;
  EXPECT_EQ(train_options(back, {}).model.prediction, flow::Prediction::velocity);
  EXPECT_EQ(train_options(back, {}).seed, 12u);
  for (const auto& [name, schedule] : {std::pair{"cosine", flow::Schedule::cosine},
                                       {"linear", flow::Schedule::linear},
                                       {"constant", flow::Schedule::constant}}) {
    bind(back).set("train.schedule=" + std::string(name));
    EXPECT_EQ(train_options(back, {}).schedule, schedule);
  }
}

// Settings beside what has to be chosen for them to be read, and another choice.
TEST(TrainConfig, KeysThatNothingReadsAreRefused) {
  struct Use {
    std::string setting, choice, other;
  };
  const std::vector<Use> uses = {{"path.sigma_min=0.5", "path.kind=linear", "path.kind=vp"},
                                 {"path.beta_max=5", "path.kind=vp", "path.kind=linear"},
                                 {"path.sigma_low=3", "path.kind=ve", "path.kind=linear"},
                                 {"objective.times_mean=1", "objective.times=logit_normal", "objective.times=uniform"},
                                 {"objective.diagonal=0.5", "objective.kind=psd", "objective.kind=fmm"},
                                 {"objective.strip=0.3", "objective.kind=pfmm", "objective.kind=velocity"},
                                 {"objective.jumps=5", "objective.kind=pfmm", "objective.kind=velocity"},
                                 {"objective.split=uniform", "objective.kind=psd", "objective.kind=lsd"},
                                 {"objective.adaptive_power=0.5", "objective.kind=mean_flow", "objective.kind=lsd"},
                                 {"objective.teacher=a.h5", "objective.kind=lmd", "objective.kind=velocity"},
                                 {"objective.label_drop=0.5", "model.classes=3", "model.classes=0"},
                                 {"model.heads=7", "model.network=dit", "model.network=mlp"},
                                 {"model.lipschitz=0.5", "model.network=residual_flow", "model.network=mlp"},
                                 {"model.normalize=false", "model.network=residual_mlp", "model.network=mlp"},
                                 {"model.prediction=velocity", "model.network=mlp", "model.network=residual_flow"},
                                 {"model.sigma_floor=0.1", "model.prediction=noise", "model.prediction=velocity"},
                                 {"model.sigma_floor=0.1", "model.network=mlp", "model.network=residual_flow"},
                                 {"model.max_frequency=4", "model.time_features=4", "model.time_features=0"}};
  for (const Use& use : uses) {
    TrainConfig config;
    Config keys = bind(config);
    keys.set(use.setting);
    keys.set(use.choice);
    EXPECT_NO_THROW(refuse_unused_keys(config)) << use.setting;
    keys.set(use.other);
    const std::string key = use.setting.substr(0, use.setting.find('=')),
                      chooser = use.other.substr(0, use.other.find('='));
    try {
      refuse_unused_keys(config);
      ADD_FAILURE() << use.setting << " is accepted with " << use.other;
    } catch (const Error& e) {
      EXPECT_EQ(std::string(e.what()).find(key + " is given, but " + chooser + " is "), 0u) << e.what();
    }
    // As every resolved config has them: defaults are no settings.
    TrainConfig defaults;
    bind(defaults).set(use.other);
    EXPECT_NO_THROW(refuse_unused_keys(defaults)) << use.other;
  }
}

}  // namespace
}  // namespace monge::apps
