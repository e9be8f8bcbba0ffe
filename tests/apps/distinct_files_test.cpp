#include "monge/apps/common/distinct_files.h"

#include <gtest/gtest.h>

#include <fstream>

#include "monge/ot/core/error.h"
#include "monge/tests/apps/programs.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;

class DistinctFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder / "data.h5") << "data";
    fs::create_directory(folder / "sub");
    fs::create_symlink("data.h5", folder / "soft.h5");
    fs::create_hard_link(folder / "data.h5", folder / "hard.h5");
    fs::create_symlink("new.h5", folder / "dangling.h5");
    fs::create_directory_symlink(".", folder / "here");
  }

  bool refused(const std::string& out, const std::string& json) {
    const auto at = [&](const std::string& name) {
      return name.empty() || name == "-" ? fs::path(name) : folder / name;
    };
    try {
      require_distinct_files({{"the data file", at("data.h5")}}, {{"--out", at(out)}, {"--json", at(json)}});
      return false;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::invalid_argument);
      return true;
    }
  }

  Folder folder;
};

TEST_F(DistinctFiles, AnOutputIsNeverTheInput) {
  for (const char* name : {"data.h5", "./data.h5", "sub/../data.h5", "here/data.h5", "soft.h5", "hard.h5"}) {
    EXPECT_TRUE(refused(name, "")) << name;
    EXPECT_TRUE(refused("out.h5", name)) << name;
  }
}

TEST_F(DistinctFiles, OutputsDifferFromEachOtherAlsoBeforeTheyExist) {
  for (const char* name : {"new.h5", "./new.h5", "sub/../new.h5", "here/new.h5", "dangling.h5"}) {
    EXPECT_TRUE(refused("new.h5", name)) << name;
    EXPECT_TRUE(refused(name, "new.h5")) << name;
  }
}

TEST_F(DistinctFiles, OthersPass) {
  EXPECT_FALSE(refused("new.h5", "sub/new.h5"));
  EXPECT_FALSE(refused("new.h5", "new.json"));
  EXPECT_FALSE(refused("new.h5", ""));
  EXPECT_FALSE(refused("new.h5", "-"));
  require_distinct_files({}, {{"--out", "-"}, {"--json", "-"}});
  require_distinct_files({{"a", "same"}, {"b", "same"}}, {{"--out", "other"}});  // inputs may coincide
}

TEST_F(DistinctFiles, RelativePathsMeetAbsoluteOnes) {
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  EXPECT_THROW(require_distinct_files({}, {{"--out", "new.h5"}, {"--json", folder / "new.h5"}}), Error);
  fs::current_path(before);
}

}  // namespace
}  // namespace monge::apps
